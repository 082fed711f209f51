"""RMSE over folds, its resamples, and differences of two systems on the same resamples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtrec.bench.models.rating_rows import Run
from mtrec.evaluation.intervals import LEVELS
from mtrec.evaluation.metrics import METRICS
from mtrec.evaluation.resampled import RESAMPLED

Array = np.ndarray


def rmse(
    labels: Sequence[Array], found: Sequence[Array], weights: Sequence[Array] | None = None
) -> Array:
    """RMSE, mean over parts: of the rows, then of resamples, ``(1 + resamples,)``.

    Args:
        labels: of each part, ``(n,)``.
        found: predictions of each part, ``(n,)``.
        weights: of each part's rows in resamples, ``(resamples, n)``.
    """
    values = [METRICS["regression"](*part)["rmse"] for part in zip(labels, found, strict=True)]
    if weights is None:
        return np.array([np.mean(values)])
    draws = [
        RESAMPLED["regression"](*part)["rmse"]
        for part in zip(labels, found, weights, strict=True)
    ]  # fmt: skip
    return np.array([np.mean(values), *np.mean(draws, axis=0)])


def interval(draws: Array) -> dict[str, float]:
    """``value``, the first, and bounds of the rest."""
    low, high = np.percentile(draws[1:], LEVELS)
    return {"value": float(draws[0]), "low": float(low), "high": float(high)}


def by_seed(runs: Sequence[Sequence[Run]]) -> list[list[Array]]:
    """Predictions of each fold, by seed; a fold's only training stands for every seed."""
    seeds = max(len(part) for part in runs)
    return [[part[seed % len(part)].predictions for part in runs] for seed in range(seeds)]


def paired(theirs: Sequence[Array], ours: Sequence[Array]) -> list[Array]:
    """How far ours are below theirs on the same resamples, by seed; positive is better."""
    return [theirs[seed % len(theirs)] - one for seed, one in enumerate(ours)]


def pick(parts: Sequence[Array], masks: Sequence[Array]) -> list[Array]:
    """The rows of each part that a mask keeps."""
    return [part[mask] for part, mask in zip(parts, masks, strict=True)]
