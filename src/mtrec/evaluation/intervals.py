"""95 % intervals: over users by resampling, because a user's rows are alike; over seeds by t."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from mtrec.evaluation.metrics import METRICS
from mtrec.evaluation.resampled import RESAMPLED

Array = np.ndarray
Scores = dict[str, dict[str, float]]
LEVELS = (2.5, 97.5)


def resample_weights(clusters: Array, resamples: int, seed: int) -> Array:
    """Weights of rows in bootstrap resamples of clusters.

    Args:
        clusters: cluster of each row, ``(n,)``.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        ``(resamples, n)`` float64: how often each row's cluster was drawn.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", §3.8.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    size = int(codes.max()) + 1
    draws = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples)
    return draws[:, codes].astype("float64")


def evaluate(
    kind: str,
    labels: Array | None,
    predictions: Mapping[str, Array],
    clusters: Array,
    resamples: int,
    seed: int,
    differences: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Scores]:
    """Metrics of several systems on the same rows, with 95 % percentile intervals.

    Args:
        kind: task type.
        labels: labels of the rows (not needed for ranking).
        predictions: predictions (ranks for ranking) per system.
        clusters: user of each row.
        resamples: number of bootstrap resamples.
        seed: of the draws.
        differences: name -> (system, other): paired difference on the same resamples.

    Returns:
        ``{system or difference: {metric: {"value", "low", "high"}}}``.
    """
    weights = resample_weights(clusters, resamples, seed)
    values = {name: METRICS[kind](labels, found) for name, found in predictions.items()}
    draws = {name: RESAMPLED[kind](labels, found, weights) for name, found in predictions.items()}
    result = {
        name: {metric: _interval(value, draws[name][metric]) for metric, value in found.items()}
        for name, found in values.items()
    }
    for name, (system, other) in (differences or {}).items():
        result[name] = {
            metric: _interval(value - values[other][metric],
                              draws[system][metric] - draws[other][metric])
            for metric, value in values[system].items()
        }  # fmt: skip
    return result


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t; NaN bounds for a single value.

    Example:
        >>> mean_interval(np.array([1.0, 1.0, 1.0]))
        (1.0, 1.0, 1.0)
    """
    values = values[np.isfinite(values)]
    mean = float(np.mean(values)) if len(values) else float("nan")
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def _interval(value: float, draws: Array) -> dict[str, float]:
    low, high = np.nanpercentile(draws, LEVELS) if np.isfinite(draws).any() else (np.nan, np.nan)
    return {"value": float(value), "low": float(low), "high": float(high)}
