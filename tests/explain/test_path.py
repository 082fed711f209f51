"""Contributions: complete, and what the integral says."""

import itertools
import json
from math import factorial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mtrec.explain.path import TOLERANCE, integrate
from mtrec.explain.trunk import Rows


@pytest.fixture(scope="module")
def paths(every):
    return integrate(every.trunk, every.rows, *every.answers)


def scales(every):
    return np.array(every.trunk.units)[every.answers[1]]


def test_contributions_add_up_to_the_difference_of_logits(every, paths):
    assert np.abs(paths.gap / scales(every)).max() <= TOLERANCE
    at, task = every.answers
    for share, expected in ((1.0, paths.value), (0.0, paths.base)):
        there = np.full((len(at), every.trunk.players.count), share)
        found = every.trunk.values(every.rows, at, task, there)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_contributions_are_those_of_two_thousand_even_steps(every, paths):
    at, task = (one[:18] for one in every.answers)
    along = (np.arange(2000) + 0.5) / 2000
    for answer in range(len(at)):
        there = np.repeat(along[:, None], every.trunk.players.count, axis=1)
        _, slopes = every.trunk.slopes(
            every.rows, np.full(2000, at[answer]), np.full(2000, task[answer]), there
        )
        np.testing.assert_allclose(paths.players[answer], slopes.mean(axis=0), atol=0.01)


def test_more_steps_are_taken_where_they_are_needed(every):
    few = integrate(every.trunk, every.rows, *every.answers, tolerance=1.0, steps=2)
    many = integrate(every.trunk, every.rows, *every.answers, tolerance=1e-4, steps=2)
    assert few.steps.max() == 3 < many.steps.max()
    assert np.abs(many.gap / scales(every)).max() < 2e-4


def test_places_of_a_history_without_an_event_have_no_share(every, paths):
    at, _ = every.answers
    empty = every.inputs["history_items"][at] == 0
    own = paths.players[:, list(every.trunk.players.history)]
    assert empty.any()
    assert np.abs(own[empty]).max() == 0


def shapley(value, count):
    """Exact Shapley values of a game ``value(set) -> number``, by all coalitions."""
    found = np.zeros(count)
    for player in range(count):
        others = [one for one in range(count) if one != player]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for some in itertools.combinations(others, size):
                found[player] += weight * (value({*some, player}) - value({*some}))
    return found


def test_shapley_values_are_those_of_shap():
    """``shap.json``: games of this model, and what ``shap.explainers.Exact`` of shap 0.51.0 gave.

    A game's values are listed by coalition, whose number has the bit of each group that is there.
    """
    games = json.loads(Path(__file__).with_name("shap.json").read_text(encoding="utf-8"))
    assert len(games) > 5
    for one in games:
        found = shapley(lambda own, v=one["values"]: v[sum(1 << n for n in own)], len(one["shap"]))
        np.testing.assert_allclose(found, one["shap"], atol=1e-5)


def game(every, at, task, groups):
    """Values of all coalitions of groups of one answer; what is in no group is always there."""
    sets = [
        set(s)
        for n in range(len(groups) + 1)
        for s in itertools.combinations(range(len(groups)), n)
    ]
    there = np.ones((len(sets), every.trunk.players.count))
    for row, own in enumerate(sets):
        for number, group in enumerate(groups):
            if number not in own:
                there[row, list(group.columns)] = 0.0
    size = len(sets)
    values = every.trunk.values(every.rows, np.full(size, at), np.full(size, task), there)
    known = {frozenset(own): float(value) for own, value in zip(sets, values, strict=True)}
    return lambda own: known[frozenset(own)]


def test_contributions_agree_with_exact_shapley_values(every, paths):
    exact, ours = [], []
    by_group = every.trunk.players.by_group(paths.players)
    names = {"rating", "like", "mood", "kind"}
    for answer, (at, task) in enumerate(zip(*every.answers, strict=True)):
        if every.trunk.tasks[task] not in names or at >= 6:
            continue
        used = np.flatnonzero(np.abs(by_group[answer]) > 0)
        groups = [every.trunk.players.groups[number] for number in used]
        found = shapley(game(every, at, task, groups), len(groups))
        assert found.sum() == pytest.approx(by_group[answer].sum(), abs=2e-3 + 1e-3 * 5)
        exact.append(found)
        ours.append(by_group[answer][used])
    exact, ours = np.concatenate(exact), np.concatenate(ours)
    assert np.corrcoef(exact, ours)[0, 1] > 0.95
    large = np.abs(exact) > 0.1 * np.abs(exact).max()
    assert (np.sign(exact[large]) == np.sign(ours[large])).mean() > 0.95


class Cubic:
    """A smooth function of three coefficients in place of a model."""

    units = (1.0,)

    class players:  # noqa: N801
        count = 3

    def slopes(self, rows, at, task, there):
        a, b, c = there.T.astype("float64")
        return a * b + c**3, np.stack([b, a, 3 * c**2], axis=1)


def test_a_products_factors_have_equal_shares_and_a_power_all_of_its_own():
    none = Rows({}, {}, {}, tf.zeros((1, 1)))
    found = integrate(Cubic(), none, np.zeros(1, int), np.zeros(1, int), tolerance=1e-6)
    np.testing.assert_allclose(found.players[0], [0.5, 0.5, 1.0], atol=1e-3)


def test_one_answer_is_the_same_alone_and_among_others(every, paths):
    alone = integrate(every.trunk, every.rows, *(one[7:8] for one in every.answers))
    np.testing.assert_allclose(alone.players[0], paths.players[7], atol=1e-4)
