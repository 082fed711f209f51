"""RMSE over folds, and its resamples of users, each with all their rows of all folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtrec.metrics import resampled
from mtrec.metrics.intervals import weightings

Array = np.ndarray
RESAMPLES, SEED = 10_000, 42


def mean_rmse(labels: Sequence[Array], found: Sequence[Array]) -> float:
    """RMSE, mean over folds.

    Args:
        labels: of each fold's rows, ``(n,)``.
        found: predictions, likewise.
    """
    folds = zip(labels, found, strict=True)
    return float(np.mean([resampled.errors(*fold)["rmse"] for fold in folds]))


def rmse_draws(
    labels: Sequence[Array], found: Sequence[Array], users: Sequence[Array],
    resamples: int = RESAMPLES, seed: int = SEED,
) -> Array:  # fmt: skip
    """:func:`mean_rmse` of bootstrap resamples of users, then without some, ``(draws,)``.

    What :func:`mtrec.metrics.intervals.interval` makes an interval of.

    Two systems that answer the same rows are given the same draws, so that their difference is a
    paired one.

    Args:
        labels: of each fold's rows, ``(n,)``.
        found: predictions, likewise.
        users: whose each row is, likewise.
        resamples: number of resamples.
        seed: of the draws.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", §3.8.
    """
    known = np.unique(np.concatenate(users))
    codes = [np.searchsorted(known, fold) for fold in users]
    errors = [(one - other) ** 2 for one, other in zip(labels, found, strict=True)]
    sums = [
        np.bincount(user, weights=error, minlength=len(known))
        for user, error in zip(codes, errors, strict=True)
    ]
    counts = [np.bincount(user, minlength=len(known)) for user in codes]
    weights = weightings(known, resamples, seed)
    return np.sqrt((weights @ np.array(sums).T) / (weights @ np.array(counts).T)).mean(axis=1)
