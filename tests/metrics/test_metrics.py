from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from mtrec.evaluation import reference
from mtrec.features import offsets
from mtrec.features.candidates import seen_items
from mtrec.features.events import Events
from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.metrics.intervals import evaluate, resample_weights
from mtrec.metrics.ranks import ranks
from mtrec.registry import METRICS
from mtrec.report import findings
from tests.metrics import scikit

RNG = np.random.default_rng(0)
N = 80


def sample(kind):
    """Labels and predictions with ties."""
    if kind == "binary":
        return RNG.integers(0, 2, N).astype(float), np.round(RNG.random(N), 1)
    if kind in ("multiclass", "ordinal"):
        raw = np.round(RNG.random((N, 4)), 1) + 0.01
        return RNG.integers(0, 3, N), raw / raw.sum(axis=1, keepdims=True)
    if kind == "regression":
        return RNG.normal(size=N), RNG.normal(size=N)
    if kind == "multilabel":
        return (RNG.random((N, 5)) < 0.3).astype(float), np.round(RNG.random((N, 5)), 1)
    first = RNG.integers(1, 40, N).astype(float)
    return np.zeros(N), np.stack([first, first + RNG.integers(0, 20, N)], axis=1)


@pytest.mark.parametrize("kind", METRICS)
def test_weighted_metrics_equal_scikit_learn_on_repeated_rows(kind):
    labels, found = sample(kind)
    weights = RNG.integers(0, 4, (3, N)).astype(float)
    resampled = METRICS[kind].draws(labels, found, weights)
    for number, weight in enumerate(weights.astype(int)):
        expected = getattr(scikit, kind)(
            np.repeat(labels, weight, axis=0), np.repeat(found, weight, axis=0)
        )
        for metric, value in expected.items():
            assert resampled[metric][number] == pytest.approx(value, abs=1e-9), metric


@pytest.mark.parametrize("kind", METRICS)
def test_every_metric_says_which_way_is_better(kind):
    assert set(METRICS[kind].values(*sample(kind))) <= set(HIGHER_IS_BETTER)


def test_ordinal_errors_are_those_of_the_expected_level():
    labels, found = np.array([0, 2]), np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    scores = METRICS["ordinal"].values(labels, found)
    assert scores["mae"] == pytest.approx(0.25)
    assert scores["rmse"] == pytest.approx(0.125**0.5)


def test_kappa_counts_levels_that_do_not_occur_and_is_missing_for_a_constant():
    labels, chosen = np.array([0, 1, 3, 0]), [0, 3, 3, 1]  # nobody has level 2
    scores = METRICS["ordinal"].values(labels, np.eye(4)[chosen])
    assert scores["kappa"] == pytest.approx(1 - 1.25 / 3.75)  # squared error over that by chance
    constant = np.ones((1, 2))
    labels, found = np.zeros(2, dtype=int), np.eye(4)[[0, 0]]
    assert np.isnan(METRICS["ordinal"].values(labels, found)["kappa"])
    assert np.isnan(METRICS["ordinal"].draws(labels, found, constant)["kappa"])


def test_ndcg_with_one_relevant_item_is_scikit_learns():
    scores = RNG.permutation(30)[None, :].astype(float)
    relevance = np.zeros((1, 30))
    relevance[0, 7] = 1
    rank = ranks(scores, np.array([7]), np.zeros((1, 30), dtype=bool))
    expected = ndcg_score(relevance, scores, k=10)
    assert METRICS["ranking"].values(None, rank)["ndcg@10"] == pytest.approx(expected)


def test_calibration_error_of_a_closed_form():
    scores = METRICS["binary"].values(np.array([1.0, 0.0]), np.array([0.95, 0.95]))
    assert scores["ece"] == pytest.approx(0.45)


def test_seen_items_are_left_out_and_ties_span_first_to_last():
    scores = np.array([[5.0, 4.0, 4.0, 4.0]])
    seen = np.array([[True, False, False, False]])
    assert ranks(scores, np.array([1]), seen).tolist() == [[1, 3]]
    assert ranks(scores, np.array([1]), ~seen).tolist() == [[2, 2]]
    constant = np.zeros((1, 9))
    assert ranks(constant, np.array([3]), np.zeros((1, 9), bool)).tolist() == [[1, 9]]


