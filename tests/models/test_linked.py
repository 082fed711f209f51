"""A head that knows links among users, and no link that it is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mtrec.data import links
from mtrec.models import ablation, assemble
from mtrec.models.store import load_model, save_model
from mtrec.settings import Task
from mtrec.training.loop import predict
from mtrec.training.parts import cut
from tests.conftest import SIZES
from tests.models.test_user_candidates import SOCIAL, SOCIAL_DOMAIN, TRUST, make_social

TASKS = {**SOCIAL, "trust": TRUST.model_copy(update={"head": links.HEAD, "loss": "softmax"})}
DOMAIN = SOCIAL_DOMAIN.model_copy(update={"tasks": TASKS})
VECTORS = {"tasks": np.random.default_rng(1).normal(size=(3, 6)).astype("float32")}


@pytest.fixture(scope="module")
def social():
    return make_social(links=400)


@pytest.fixture(scope="module")
def assembly(social):
    return assemble.assemble(social, VECTORS, DOMAIN, SIZES)


@pytest.fixture(scope="module")
def data(assembly, social):
    return assemble.dataset(assembly, social, TASKS)


@pytest.fixture(scope="module")
def models(assembly):
    return assemble.build_models(assembly, VECTORS["tasks"], SIZES, seed=3)


def evidence(assembly, data, rows):
    model = assemble.build_some(assembly, ("trust",), VECTORS["tasks"], SIZES, seed=3)
    head, own = model.get_layer("trust_head"), data.inputs["trust_own_link"]
    return np.asarray(head.evidence(data.inputs["user"][rows], own[rows]))


def test_what_a_training_row_sees_is_the_graph_without_its_own_link(social, assembly, data):
    examples = social.examples
    named = examples["trusts"].notna() & (examples["split"] == "train")
    pairs = examples.loc[named, ["user_id", "trusts"]]
    once = pairs[~pairs.duplicated(keep=False)].index[:40]  # else it is known from the other row
    seen = evidence(assembly, data, once)
    for number, row in enumerate(once):
        without = replace(social, examples=examples.drop(index=row))
        chose = assemble.assemble(without, VECTORS, DOMAIN, SIZES).links["trust"]
        counts, user = links.tables(chose), data.inputs["user"][row]
        chosen = chose[user].copy()
        chosen[user - 1] = 1
        for kind, found in zip(links.KINDS, seen[:, number], strict=True):
            expected = chosen if kind == "chosen" else counts[kind][user]
            np.testing.assert_array_equal(found, expected, err_msg=kind)


def test_no_row_sees_a_held_out_link(social, assembly, data):
    examples = social.examples.copy()
    held = examples["trusts"].notna() & (examples["split"] != "train")
    examples.loc[held, "trusts"] = examples.loc[held, "trusts"].to_numpy()[::-1]
    other = replace(social, examples=examples)
    again = assemble.assemble(other, VECTORS, DOMAIN, SIZES)
    np.testing.assert_array_equal(again.links["trust"], assembly.links["trust"])
    rows = np.flatnonzero(data.masks["trust"])
    moved = assemble.dataset(again, other, TASKS)
    np.testing.assert_array_equal(evidence(assembly, data, rows), evidence(again, moved, rows))


def test_untrained_head_is_the_constant_and_its_weights_learn_from_links(models, data, assembly):
    model, rows = models["trust"], np.flatnonzero(data.masks["trust"])[:50]
    inputs = {name: values[rows] for name, values in data.inputs.items()}
    before = np.asarray(predict(model, inputs)["trust"])
    np.testing.assert_allclose(before, np.tile(assembly.base_logits["trust"], (50, 1)), rtol=1e-5)
    kinds = model.get_layer("trust_head").kinds
    start = np.asarray(kinds)
    kinds.assign(np.eye(len(start), len(links.KINDS))[::-1])
    after = np.asarray(predict(model, inputs)["trust"])
    kinds.assign(start)
    assert np.abs(after - before).max() > 1


def test_a_model_without_graph_knows_no_link(models, assembly):
    blind = ablation.ablated(assembly, ablation.WITHOUT_GRAPH)
    without = assemble.build_some(blind, tuple(TASKS), VECTORS["tasks"], SIZES, seed=3)
    for model, known in ((models["joint"], True), (without, False)):
        head = model.get_layer("trust_head")
        assert np.asarray(head.tables["returned"].table).any() == known


def test_a_saved_model_keeps_the_links(models, data, tmp_path):
    model = models["trust"]
    head = model.get_layer("trust_head")
    head.kinds.assign(np.full(head.kinds.shape, 0.1))
    save_model(model, tmp_path / "trust.keras")
    inputs = {name: values[-60:] for name, values in data.inputs.items()}
    found = predict(load_model(tmp_path / "trust.keras"), inputs)["trust"]
    np.testing.assert_allclose(found, predict(model, inputs)["trust"], rtol=1e-5)


def test_a_model_in_parts_gives_the_logits_of_the_whole(models, data):
    model = models["joint"]
    head = model.get_layer("trust_head")
    head.kinds.assign(np.full(head.kinds.shape, 0.1))
    inputs = {name: values[-40:] for name, values in data.inputs.items()}
    parts = cut(model)
    assert parts.above["trust"].direct == ("user", "trust_own_link")
    everywhere = {name: np.ones(40, "float32") for name in data.masks}
    found, whole = parts.predict(inputs, everywhere), model(inputs, training=False)
    found["trust"] = found["trust"].logits
    for name in whole:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-4, atol=1e-5)


def test_links_are_of_users():
    for wrong in ({}, {"candidates": "items"}):
        with pytest.raises(ValidationError, match="set candidates: users"):
            Task(type="ranking", view="user", label="trusts", head=links.HEAD, **wrong)


@pytest.mark.parametrize("wrong", [{"view": "item"}, {"features": ("history",)}])
def test_a_head_that_reads_who_the_user_is_may_see_that(wrong):
    right = {"type": "ranking", "view": "user", "label": "trusts", "candidates": "users"}
    assert Task(**right, head=links.HEAD, features=("user_id", "history"))
    with pytest.raises(ValidationError, match="view: user, and add user_id to features"):
        Task(**{**right, **wrong}, head=links.HEAD)
