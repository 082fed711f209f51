"""Categories that share rows of their table, and nothing else where no column is hashed."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mtrec.features.encoder import fit_encoder, load_encoder, save_encoder
from mtrec.features.fields import HASH_KEY, make_side, shared_rows
from mtrec.settings import Columns, Features
from tests.conftest import DOMAIN, PAIR, SIZES, TRAINING, halves, of

WORD = 2**64 - 1


def turned(word: int, by: int) -> int:
    """A word of 64 bits whose first ``by`` bits are its last."""
    return ((word << by) | (word >> (64 - by))) & WORD


def siphash(data: bytes, key: bytes) -> int:
    """SipHash-2-4, Aumasson and Bernstein 2012, https://eprint.iacr.org/2012/351, section 2."""
    low, high = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    start = b"somepseudorandomlygeneratedbytes"
    v = [int.from_bytes(start[at : at + 8], "big") for at in range(0, 32, 8)]
    v = [word ^ half for word, half in zip(v, (low, high, low, high), strict=True)]

    def add(a: int, b: int, by: int) -> None:
        v[a] = (v[a] + v[b]) & WORD
        v[b] = turned(v[b], by) ^ v[a]

    def rounds(count: int) -> None:
        for _ in range(count):
            add(0, 1, 13)
            add(2, 3, 16)
            v[0] = turned(v[0], 32)
            add(0, 3, 21)
            add(2, 1, 17)
            v[2] = turned(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def expected_hash(text: str) -> int:
    """What pandas makes of a text: SipHash, then the last step of SplitMix64."""
    found = siphash(text.encode(), HASH_KEY.encode())
    found = (found ^ (found >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    found = (found ^ (found >> 27)) * 0x94D049BB133111EB & WORD
    return found ^ (found >> 31)


def people(count: int) -> tuple[pd.DataFrame, pd.Series]:
    """Users of two jobs, each with an event per place in the table: the first has none."""
    ids = [f"user {n}" for n in range(count)]
    table = pd.DataFrame({"user_id": ids, "job": np.resize(["cook", "clerk"], count)})
    return table, pd.Series(np.arange(count), ids)


def side_of(table, counts, **hashed):
    columns = Columns(categorical=("user_id", "job"), hashed=hashed)
    return make_side(table, "user_id", columns, counts, 3)


def test_reference_gives_the_number_of_the_paper():
    assert siphash(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5  # appendix A


@pytest.mark.parametrize("length", [*range(18), 300])
def test_rows_are_those_of_an_independent_hash(length):
    texts = ["é" + "x" * length, "7" * length]
    for rows in (2, 97, 2**31):
        assert shared_rows(texts, rows).tolist() == [expected_hash(text) % rows for text in texts]


def test_known_ids_have_the_code_of_their_hash_and_rare_ones_stay_unknown():
    table, counts = people(40)
    field = side_of(table, counts, user_id=8).field("user_id")
    expected = [1 + expected_hash(name) % 8 for name in table["user_id"]]
    assert field.table.tolist() == [0, 0, 0, 0, *expected[3:]]
    assert (field.table.dtype, field.size) == (np.int32, 9)


def test_codes_do_not_depend_on_other_ids_or_their_order():
    table, counts = people(40)
    whole, some = side_of(table, counts, user_id=8), side_of(table[20::-1], counts, user_id=8)
    ids = table["user_id"][:21]
    codes = [side.field("user_id").table[side.rows(ids)].tolist() for side in (whole, some)]
    assert codes[0] == codes[1]


def test_rows_are_the_same_in_a_process_with_other_hashes_of_python():
    code = "from mtrec.features.fields import *; print(shared_rows(['a', 'b', 'é'], 1000).tolist())"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(shared_rows(["a", "b", "é"], 1000).tolist())


@pytest.mark.parametrize("rows", [37, 38, 1000])
def test_as_many_rows_as_known_categories_or_more_leave_the_plain_table(rows):
    table, counts = people(40)
    plain, hashed = side_of(table, counts), side_of(table, counts, user_id=rows)
    for one, other in zip(plain.fields, hashed.fields, strict=True):
        np.testing.assert_array_equal(one.table, other.table)
        assert one.size == other.size


def test_other_columns_keep_their_tables():
    table, counts = people(40)
    plain, hashed = side_of(table, counts), side_of(table, counts, user_id=4)
    assert plain.field("job").table.tolist() == hashed.field("job").table.tolist()


def test_settings_without_hashed_columns_are_dumped_as_before_there_were_any():
    columns = Columns(categorical=("user_id",))
    assert set(columns.model_dump()) == {"categorical", "multi", "numeric", "context"}
    assert "hashed" not in Features(user=columns).model_dump_json()
    assert Columns(categorical=("user_id",), hashed={}).model_dump() == columns.model_dump()
    own = Columns(categorical=("user_id",), hashed={"user_id": 8})
    assert Columns(**own.model_dump()) == own
    assert own.model_dump(exclude_defaults=True)["hashed"] == {"user_id": 8}


def features_with(side: str, **hashed: int) -> Features:
    """The tiny world's features with hashed columns of a side."""
    columns = getattr(DOMAIN.features, side).model_copy(update={"hashed": hashed})
    return DOMAIN.features.model_copy(update={side: columns})


def test_encoder_whose_tables_stay_plain_is_written_to_the_same_bytes(world, vectors, tmp_path):
    roomy = features_with("item", item_id=99)
    for name, features in (("plain", DOMAIN.features), ("roomy", roomy)):
        save_encoder(fit_encoder(world, features, SIZES, vectors), tmp_path / name)
    for file in ("encoder.json", "encoder.npz"):
        assert (tmp_path / "plain" / file).read_bytes() == (tmp_path / "roomy" / file).read_bytes()


@pytest.fixture(scope="module")
def ready(world, vectors):
    """Two tasks of the tiny world, its 20 items on 7 rows."""
    from mtrec.features.assemble import assemble, dataset

    domain = of(PAIR).model_copy(update={"features": features_with("item", item_id=7)})
    assembly = assemble(world, vectors, domain, SIZES)
    return halves(assembly, vectors, dataset(assembly, world, PAIR), world)


def test_encoder_is_read_with_the_rows_it_was_saved_with(ready, tmp_path):
    encoder = ready.assembly.encoder
    save_encoder(encoder, tmp_path)
    one, other = (each.item.field("item_id") for each in (encoder, load_encoder(tmp_path)))
    np.testing.assert_array_equal(one.table, other.table)
    assert one.size == other.size == 8


def test_model_has_a_row_per_hash_is_trained_and_answers_the_same_when_loaded(
    ready, tmp_path, eagerly
):
    from mtrec.models.predict import predict
    from mtrec.models.spare import with_spare_items
    from mtrec.models.store import load_model, save_model
    from mtrec.training.loop import Trainer

    model, types = ready.model(), ready.assembly.types
    projections = model.encoders["item"].projections
    table = next(one for one in projections if one.name == "item_id").embeddings
    assert table.shape == (8, SIZES.width)
    before = np.array(table)
    Trainer(  # two steps, since heads start at zero and send nothing back in the first
        model, types, ready.assembly.scales, dict.fromkeys(types, 1.0), ready.training,
        ready.validation, TRAINING.model_copy(update={"epochs": 1}), 2,
    ).run(0)  # fmt: skip
    read = np.unique(ready.assembly.encoder.item.field("item_id").table[1:])
    assert (np.array(table) != before).any(axis=1)[read].all()
    answers = predict(model, ready.validation.inputs)
    save_model(model, tmp_path / "joint.keras")
    loaded = load_model(tmp_path / "joint.keras")
    for other in (loaded, with_spare_items(loaded, 3)):
        for task, logits in predict(other, ready.validation.inputs).items():
            np.testing.assert_array_equal(logits, answers[task])


def test_ids_on_one_row_share_its_embedding_and_differ_in_other_features(ready):
    encoder = ready.model().encoders["item"]
    codes = ready.assembly.encoder.item.field("item_id").table
    first, second = np.flatnonzero(codes == codes[1])[:2]
    rows = np.array([first, second])
    shared, whole = np.array(encoder(rows, visible=["item_id"])), np.array(encoder(rows))
    np.testing.assert_array_equal(shared[0], shared[1])
    assert not np.allclose(whole[0], whole[1])


def test_an_id_that_is_no_text_to_be_written_has_a_row_too():
    (row,) = shared_rows(["user \ud800"], 7)
    assert 0 <= row < 7