def test_only_items_met_strictly_before_count_as_seen():
    zero = np.zeros((4, 0), "float32")
    events = Events(
        np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3]), np.array([0, 1, 2, 1]) * 1000, zero
    )
    now = pd.Series(pd.to_datetime([2, 3, 9], unit="s"))
    found = seen_items(events, np.array([1, 1, 0]), now, 3)
    assert found.tolist() == [[True, False, False], [True, True, False], [False, False, False]]


def test_rows_of_a_user_are_drawn_together():
    weights = resample_weights(np.array(["a", "b", "a", "b"]), 50, 0)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 1], 2)
    np.testing.assert_array_equal(weights.sum(axis=0), 50)  # each cluster is drawn equally often


def test_difference_is_paired():
    labels = RNG.normal(size=200)
    systems = {"a": labels + 0.1, "b": labels + 0.1}
    found = evaluate("regression", labels, systems, np.arange(200), 50, 0, {"d": ("a", "b")})
    assert found["d"]["rmse"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def rows(in_time):
    n = 60
    return offsets.Rows(
        RNG.normal(size=(n, 1)), RNG.integers(1, 4, n), RNG.integers(1, 5, n),
        RNG.integers(0, 20, n), np.repeat(["train", "validation", "test"], n // 3), in_time,
    )  # fmt: skip


@pytest.mark.parametrize("in_time", [True, False])
def test_running_means_equal_brute_force(in_time):
    data = rows(in_time)
    residual = data.labels - 0.3
    found = offsets.deviation(residual, data.user, data, 3.0)
    for i in range(len(residual)):
        same = data.user == data.user[i]
        same &= data.time < data.time[i] if in_time else data.split == "train"
        if not in_time:
            same[i] = False
        expected = residual[same].sum() / (same.sum() + 3.0)
        assert found[i, 0] == pytest.approx(expected)


def test_baseline_of_a_view_without_user_and_item_is_the_training_mean():
    data = rows(True)
    blind = offsets.Rows(data.labels, data.user * 0, data.item * 0, data.time, data.split, True)
    expected = data.labels[data.split == "train"].mean()
    np.testing.assert_allclose(offsets.fit(blind).predict(blind), expected)


@pytest.mark.parametrize("kind", METRICS)
def test_every_tolerance_can_fail(kind):
    metric, allowed = METRICS[kind].main, METRICS[kind].allowed(0.5)
    found = {metric: {"value": 0.5}}
    metrics = {"tasks": {"t": {"type": kind, "joint": found, "single": found}}}
    wanted = {f"t joint {metric}": 0.5 + 0.9 * allowed, f"t single {metric}": 0.5 + 1.1 * allowed}
    lines = reference.compare(metrics, wanted)
    assert "within" in lines[0]
    assert "differs, 0.5000 against" in lines[1]


def test_an_error_in_large_units_may_differ_by_a_share_of_it():
    assert METRICS["regression"].allowed(0.9) == 0.02
    assert METRICS["regression"].allowed(30.0) == 0.6


@pytest.mark.parametrize("kind", METRICS)
def test_plain_metrics_weigh_rows_alike_and_equal_scikit_learns_to_fifteen_digits(kind):
    labels, found = sample(kind)
    if kind != "ranking":
        found = found.astype("float32")
    values = METRICS[kind].values(labels, found)
    assert values == pytest.approx(getattr(scikit, kind)(labels, found), rel=2e-15)
    assert replace(METRICS[kind], plain=None).values(labels, found) == pytest.approx(values)


def test_a_metric_without_a_value_is_missing():
    one = np.zeros(3, dtype=int)
    assert np.isnan(METRICS["binary"].values(one, np.full(3, 0.5))["auc"])
    assert np.isnan(METRICS["multiclass"].values(one, np.full((3, 2), 0.5))["auc"])
    assert np.isnan(METRICS["multilabel"].values(np.zeros((3, 2)), np.full((3, 2), 0.5))["map"])


def test_no_claim_without_an_interval_that_excludes_zero():
    frame = pd.DataFrame({"task": ["x"], "value": [0.4], "low": [-0.1], "high": [0.9]})
    said = "It helps none of 1 task and hurts none; 1 is undecided (x)."
    assert findings.verdicts(frame, "It") == said
