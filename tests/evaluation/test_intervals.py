"""What 95 % intervals promise: coverage, pairs, and an answer where there is little to say."""

import numpy as np
import pytest
from scipy import stats

from mtrec.evaluation import intervals
from mtrec.evaluation.intervals import (
    evaluate,
    interval,
    mean_interval,
    over_trainings,
    weightings,
)

NAN = pytest.approx({"low": np.nan, "high": np.nan}, nan_ok=True)


def bounds(found):
    return {key: found[key] for key in ("low", "high")}


def squared_errors(users, seed):
    """Sums and counts of squared errors per user; a user has few or many rows."""
    rng = np.random.default_rng(seed)
    rows = np.maximum(1, rng.lognormal(1.5, 0.8, users)).astype(int)
    own = rng.normal(size=users) * 0.5
    owner = np.repeat(np.arange(users), rows)
    return np.bincount(owner, (rng.normal(size=len(owner)) + own[owner]) ** 2, users), rows


def covered(users, trials, measure):
    """Shares of trials in which our interval, and one of percentiles, hold the truth."""
    ours = plain = 0
    for seed in range(trials):
        values, truth = measure(users, seed)
        draws = values(weightings(np.arange(users), 200, seed))
        found = interval(values(np.ones((1, users)))[0], draws, users)
        low, high = np.percentile(draws[:200], [2.5, 97.5])
        ours += found["low"] <= truth <= found["high"]
        plain += low <= truth <= high
    return ours / trials, plain / trials


def rmse(users, seed):
    sums, rows = squared_errors(users, seed)
    return (lambda w: np.sqrt((w @ sums) / (w @ rows))), 1.25**0.5


def gain_in_rmse(users, seed):
    """The other system is worse by a known noise."""
    sums, rows = squared_errors(users, seed)
    more = np.random.default_rng([seed, 1]).chisquare(rows)  # the noise's square; no covariance
    return (
        lambda w: np.sqrt((w @ (sums + more)) / (w @ rows)) - np.sqrt((w @ sums) / (w @ rows)),
        2.25**0.5 - 1.25**0.5,
    )


def skewed_mean(users, seed):
    """Few users have most hits."""
    hits = np.random.default_rng(seed).gamma(0.5, size=users)
    return (lambda w: w @ hits / w.sum(axis=1)), 0.5


@pytest.mark.parametrize("measure", [rmse, gain_in_rmse, skewed_mean])
def test_intervals_of_few_users_cover_about_as_often_as_they_say_and_more_than_percentiles(measure):
    ours, plain = covered(50, 500, measure)
    assert 0.915 <= ours <= 0.98  # three standard errors of 500 trials are 0.03
    assert ours >= plain + 0.01


def test_intervals_of_more_users_cover_about_as_often_as_they_say():
    ours, _ = covered(200, 250, rmse)
    assert 0.91 <= ours <= 0.98


def test_ends_are_scipys_bca_but_for_few_clusters():
    values = np.random.default_rng(1).gamma(0.5, size=80)
    weights = weightings(np.arange(80), 20_000, 0)
    found = interval(values.mean(), weights @ values / weights.sum(axis=1), 80)
    narrower = 2 * stats.norm.sf(intervals._reach(80)[1])
    wanted = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=1 - narrower, rng=0
    ).confidence_interval
    assert found["low"] == pytest.approx(wanted.low, rel=0.02)
    assert found["high"] == pytest.approx(wanted.high, rel=0.02)


def test_acceleration_from_groups_of_users_is_that_from_each_user(monkeypatch):
    values = np.random.default_rng(2).gamma(0.2, size=3000)

    def acceleration():
        weights = intervals.left_out_weights(np.arange(3000), 0)
        assert (weights.sum(axis=0) == len(weights) - 1).all()
        return intervals._acceleration(weights @ values / weights.sum(axis=1), 0.0)

    grouped = acceleration()
    monkeypatch.setattr(intervals, "GROUPS", 3000)
    exact = acceleration()
    assert exact == pytest.approx(stats.skew(values) / 6 / 3000**0.5, rel=0.01)
    assert grouped == pytest.approx(exact, abs=3 * 0.65 / 100)


