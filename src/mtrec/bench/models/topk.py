"""NDCG@10 and Recall@10 where a user has several relevant items, from full ranks.

With one relevant item a user these are the figures of :func:`mtrec.evaluation.metrics.ranking`.
"""

from __future__ import annotations

import numpy as np

from mtrec.evaluation.intervals import LEVELS, resample_weights
from mtrec.evaluation.metrics import CUTOFF

Array = np.ndarray


def relevant_ranks(scores: Array, user: Array, item: Array, out: Array) -> Array:
    """1-based rank of each relevant pair among its user's candidates; ties share their mean.

    Relevant items compete with each other, as in RecBole.

    Args:
        scores: ``(users, items)``.
        user: row of each relevant pair, ``(n,)``, sorted.
        item: column of each relevant pair, ``(n,)``.
        out: ``(users, items)`` bool, True where an item is no candidate.

    Raises:
        ValueError: a relevant item is no candidate.

    Example:
        >>> relevant_ranks(np.array([[3.0, 2.0, 1.0]]), np.array([0]), np.array([2]),
        ...                np.array([[True, False, False]]))
        array([2.])
    """
    if out[user, item].any():
        raise ValueError(f"{out[user, item].sum()} relevant items are left out of the ranking.")
    ranks = np.empty(len(user))
    bounds = np.flatnonzero(np.r_[True, user[1:] != user[:-1], True])
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        row = scores[user[start]]
        rivals = np.sort(row[~out[user[start]]])
        own = row[item[start:stop]]
        below = np.searchsorted(rivals, own, side="left")
        upto = np.searchsorted(rivals, own, side="right")
        ranks[start:stop] = len(rivals) - (below + upto - 1) / 2.0
    return ranks


def best(scores: Array, out: Array, count: int) -> Array:
    """The ``count`` best candidates of each user in order, ``(users, count)``; -1 fills.

    Args:
        scores: ``(users, items)``.
        out: ``(users, items)`` bool, True where an item is no candidate.
        count: how many.

    Example:
        >>> best(np.array([[1.0, 3.0, 2.0]]), np.array([[False, True, False]]), 3)
        array([[ 2,  0, -1]])
    """
    masked = np.where(out, -np.inf, scores)
    count = min(count, scores.shape[1])
    top = np.argpartition(-masked, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(masked, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    top = np.take_along_axis(top, order, axis=1)
    return np.where(np.isneginf(np.take_along_axis(values, order, axis=1)), -1, top)


def listed_ranks(lists: Array, user: Array, item: Array) -> Array:
    """1-based place of each relevant pair in its user's list, infinite if it is not there.

    Args:
        lists: ``(users, count)`` items in order.
        user: of each pair, ``(n,)``.
        item: of each pair, ``(n,)``.
    """
    same = lists[user] == item[:, None]
    return np.where(same.any(axis=1), same.argmax(axis=1) + 1.0, np.inf)


def per_user(ranks: Array, user: Array) -> dict[str, Array]:
    """Metrics of each user with a relevant item, in the order of users.

    ``ndcg@10`` is divided by that of the best possible list; ``recall@10`` by the number of
    relevant items.

    Args:
        ranks: of the relevant pairs, ``(n,)``.
        user: of each pair, ``(n,)``, sorted.
    """
    _, codes, counts = np.unique(user, return_inverse=True, return_counts=True)
    hit = ranks <= CUTOFF
    gain = np.where(hit, 1 / np.log2(1 + ranks), 0.0)
    best = np.cumsum(1 / np.log2(np.arange(2, CUTOFF + 2)))[np.minimum(counts, CUTOFF) - 1]
    return {
        "ndcg@10": np.bincount(codes, weights=gain) / best,
        "recall@10": np.bincount(codes, weights=hit.astype(float)) / counts,
    }


def interval(values: Array, resamples: int, seed: int) -> tuple[float, float, float]:
    """Mean over users and its 95 % bootstrap interval over users: ``(value, low, high)``."""
    draws = resample_weights(np.arange(len(values)), resamples, seed) @ values / len(values)
    low, high = np.percentile(draws, LEVELS)
    return float(values.mean()), float(low), float(high)
