"""95 % intervals: over users by resampling, because a user's rows are alike; over seeds by t."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from mtrec.evaluation.metrics import METRICS
from mtrec.evaluation.resampled import RESAMPLED

Array = np.ndarray
Scores = dict[str, dict[str, float]]
LEVEL = 0.95
GROUPS = 100  # that clusters are left out in, at most
BIASED = 1.0  # in standard deviations; a metric that resampling itself moves by more


def resample_weights(clusters: Array, resamples: int, seed: int) -> Array:
    """Weights of rows in balanced bootstrap resamples of clusters.

    Over all resamples each cluster is drawn equally often, so that their mean is not off by chance
    and the correction for bias has less noise.

    Args:
        clusters: cluster of each row, ``(n,)``.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        ``(resamples, n)`` float64: how often each row's cluster was drawn.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", §3.8 and §9.2.1.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    size = int(codes.max()) + 1
    drawn = np.random.default_rng(seed).permutation(np.repeat(np.arange(size), resamples))
    place = drawn.reshape(resamples, size) + size * np.arange(resamples)[:, None]
    counts = np.bincount(place.ravel(), minlength=resamples * size).reshape(resamples, size)
    return counts[:, codes].astype("float64")


def left_out_weights(clusters: Array, seed: int) -> Array:
    """Weights of rows, 0 or 1, with each group of clusters left out in turn, ``(groups, n)``.

    A group is one cluster, or a random hundredth of them if they are many: the skewness of a sum
    over groups is that over clusters, so acceleration is the same but for a noise of 0.65 over
    the number of groups, and thousands of users cost no more than a hundred.

    Args:
        clusters: cluster of each row, ``(n,)``.
        seed: of the groups.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    group = np.random.default_rng(seed).permutation(len(names)) % GROUPS
    groups = min(len(names), GROUPS) if len(names) > 1 else 0  # something must be left
    return (group[codes] != np.arange(groups)[:, None]).astype("float64")


def weightings(clusters: Array, resamples: int, seed: int) -> Array:
    """:func:`resample_weights`, then :func:`left_out_weights`: what :func:`interval` needs."""
    return np.vstack(
        [resample_weights(clusters, resamples, seed), left_out_weights(clusters, seed)]
    )


def interval(value: float, draws: Array, clusters: int) -> dict[str, float]:
    r"""A value with its 95 % bias-corrected and accelerated (BCa) bootstrap interval.

    The bounds are quantiles of the resamples at

    .. math:: \Phi\left(z_0 + \frac{z_0 \pm z}{1 - a (z_0 \pm z)}\right), \qquad
        z = \sqrt{\tfrac{n}{n-1}}\; t_{n-1,\, 0.975}

    with :math:`z_0` from the share of resamples below the value and the acceleration :math:`a` from
    the skewness of what each of the :math:`n` clusters adds. :math:`z` is Hesterberg's: resamples
    vary less than samples do, by a factor of :math:`\sqrt{(n-1)/n}`. The bounds hold the value.

    Where resampling itself moves a metric by more than :data:`BIASED` (the calibration error: two
    draws of a row are no two rows; means over labels, of which resamples lose the rare ones), no
    correction reaches; the resamples are moved until their median is the value, but not beyond 0
    or 1 where none was, and :math:`z_0 = 0`.

    Args:
        value: on all rows.
        draws: of the same with :func:`weightings`, NaN where it is undefined, ``(draws,)``.
        clusters: how many there are.

    Returns:
        ``value``, ``low`` and ``high``. The bounds are NaN for one cluster and where the value is
        undefined; both are the value where all resamples have it, which says nothing about what
        no row shows (no hit among the rows: 0 [0, 0]).

    Source: Efron 1987, https://doi.org/10.1080/01621459.1987.10478410; Hesterberg 2015,
    https://doi.org/10.1080/00031305.2015.1089789, §4.
    """
    parts = np.split(draws, [len(draws) - min(clusters, GROUPS)])
    resampled, left_out = (part[np.isfinite(part)] for part in parts)
    if clusters < 2 or not np.isfinite(value) or not len(resampled):
        return {"value": float(value), "low": float("nan"), "high": float("nan")}
    noise = 1e-12 * max(1.0, abs(value))  # a sum in another order is the same value
    z0 = _bias(value, resampled, noise)
    if abs(z0) > BIASED:
        floor = 0.0 if resampled.min() >= 0 else -np.inf
        ceiling = 1.0 if max(resampled.max(), value) <= 1 else np.inf  # of shares
        resampled = np.clip(resampled + value - np.median(resampled), floor, ceiling)
        z0 = 0.0
    at = z0 + _reach(clusters)
    levels = stats.norm.cdf(z0 + at / np.maximum(1 - _acceleration(left_out, noise) * at, 0.1))
    low, high = np.quantile(resampled, levels, method="weibull")
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value))}


def _bias(value: float, resampled: Array, noise: float) -> float:
    """Normal quantile of the share of resamples below the value; equal ones count half."""
    below = np.mean(resampled < value - noise) + 0.5 * np.mean(abs(resampled - value) <= noise)
    edge = 0.5 / len(resampled)
    return float(stats.norm.ppf(np.clip(below, edge, 1 - edge)))


def _acceleration(left_out: Array, noise: float) -> float:
    """A sixth of the skewness of what the clusters add; 0 where they add the same."""
    added = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float((added**2).sum())
    return 0.0 if spread <= noise**2 else float((added**3).sum()) / (6 * spread**1.5)


def _reach(clusters: int) -> Array:
    """Lower and upper normal quantile, widened for few clusters."""
    tail = (1 - LEVEL) / 2
    wide = stats.t.ppf(1 - tail, clusters - 1) * (clusters / (clusters - 1)) ** 0.5
    return np.array([-wide, wide])


def evaluate(
    kind: str,
    labels: Array | None,
    predictions: Mapping[str, Array],
    clusters: Array,
    resamples: int,
    seed: int,
    differences: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Scores]:
    """Metrics of several systems on the same rows, with 95 % intervals, see :func:`interval`.

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
    size = len(np.unique(clusters))
    weights = resample_weights(clusters, resamples, seed), left_out_weights(clusters, seed)
    values = {name: METRICS[kind](labels, found) for name, found in predictions.items()}
    draws = {name: _draws(kind, labels, found, weights) for name, found in predictions.items()}
    result = {
        name: {metric: interval(value, draws[name][metric], size)
               for metric, value in found.items()}
        for name, found in values.items()
    }  # fmt: skip
    for name, (system, other) in (differences or {}).items():
        result[name] = {
            metric: interval(value - values[other][metric],
                             draws[system][metric] - draws[other][metric], size)
            for metric, value in values[system].items()
        }  # fmt: skip
    return result


