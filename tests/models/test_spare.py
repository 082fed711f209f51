"""Spare rows of a trained model hold items that came after training, and change no other answer."""

import numpy as np
import pytest
from keras import ops

from mtrec.models.predict import predict
from mtrec.models.spare import put_item, with_spare_items
from tests.conftest import SIZES

pytestmark = pytest.mark.usefixtures("eagerly")
SPARE = 5


@pytest.fixture(scope="module")
def model(assembly, vectors):
    from mtrec.models.twins import build_models

    found = build_models(assembly, vectors["tasks"], SIZES, seed=3)["joint"]
    draw = np.random.default_rng(5)
    for variable in found.trainable_variables:
        variable.assign(draw.normal(scale=0.3, size=variable.shape))
    return found


def ask(model, items):
    """Logits of one user and some rows of items."""
    inputs = {
        name: np.zeros((len(items), *value.shape[1:]), value.dtype)
        for name, value in model.input.items()
    }
    inputs["item"][:] = items
    inputs["user"][:] = 3
    inputs["history_items"][:] = 5 + np.arange(inputs["history_items"].shape[1]) % 7
    return predict(model, inputs)


def test_known_items_are_answered_to_the_bit_and_an_empty_spare_row_as_the_unknown_item(model):
    roomy, known = with_spare_items(model, SPARE), np.arange(21)
    for name, logits in ask(model, known).items():
        np.testing.assert_array_equal(ask(roomy, known)[name], logits, err_msg=name)
    for name, logits in ask(model, [0]).items():
        np.testing.assert_array_equal(ask(roomy, [21 + 2])[name], logits, err_msg=name)


def test_a_spare_row_with_the_vectors_of_a_known_item_is_that_item_without_its_other_properties(
    model, vectors
):
    twin = with_spare_items(model, SPARE)  # its item 4 keeps its text alone
    bare = twin.get_layer("item_encoder")
    for field, table in zip(bare.fields, bare.tables, strict=True):
        if field["name"] != "text":
            table.table.assign(
                ops.slice_update(
                    table.table.value,
                    [4] + [0] * (len(table.shape) - 1),
                    table.table.value[:1],
                )
            )
    roomy = with_spare_items(model, SPARE)
    state = put_item(roomy, 1, {"text": vectors["items"][3]}, None)  # item 4 is row 3 of the data
    for name, logits in ask(twin, [4]).items():
        if name != "next_item":
            np.testing.assert_allclose(
                ask(roomy, [21 + SPARE - 2])[name], logits, atol=1e-6, err_msg=name
            )
    assert state.shape == (SIZES.width,)


def test_what_is_put_in_a_spare_row_stays_there_and_can_be_replaced(model, vectors):
    roomy = with_spare_items(model, SPARE)
    row = 21 + SPARE - 1
    put_item(roomy, 0, {"text": vectors["items"][3]}, None)
    first = ask(roomy, [row])["rating"]
    put_item(roomy, 1, {"text": vectors["items"][9]}, None)
    np.testing.assert_array_equal(ask(roomy, [row])["rating"], first)
    put_item(roomy, 0, {"text": vectors["items"][9]}, None)
    assert not np.allclose(ask(roomy, [row])["rating"], first)
    np.testing.assert_allclose(ask(roomy, [row])["rating"], ask(roomy, [row - 1])["rating"])
