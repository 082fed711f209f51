"""States of texts' tokens: read once, kept by content, whole or read again."""

import numpy as np
import pandas as pd
import pytest

from mtrec.settings import EmbedSettings, Reader
from mtrec.text import embed as embed_module
from mtrec.text import states
from mtrec.text.backbone import load_tokenizer
from mtrec.text.embed import embed
from mtrec.text.states import read_sides, read_states, texts_of

SETTINGS = EmbedSettings(layer=2, precision="float32", batch_tokens=256, max_tokens=16)
TEXTS = ["zebra in the zoo", "a", "Ω 🎉 très bien", "word " * 20_000, "b\tc", "  spaced  "]


@pytest.fixture(scope="module")
def read(tiny_raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return read_states(TEXTS, SETTINGS, tiny_raw, folder), folder


def of(found, number):
    return found.tokens(np.array([number]))


def everything(found):
    return found.tokens(np.arange(len(found)))


def test_every_text_has_its_tokens_in_its_place(read, tiny_raw):
    found, _ = read
    tokens = load_tokenizer(SETTINGS.preset, tiny_raw)(TEXTS)
    assert found.lengths.tolist() == [min(len(one), SETTINGS.max_tokens) for one in tokens]
    assert len(found) == len(TEXTS)
    assert np.isfinite(everything(found)).all()


def test_their_mean_is_the_pooled_vector(read, tiny_raw, tmp_path):
    found, _ = read
    pooled = embed(TEXTS, SETTINGS, tiny_raw, tmp_path)
    for number, vector in enumerate(pooled):
        np.testing.assert_allclose(
            of(found, number).mean(0, dtype="f4"), vector, rtol=0.01, atol=0.01
        )


def test_a_second_run_reads_the_cache_and_another_order_gives_the_same(read, tiny_raw, monkeypatch):
    found, folder = read
    monkeypatch.setattr(states, "_runner", None)  # would fail if called
    again = read_states(TEXTS, SETTINGS, tiny_raw, folder)
    np.testing.assert_array_equal(everything(again), everything(found))
    turned = read_states(TEXTS[::-1], SETTINGS, tiny_raw, folder)
    np.testing.assert_array_equal(of(turned, 0), of(found, len(TEXTS) - 1))


@pytest.mark.parametrize("harm", ["cut short", "a flipped bit", "of other texts", "half gone"])
def test_a_damaged_shard_is_read_again(read, tiny_raw, tmp_path, harm):
    found, folder = read
    read_states(TEXTS, SETTINGS, tiny_raw, tmp_path)
    (file,) = tmp_path.glob("*.npy")
    content = bytearray(file.read_bytes())
    if harm == "cut short":
        content = content[: len(content) // 2]
    elif harm == "a flipped bit":
        content[len(content) // 2] ^= 16
    elif harm == "of other texts":
        read_states(TEXTS[:3], SETTINGS, tiny_raw, tmp_path / "other")
        content = next((tmp_path / "other").glob("*.npy")).read_bytes()
    else:
        next(tmp_path.glob("*.npz")).unlink()
    file.write_bytes(content)
    again = read_states(TEXTS, SETTINGS, tiny_raw, tmp_path)
    np.testing.assert_array_equal(everything(again), everything(found))


def test_another_block_is_another_shard(read, tiny_raw, tmp_path):
    other = read_states(TEXTS, SETTINGS.model_copy(update={"layer": 1}), tiny_raw, tmp_path)
    read_states(TEXTS, SETTINGS, tiny_raw, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert not np.array_equal(everything(other), everything(read[0]))


def test_an_empty_text_is_refused(tiny_raw, tmp_path):
    with pytest.raises(ValueError, match="one of them is empty"):
        read_states(["good", " \n"], SETTINGS, tiny_raw, tmp_path)


def test_rows_without_text_are_known_as_such(tiny_raw, tmp_path):
    table = pd.DataFrame({"text": ["b", None, "a", "b"]})
    found = texts_of(table, SETTINGS, tiny_raw, tmp_path)
    assert found.number.tolist() == [1, 2, 0, 1]


def test_a_table_without_any_text_has_nothing_to_read(world, tiny_raw, tmp_path):
    assert texts_of(pd.DataFrame({"text": [None, None]}), SETTINGS, tiny_raw, tmp_path) is None
    assert texts_of(pd.DataFrame({"age": [3]}), SETTINGS, tiny_raw, tmp_path) is None
    both = Reader(sides=("users", "items"))
    assert set(read_sides(world, both, SETTINGS, tiny_raw, tmp_path)) == {"item"}
    assert read_sides(world, None, SETTINGS, tiny_raw, tmp_path) == {}


def test_a_reader_cuts_texts_where_its_own_settings_say(world, tiny_raw, tmp_path):
    asked = Reader(max_tokens=4)
    (texts,) = read_sides(world, asked, SETTINGS, tiny_raw, tmp_path).values()
    assert texts.states.lengths.max() == 4


@pytest.mark.parametrize("reading", [embed, read_states])
def test_texts_read_side_by_side_are_those_read_one_after_the_other(
    tiny_raw, tmp_path, monkeypatch, reading
):
    monkeypatch.setattr(embed_module, "SHARD", 2)
    monkeypatch.setattr(states, "SHARD", 2)
    many = [f"{text} {number}" for number in range(4) for text in TEXTS]
    found = []
    for workers in ("1", "4"):
        monkeypatch.setenv("MTREC_WORKERS", workers)
        found.append(reading(many, SETTINGS, tiny_raw, tmp_path / workers))
    one, several = found if reading is embed else map(everything, found)
    np.testing.assert_array_equal(one, several)
