"""Stacking and ensemble selection against independent computations."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

from mtrec.fusion import selection, stacking
from mtrec.fusion.choice import Rows
from mtrec.metrics.ranks import ranks
from mtrec.registry import Form


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_weights_of_values_are_those_of_bounded_least_squares(rng):
    members = rng.normal(size=(3, 80))
    labels = members.T @ [0.7, 0.4, -0.5] + 2 + 0.1 * rng.normal(size=80)
    found = stacking.fit("values", list(members), labels)
    columns = np.column_stack([members.T, np.ones(80)])
    bounds = [0, 0, 0, -np.inf], np.inf
    expected = lsq_linear(columns, labels, bounds, tol=1e-12).x
    np.testing.assert_allclose([*found.weights, *found.bias], expected, atol=1e-5)
    assert found.weights[2] == 0


def log_loss(kind, members, labels):
    """The objective written out for one row at a time."""

    def loss(flat):
        weights, bias = flat[: len(members)], flat[len(members) :]
        total = bias @ bias / 2
        for row, label in enumerate(labels):
            if kind == "bits":
                p = np.array([one[row] for one in members])
                z = weights @ np.log(p / (1 - p)) + bias[0]
                total += np.log1p(np.exp(-z if label else z))
            else:
                z = bias + sum(
                    w * np.log(one[row]) for w, one in zip(weights, members, strict=True)
                )
                total += np.log(np.exp(z).sum()) - z[label]
        return total

    return loss


@pytest.mark.parametrize("kind", ["bits", "classes"])
def test_weights_of_probabilities_have_the_least_penalised_log_loss(rng, kind):
    if kind == "bits":
        members = [rng.uniform(0.05, 0.95, 60) for _ in range(2)]
        labels, outputs = (rng.random(60) < members[0]).astype(int), 1
    else:
        members = [rng.dirichlet(np.ones(3), 60) for _ in range(2)]
        labels, outputs = np.array([rng.choice(3, p=p) for p in members[0]]), 3
    found = stacking.fit(kind, members, labels)
    bounds = [(0, None)] * 2 + [(None, None)] * outputs
    start = np.r_[0.5, 0.5, np.zeros(outputs)]
    expected = minimize(log_loss(kind, members, labels), start, bounds=bounds, tol=1e-10).x
    np.testing.assert_allclose([*found.weights, *found.bias], expected, atol=5e-3)
    fused = found(members)
    assert fused.shape == members[0].shape
    if kind == "classes":
        assert fused.sum(axis=1) == pytest.approx(1)


def test_sets_share_weights_and_have_a_bias_for_each_label(rng):
    truth = rng.random((200, 3)) < [0.2, 0.5, 0.8]
    found = stacking.fit("bits", [np.full((200, 3), 0.5), rng.random((200, 3))], truth)
    assert found.weights.shape == (2,) and found.bias.shape == (3,)
    np.testing.assert_allclose(
        found([np.full((200, 3), 0.5)] * 2)[0], truth.mean(axis=0), atol=0.05
    )


def test_an_overconfident_member_is_calibrated(rng):
    p = rng.uniform(0.1, 0.9, 4000)
    labels = rng.random(4000) < p
    z = np.log(p / (1 - p))
    found = stacking.fit("bits", [1 / (1 + np.exp(-3 * z - 1))], labels)
    assert found.weights[0] == pytest.approx(1 / 3, abs=0.05)
    np.testing.assert_allclose(found([1 / (1 + np.exp(-3 * z - 1))]), p, atol=0.05)


def test_scores_are_standardised_over_those_that_compete(rng):
    scores, out = rng.normal(3, 5, (20, 9)), rng.random((20, 9)) < 0.3
    found = selection.standardised(scores, out)
    for row, left, own in zip(found, out, scores, strict=True):
        kept = own[~left]
        np.testing.assert_allclose(row, (own - kept.mean()) / kept.std(), rtol=1e-4)
    flat = selection.standardised(np.ones((2, 4)), np.zeros((2, 4), bool))
    assert not flat.any()


@pytest.mark.parametrize("seed", range(5))
def test_two_greedy_rounds_are_the_best_pair_that_holds_the_best_member(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(selection, "ROUNDS", 2)
    labels, out = rng.integers(0, 8, 30), np.zeros((30, 8), bool)
    rows = Rows(Form.RANK, "ranking", labels, np.arange(30).astype(str), out)
    members = []
    for strength in (0.5, 1.0, 1.5, 0.8):
        scores = rng.normal(size=(30, 8))
        scores[np.arange(30), labels] += strength
        members.append(selection.standardised(scores, out))
    found = selection.select(members, rows.quality)
    alone = [rows.quality(one) for one in members]
    first = int(np.argmax(alone))
    pairs = [p for p in combinations_with_replacement(range(4), 2) if first in p]
    best = max(rows.quality(members[a] + members[b]) for a, b in pairs)
    assert rows.quality(selection.summed(members, found)) == pytest.approx(max(best, alone[first]))
    assert found.sum() == pytest.approx(1)


def test_a_sum_of_members_is_ranked_by_its_scores():
    one, other = np.array([[1.0, 0.0, -1.0]]), np.array([[-1.0, 0.0, 2.0]])
    total = selection.summed([one, other], np.array([0.5, 0.5]))
    assert ranks(total, np.array([2]), np.zeros((1, 3), bool)).tolist() == [[1.0, 1.0]]
