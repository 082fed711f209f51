"""The network that orders what members nominate."""

import keras
import numpy as np
import pytest

from mtrec.fusion import choice, listwise, selection
from mtrec.fusion.choice import FUSED, Rows, choose
from mtrec.fusion.domain import blend, uses
from mtrec.registry import Form

ROWS, CANDIDATES = 1200, 150


@pytest.fixture
def world():
    """Two members, the second of whom knows what not to choose, and nothing else."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, ROWS, CANDIDATES)).astype("float32")
    labels = (first - 5 * np.maximum(second, 0)).argmax(axis=1)
    out = np.zeros((ROWS, CANDIDATES), dtype=bool)
    found = {
        name: selection.standardised(scores, out)
        for name, scores in {"joint": first, "ease": second}.items()
    }
    users = rng.integers(0, 100, ROWS).astype(str)
    return found, Rows(Form.RANK, "ranking", labels, users, out)


def test_what_no_sum_can_say_is_learnt_and_chosen(world):
    found, rows = world
    chosen = choose(rows, found, 0)
    assert chosen.chosen == FUSED and chosen.ranker is not None
    assert uses(chosen) == {"joint", "ease"}
    assert chosen.why.startswith("a network orders what the members nominate: it gains +")
    said = blend(chosen, Form.RANK, found, rows.out)
    assert rows.quality(said) > rows.quality(found["joint"]) + 0.1


def test_where_a_sum_is_best_no_network_orders():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CANDIDATES, ROWS)
    scores = rng.normal(size=(ROWS, CANDIDATES)).astype("float32")
    scores[np.arange(ROWS), labels] += 3
    out = np.zeros_like(scores, dtype=bool)
    rows = Rows(Form.RANK, "ranking", labels, rng.integers(0, 100, ROWS).astype(str), out)
    found = {"joint": selection.standardised(scores, out)}
    found["ease"] = found["joint"].copy()
    assert choose(rows, found, 0).ranker is None


def test_few_rows_teach_no_network(world):
    found, rows = world
    few = np.arange(listwise.FEWEST - 1)
    parts = [one[few] for one in found.values()]
    assert listwise.fit(parts, rows.out[few], rows.labels[few], np.array([1.0, 0.0]), 0) is None


def test_its_answers_are_those_of_keras(world, monkeypatch):
    found, rows = world
    kept = []
    trained = listwise._trained
    monkeypatch.setattr(
        listwise, "_trained", lambda *given: kept.append(trained(*given)) or kept[0]
    )
    shares, parts = np.array([0.5, 0.5]), list(found.values())
    ranker = listwise.fit(parts, rows.out, rows.labels, shares, 3)
    total, nominees = listwise.nominate(parts, shares, rows.out)
    features = (listwise.described(parts, total, nominees) - ranker.centre) / ranker.scale
    added = keras.ops.convert_to_numpy(kept[0](features))
    expected = np.take_along_axis(total, nominees, axis=1) + added
    said = np.take_along_axis(ranker(parts, rows.out), nominees, axis=1)
    np.testing.assert_allclose(np.diff(said, axis=1), np.diff(expected, axis=1), atol=2e-5)


def test_nominees_are_the_best_of_the_sum_and_all_others_come_after_them(world):
    found, rows = world
    parts, shares = list(found.values()), np.array([0.25, 0.75])
    out = np.random.default_rng(2).random((ROWS, CANDIDATES)) < 0.2
    total, nominees = listwise.nominate(parts, shares, out)
    masked = np.where(out, -np.inf, 0.25 * parts[0] + 0.75 * parts[1])
    best = np.argsort(-masked, axis=1)[:, : listwise.NOMINATED]
    np.testing.assert_array_equal(nominees, best)
    ranker = listwise.fit(parts, out, rows.labels, shares, 0)
    said = ranker(parts, out)
    rest = np.where(out, -np.inf, said)
    np.put_along_axis(rest, nominees, -np.inf, axis=1)
    assert (rest.max(axis=1) < np.take_along_axis(said, nominees, axis=1).min(axis=1)).all()
    within = np.argsort(-rest, axis=1)[:, :10]
    np.testing.assert_array_equal(
        within, np.argsort(-np.where(np.isinf(rest), rest, total), 1)[:, :10]
    )


@pytest.mark.parametrize("competing", [0, 1, 3, 99])
def test_rows_with_few_candidates_have_finite_scores(world, competing):
    found, rows = world
    parts, shares = list(found.values()), np.array([0.5, 0.5])
    ranker = listwise.fit(parts, rows.out, rows.labels, shares, 0)
    out = np.ones((2, CANDIDATES), dtype=bool)
    out[:, :competing] = False
    said = ranker([one[:2] for one in parts], out)
    assert np.isfinite(said).all() and said.shape == (2, CANDIDATES)
    fewer = [one[:2, :5] for one in parts]
    assert np.isfinite(ranker(fewer, out[:, :5])).all()


def test_labels_of_a_fold_do_not_reach_its_own_order(world):
    found, rows = world
    parts, fold = list(found.values()), choice.folds(rows.clusters, 0)
    before = choice.crossfit_ranker(rows, parts, 0)
    labels = np.where(fold == 2, 0, rows.labels)
    after = choice.crossfit_ranker(
        Rows(rows.form, rows.family, labels, rows.clusters, rows.out), parts, 0
    )
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert np.abs(before[fold != 2] - after[fold != 2]).max() > 0.01


def test_the_same_seed_gives_the_same_bits_and_a_saved_one_answers_the_same(world):
    found, rows = world
    parts, shares = list(found.values()), np.array([0.5, 0.5])
    one, two = (listwise.fit(parts, rows.out, rows.labels, shares, 7) for _ in range(2))
    for name, values in one.state().items():
        np.testing.assert_array_equal(values, two.state()[name])
    again = listwise.Ranker.restored(one.state())
    np.testing.assert_array_equal(one(parts, rows.out), again(parts, rows.out))