def _draws(
    kind: str, labels: Array | None, found: Array, weights: Sequence[Array]
) -> dict[str, Array]:
    """Metrics with each weighting, one array after the other, ``(draws,)``."""
    parts = [RESAMPLED[kind](labels, found, some) for some in weights]
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def over_trainings(values: Array, lows: Array, highs: Array) -> dict[str, float]:
    r"""Mean over trainings with a 95 % interval over users *and* trainings.

    Each of :math:`n` trainings (seeds) has a value and its interval over users, half as wide as
    :math:`1.96\,u_s`. The mean varies with the users, hardly less than a single value since all
    trainings are judged by the same ones, and with the trainings,

    .. math:: \sigma^2 = \overline{u^2} + \frac{b^2}{n}, \qquad
        b^2 = \frac{1}{n - 1} \sum_s (v_s - \bar v)^2,

    and the interval is :math:`\bar v \pm t_\nu\, \sigma` with Welch and Satterthwaite's degrees
    of freedom :math:`\nu = \sigma^4 (n - 1) / (b^2 / n)^2`.

    Args:
        values: of each training, ``(n,)``.
        lows: lower bounds over users.
        highs: upper bounds.

    Returns:
        ``value``, ``low`` and ``high``; NaN bounds for a single training or where one of them has
        none.

    Source: Satterthwaite 1946, https://doi.org/10.2307/3002019; Bouthillier et al. 2021,
    "Accounting for Variance in Machine Learning Benchmarks", https://arxiv.org/abs/2103.03098.

    Example:
        >>> one = np.array([1.0, 1.0, 1.0])
        >>> found = over_trainings(one, one - 0.5, one + 0.5)
        >>> {name: round(bound, 6) for name, bound in found.items()}
        {'value': 1.0, 'low': 0.5, 'high': 1.5}
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return {"value": mean, "low": float("nan"), "high": float("nan")}
    users = float(np.mean(((highs - lows) / 2 / stats.norm.ppf(1 - (1 - LEVEL) / 2)) ** 2))
    trainings = float(np.var(values, ddof=1)) / count
    spread = users + trainings
    freedom = spread**2 * (count - 1) / trainings**2 if trainings > 0 else np.inf
    half = float(stats.t.ppf(1 - (1 - LEVEL) / 2, freedom)) * spread**0.5
    return {"value": mean, "low": mean - half, "high": mean + half}


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
