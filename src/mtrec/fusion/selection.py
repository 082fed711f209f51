r"""Greedy ensemble selection of rankings: the member that helps most joins, again and again.

Scores of members have no common unit, so each row's are standardised over the candidates that
compete. Beginning with the best member, each round adds the member, perhaps once more, whose scores
give the sum the highest quality. The best round counts; weights are shares of the rounds.

Source: Caruana et al. 2004, "Ensemble Selection from Libraries of Models",
https://doi.org/10.1145/1015330.1015432.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
ROUNDS = 12
FLAT = 1e-6  # deviation of scores that say nothing


def standardised(scores: Array, out: Array) -> Array:
    """Scores with mean 0 and deviation 1 in each row, ``(n, candidates)`` float32.

    Those left out are on the same scale and do not count; a row that tells nobody apart is zeros.

    Args:
        scores: of one member.
        out: True where a candidate does not compete.

    Example:
        >>> standardised(np.array([[3.0, 1.0, 9.0]]), np.array([[False, False, True]])).tolist()
        [[1.0, -1.0, 7.0]]
    """
    competing = ~out
    count = np.maximum(competing.sum(axis=1), 1)[:, None]
    scores = scores.astype("float32")
    mean = (scores * competing).sum(axis=1, keepdims=True, dtype="float64") / count
    centred = scores - mean.astype("float32")
    variance = (centred**2 * competing).sum(axis=1, keepdims=True, dtype="float64") / count
    deviation = np.sqrt(variance).astype("float32")
    return np.where(deviation > FLAT, centred / np.maximum(deviation, FLAT), np.float32(0.0))


def select(found: Sequence[Array], quality: Callable[[Array], float]) -> Array:
    """Share of the rounds of each member, ``(members,)`` with sum 1.

    Args:
        found: what :func:`standardised` makes of each member.
        quality: of a sum of these; higher is better.
    """
    alone = [quality(one) for one in found]
    first, most = int(np.argmax(alone)), max(alone)
    counts = np.bincount([first], minlength=len(found))
    total, best = found[first], counts
    for _ in range(ROUNDS - 1):
        trials = [quality(total + one) for one in found]
        chosen = int(np.argmax(trials))
        total, counts = total + found[chosen], counts + (np.arange(len(found)) == chosen)
        if trials[chosen] > most:
            best, most = counts, trials[chosen]
    return best / best.sum()


def summed(found: Sequence[Array], weights: Array) -> Array:
    """Weighted sum of the members whose weight is not zero, ``(n, candidates)``."""
    total = np.zeros_like(found[0])
    for one, weight in zip(found, weights, strict=True):
        if weight:
            total = total + np.float32(weight) * one
    return total