def test_one_user_says_nothing_about_others():
    found = evaluate("regression", np.arange(5.0), {"s": np.zeros(5)}, np.zeros(5), 50, 0)
    assert all(bounds(each) == NAN for each in found["s"].values())


def test_a_constant_has_no_width():
    labels, clusters = np.zeros(40), np.arange(40) % 8
    found = evaluate("regression", labels, {"s": labels + 0.1}, clusters, 50, 0)["s"]["rmse"]
    assert bounds(found) == pytest.approx({"low": 0.1, "high": 0.1})
    never = evaluate("ranking", None, {"s": np.full((40, 2), 99.0)}, clusters, 50, 0)["s"]
    assert never["recall@10"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_without_positives_what_needs_them_is_missing_and_the_rest_is_there():
    rng = np.random.default_rng(0)
    found = evaluate("binary", np.zeros(40), {"s": rng.random(40)}, np.arange(40), 50, 0)["s"]
    assert np.isnan(found["auc"]["value"])
    assert bounds(found["auc"]) == NAN
    assert found["log_loss"]["low"] < found["log_loss"]["value"] < found["log_loss"]["high"]


def test_resamples_without_the_only_users_positives_are_left_out():
    labels = (np.arange(60) < 3).astype(float)
    clusters = np.r_[np.zeros(3), np.arange(1, 58)]
    found = evaluate("binary", labels, {"s": np.random.default_rng(0).random(60)}, clusters, 100, 0)
    auc = found["s"]["auc"]
    assert 0 <= auc["low"] <= auc["value"] <= auc["high"] <= 1


def test_the_interval_of_a_small_calibration_error_holds_its_value_and_has_a_width():
    rng = np.random.default_rng(3)
    chance = rng.random(2000)
    labels = (rng.random(2000) < chance).astype(float)
    found = evaluate("binary", labels, {"s": chance}, np.arange(2000), 200, 0)["s"]["ece"]
    assert 0 <= found["low"] < found["value"] < found["high"] < 0.06


@pytest.mark.parametrize("users", [2, 3])
def test_two_users_are_enough_for_some_interval(users):
    labels = np.random.default_rng(users).normal(size=20)
    found = evaluate("regression", labels, {"s": np.zeros(20)}, np.arange(20) % users, 50, 0)
    assert all(each["low"] <= each["value"] <= each["high"] for each in found["s"].values())


def test_no_bound_of_a_share_leaves_it_though_resamples_are_moved():
    draws = np.random.default_rng(0).uniform(0.7, 0.95, 220)  # all below the value
    found = interval(0.98, draws, 20)
    assert 0 <= found["low"] <= 0.98 <= found["high"] <= 1
    assert interval(1.8, draws + 0.8, 20)["high"] > 1.8


@pytest.mark.parametrize("users, trainings", [(1.0, 0.01), (1.0, 1.0), (0.1, 1.0)])
def test_interval_over_trainings_covers_the_truth_whatever_varies_more(users, trainings):
    rng, hits, repeats = np.random.default_rng(0), 0, 2000
    for _ in range(repeats):
        values = users * rng.normal() + trainings * rng.normal(size=3)
        found = over_trainings(values, values - 1.96 * users, values + 1.96 * users)
        hits += found["low"] <= 0 <= found["high"]
    assert 0.915 < hits / repeats < 0.965


def test_trainings_that_agree_leave_the_interval_over_users():
    values = np.array([0.2, 0.2, 0.2])
    found = over_trainings(values, values - 0.1, values + 0.1)
    np.testing.assert_allclose([found["low"], found["high"]], [0.1, 0.3])


def test_trainings_alone_have_students_interval():
    values = np.array([0.1, 0.2, 0.4])
    found, (mean, low, high) = over_trainings(values, values, values), mean_interval(values)
    np.testing.assert_allclose([found["value"], found["low"], found["high"]], [mean, low, high])


def test_a_single_training_has_no_interval_over_trainings():
    found = over_trainings(np.array([0.2]), np.array([0.1]), np.array([0.3]))
    assert found["value"] == 0.2
    assert np.isnan([found["low"], found["high"]]).all()
