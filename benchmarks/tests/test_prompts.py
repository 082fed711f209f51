import hashlib
import json
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.models import prompted, tallrec
from benchmarks.models.prompted_tuning import Tuned
from benchmarks.protocols import prompts
from mtrec.text import backbone
from mtrec.text.backbone import hidden_states
from tests import language_model
from tests.conftest import ROOT

DATA = ROOT / "data" / "ml-100k"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="data/ml-100k is not checked out")
# SHA-256 of the authors' data/movie/test.json: pairs of ``input`` and ``output`` as a JSON list.
PUBLISHED = "88ff85af77cae06136fd279e64f46ff691639723072f6fe75973ad8889bacbd8"
ASKED = ["a film", "another film, and one more", "films"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    language_model.write(raw)
    return backbone.load(language_model.PRESET, raw, "float32")


@pytest.fixture(scope="module")
def begun():
    return prompted.beginning("Judge.", [("a book", "Yes."), ("a song", "No.")])


@pytest.fixture(scope="module")
def reader(model, begun):
    return prompted.Reader(model, begun, 1)


def asked():
    return [prompted.ending(question) for question in ASKED]


@needs_data
def test_questions_and_answers_are_those_that_the_authors_published():
    test = tallrec.read(DATA)["test"]
    said = ["Yes." if label else "No." for label in test.label]
    pairs = [list(pair) for pair in zip(tallrec.questions(test), said, strict=True)]
    assert hashlib.sha256(json.dumps(pairs).encode()).hexdigest() == PUBLISHED


@needs_data
def test_rows_are_split_in_order_and_the_frozen_split_holds_them():
    rows = tallrec.read(DATA)
    assert {part: len(found) for part, found in rows.items()} == {
        "train": 8000, "validation": 1000, "test": 1000,
    }  # fmt: skip
    for part, found in prompts.split(ROOT).rows.items():
        np.testing.assert_array_equal(found, rows[part].row)


def test_another_order_keeps_what_was_liked_and_the_film_that_is_asked():
    films = np.array([[f"f{n}" for n in range(10)]])
    rows = tallrec.Rows(
        np.array([0]), np.array([0]), films, np.arange(10)[None] < 6, np.array(["x"]),
        np.array([True]),
    )  # fmt: skip
    (first,), (second,) = tallrec.questions(rows), tallrec.questions(rows, shuffle=0)
    assert first != second
    for one, other in zip(first.splitlines(), second.splitlines(), strict=True):
        assert sorted(one.split('"')[1::2]) == sorted(other.split('"')[1::2])


def test_draws_of_examples_are_nested_and_differ_by_seed():
    rows = np.arange(500)
    few, many = (tallrec.shots(rows, count, 0) for count in (16, 64))
    np.testing.assert_array_equal(few, many[:16])
    assert len(set(many)) == 64 and set(many) != set(tallrec.shots(rows, 64, 1))


def test_a_question_after_a_kept_beginning_has_the_states_of_the_whole_text(model, begun, reader):
    found = reader.answer(asked(), keep=True)
    for number, question in enumerate(asked()):
        ids = np.array(model.tokenizer([begun + question]), "int32")
        lower, top = (
            np.asarray(hidden_states(model, ids, np.ones_like(ids, bool), block))[0]
            for block in (1, language_model.LAYERS)
        )
        np.testing.assert_allclose(found.final[number], top[-1], atol=1e-4)
        np.testing.assert_allclose(found.states(number), lower[reader.length :], atol=1e-2)
        logits = model.backbone.token_embedding(model.backbone.layer_norm(top[-1:]), reverse=True)
        yes, no = reader.words
        assert found.margin[number] == pytest.approx(
            float(logits[0, yes] - logits[0, no]), abs=1e-4
        )


def test_a_run_that_was_cut_goes_on_and_a_damaged_file_is_made_again(
    reader, begun, tmp_path, monkeypatch
):
    monkeypatch.setattr(prompted, "SHARD", 2)
    first = prompted.answers(reader, begun, asked(), tmp_path, keep=True)
    one, other = sorted(tmp_path.glob("*.npz"))
    other.write_bytes(other.read_bytes()[:50])
    calls, answer = [], reader.answer
    monkeypatch.setattr(reader, "answer", lambda *given: calls.append(given) or answer(*given))
    second = prompted.answers(reader, begun, asked(), tmp_path, keep=True)
    assert len(calls) == 1
    for name in ("margin", "final", "lower", "starts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_adapters_that_have_learnt_nothing_answer_as_the_frozen_model(reader):
    known = reader.answer(asked(), keep=True)
    tuned = Tuned(reader, seed=0, rank=2)
    np.testing.assert_allclose(tuned.margins(known), known.margin, atol=1e-2)  # float16 states


def test_adapters_learn_the_answers_and_repeat_themselves(reader):
    known, labels = reader.answer(asked(), keep=True), np.array([1, 0, 1])
    losses, margins = [], []
    for _ in range(2):
        tuned = Tuned(reader, seed=0, rank=2, epochs=20, rate=0.05)
        losses.append(tuned.train(known, labels))
        margins.append(tuned.margins(known))
    assert losses[0][-1] < 0.8 * losses[0][0]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(*margins)
    assert margins[0][1] < min(margins[0][0], margins[0][2])


def test_a_probe_learns_the_first_shots_alone(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "systems"))
    system = run_path(str(ROOT / "benchmarks" / "systems" / "prompts_mtrec.py"))
    states, labels = np.random.default_rng(0).normal(size=(12, 3)), np.array([0, 1, 1, 0])
    states[:4, 0] = labels
    given = {"shots": states, "questions": states[:4]}

    def read(asked, options):
        return SimpleNamespace(final=np.array(asked), seconds=1.0), None

    monkeypatch.setitem(system["probe"].__globals__, "read", read)
    found, seconds = system["probe"]({**given, "labels": labels}, {"strength": 10.0})
    assert seconds == 2.0 and list(found > 0) == [False, True, True, False]
    same, _ = system["probe"]({**given, "shots": states[:4], "labels": labels}, {"strength": 10.0})
    np.testing.assert_array_equal(found, same)
