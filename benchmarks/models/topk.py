"""NDCG@10 and Recall@10 where a user has several relevant items, from full ranks.

With one relevant item a user these are the figures of :func:`mtrec.metrics.resampled.ranking`.
"""

from __future__ import annotations

import numpy as np

from mtrec.metrics import intervals
from mtrec.metrics.families import CUTOFF, ranking_rows
from mtrec.metrics.ranks import require_numbers

Array = np.ndarray
TIE_SEED = 42


def relevant_ranks(scores: Array, user: Array, item: Array, out: Array) -> Array:
    """First and last 1-based place of each relevant pair among its user's candidates, ``(n, 2)``.

    Tied candidates are in random order, see :func:`mtrec.metrics.ranks.ranks`. Relevant items
    compete with each other, as in RecBole.

    Args:
        scores: ``(users, items)``.
        user: row of each relevant pair, ``(n,)``, sorted.
        item: column of each relevant pair, ``(n,)``.
        out: ``(users, items)`` bool, True where an item is no candidate.

    Raises:
        ValueError: a relevant item is no candidate, or a score is NaN.

    Example:
        >>> relevant_ranks(np.array([[3.0, 2.0, 1.0]]), np.array([0]), np.array([2]),
        ...                np.array([[True, False, False]]))
        array([[2., 2.]])
    """
    require_numbers(scores)
    if out[user, item].any():
        raise ValueError(f"{out[user, item].sum()} relevant items are left out of the ranking.")
    ranks = np.empty((len(user), 2))
    bounds = np.flatnonzero(np.r_[True, user[1:] != user[:-1], True])
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        row = scores[user[start]]
        rivals = np.sort(row[~out[user[start]]])
        own = row[item[start:stop]]
        ranks[start:stop, 0] = len(rivals) - np.searchsorted(rivals, own, side="right") + 1
        ranks[start:stop, 1] = len(rivals) - np.searchsorted(rivals, own, side="left")
    return ranks


def best(scores: Array, out: Array, count: int) -> Array:
    """The ``count`` best candidates of each user in order, ``(users, count)``; -1 fills.

    Tied candidates are in an order drawn for each user, the same in every call, so that a list is
    as good as its scores are on average and owes nothing to the order of the catalogue.

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
    least = np.partition(masked, -count, axis=1)[:, -count]
    draws = np.random.default_rng(TIE_SEED)
    top = np.full((len(scores), count), -1)
    for user, row in enumerate(masked):
        rivals = np.flatnonzero((row >= least[user]) & (row > -np.inf))
        order = np.lexsort((draws.random(len(rivals)), -row[rivals]))[:count]
        top[user, : len(order)] = rivals[order]
    return top


def listed_ranks(lists: Array, user: Array, item: Array) -> Array:
    """1-based place, twice, of each relevant pair in its user's list; infinite if not there.

    Args:
        lists: ``(users, count)`` items in order.
        user: of each pair, ``(n,)``.
        item: of each pair, ``(n,)``.

    Returns:
        ``(n, 2)``, as of :func:`relevant_ranks`; a list has no ties any more.
    """
    same = lists[user] == item[:, None]
    place = np.where(same.any(axis=1), same.argmax(axis=1) + 1.0, np.inf)
    return np.stack([place, place], axis=1)


def per_user(ranks: Array, user: Array) -> dict[str, Array]:
    """Metrics of each user with a relevant item, in the order of users.

    ``ndcg@10`` is divided by that of the best possible list; ``recall@10`` by the number of
    relevant items. Both are sums over a user's relevant items, so their expectation over the order
    of tied ones is the sum of the items' own.

    Args:
        ranks: first and last place of the relevant pairs, ``(n, 2)``.
        user: of each pair, ``(n,)``, sorted.
    """
    _, codes, counts = np.unique(user, return_inverse=True, return_counts=True)
    found = ranking_rows(ranks)
    best = np.cumsum(1 / np.log2(np.arange(2, CUTOFF + 2)))[np.minimum(counts, CUTOFF) - 1]
    return {
        "ndcg@10": np.bincount(codes, weights=found["ndcg@10"]) / best,
        "recall@10": np.bincount(codes, weights=found["recall@10"]) / counts,
    }


def interval(values: Array, resamples: int, seed: int) -> tuple[float, float, float]:
    """Mean over users and its 95 % bootstrap interval over users: ``(value, low, high)``."""
    weights = intervals.weightings(np.arange(len(values)), resamples, seed)
    draws = weights @ values / weights.sum(axis=1)
    found = intervals.interval(float(values.mean()), draws, len(values))
    return found["value"], found["low"], found["high"]
