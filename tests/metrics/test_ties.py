"""Tied candidates are in random order, and ranking metrics are the expectation over it."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from benchmarks.models import topk
from mtrec.metrics.families import ranking_rows
from mtrec.metrics.ranks import ranks
from mtrec.registry import METRICS

CASES = json.loads((Path(__file__).parent / "ties.json").read_text())["cases"]
SINGLE = [case for case in CASES if len(case["relevant"]) == 1]

plain = METRICS["ranking"].values


def nobody(scores):
    return np.zeros(scores.shape, dtype=bool)


@pytest.mark.parametrize("tied", [1, 10, 11, 19, 20, 1000])
def test_of_tied_candidates_ten_are_found_whatever_their_number(tied):
    scores = np.zeros((1, tied))
    found = plain(None, ranks(scores, np.array([0]), nobody(scores)))
    place = np.arange(1, tied + 1)
    assert found["recall@10"] == pytest.approx(min(1, 10 / tied))
    assert found["mrr"] == pytest.approx(np.mean(1 / place))
    assert found["ndcg@10"] == pytest.approx((1 / np.log2(1 + place))[:10].sum() / tied)


@pytest.mark.parametrize("case", SINGLE)
def test_ties_are_worth_pytrec_evals_mean_over_all_orders(case):
    scores = np.array([case["scores"]])
    found = plain(None, ranks(scores, np.array(case["relevant"]), nobody(scores)))
    assert found == pytest.approx({name: case[name] for name in found}, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_ties_among_several_relevant_items_are_worth_pytrec_evals_mean_over_all_orders(case):
    scores, item = np.array([case["scores"]]), np.array(case["relevant"])
    user = np.zeros(len(item), dtype=int)
    found = topk.per_user(topk.relevant_ranks(scores, user, item, nobody(scores)), user)
    for name, value in found.items():
        assert value == pytest.approx([case[name]], abs=1e-6)


def test_ties_are_worth_the_mean_over_distinct_scores_in_every_order():
    scores = np.array([2.0] * 8 + [1.0] * 4)
    orders = np.array([[3.0] * 8 + list(order) for order in permutations([0.1, 0.2, 0.3, 0.4])])
    item = np.full(len(orders), 9)
    mean = plain(None, ranks(orders, item, nobody(orders)))
    assert plain(None, ranks(scores[None], item[:1], nobody(scores[None]))) == pytest.approx(mean)


def test_a_tied_candidate_that_does_not_compete_changes_nothing():
    scores, out = np.zeros((1, 30)), np.zeros((1, 30), dtype=bool)
    out[0, 10:] = True
    assert ranks(scores, np.array([3]), out).tolist() == [[1, 10]]
    assert ranks(scores, np.array([20]), out).tolist() == [[1, 11]]  # the relevant one competes


def test_without_ties_a_place_is_worth_exactly_its_discount():
    place = np.arange(1.0, 40)
    found = ranking_rows(np.stack([place, place], axis=1))
    np.testing.assert_array_equal(found["mrr"], 1 / place)
    np.testing.assert_array_equal(
        found["ndcg@10"], np.where(place <= 10, 1 / np.log2(1 + place), 0)
    )


def test_resampled_ranking_counts_ties_alike():
    first = np.array([1.0, 5, 30])
    places = np.stack([first, first + [18, 0, 3]], axis=1)
    found = METRICS["ranking"].draws(None, places, np.array([[2.0, 1, 0]]))
    repeated = plain(None, places[[0, 0, 1]])
    assert {name: value[0] for name, value in found.items()} == pytest.approx(repeated)


def test_a_list_draws_its_tied_items_and_is_as_good_as_its_scores_on_average():
    scores = np.zeros((4000, 20))
    lists = topk.best(scores, nobody(scores), 10)
    assert all(len(set(row)) == 10 for row in lists)
    user, item = np.arange(4000), np.full(4000, 17)
    found = topk.per_user(topk.listed_ranks(lists, user, item), user)
    expected = topk.per_user(topk.relevant_ranks(scores, user, item, nobody(scores)), user)
    for name, values in found.items():
        assert values.mean() == pytest.approx(expected[name].mean(), abs=0.03)
    np.testing.assert_array_equal(lists, topk.best(scores, nobody(scores), 10))


def test_a_system_that_gives_no_number_has_no_rank():
    scores, nobody = np.array([[1.0, np.nan, 2.0]]), np.zeros((1, 3), dtype=bool)
    for place in (
        lambda: ranks(scores, np.array([0]), nobody),
        lambda: topk.relevant_ranks(scores, np.array([0]), np.array([0]), nobody),
    ):
        with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
            place()
