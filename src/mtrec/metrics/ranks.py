"""Ranks under full ranking: every candidate competes, except those known before.

A rank is a pair, the first and the last place that the relevant candidate can take: tied ones are
in random order, and metrics are the expectation over it. One place for all of them would be a
cliff: of 19 tied candidates each had rank 10 and counted as found, of 20 none.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def ranks(scores: Array, relevant: Array, seen: Array) -> Array:
    """First and last 1-based place of the relevant candidate among those not left out, ``(n, 2)``.

    They differ where it is tied: each place from the first to the last is as likely.

    Args:
        scores: ``(n, candidates)``.
        relevant: column of the relevant one, ``(n,)``; it competes even if it was seen.
        seen: ``(n, candidates)`` True where one is left out.

    Raises:
        ValueError: a score is NaN.

    Example:
        >>> ranks(np.array([[3.0, 2.0, 1.0]]), np.array([2]), np.array([[True, False, False]]))
        array([[2., 2.]])
        >>> ranks(np.zeros((1, 19)), np.array([2]), np.zeros((1, 19), dtype=bool))
        array([[ 1., 19.]])
    """
    require_numbers(scores)
    own = scores[np.arange(len(scores)), relevant][:, None]
    above = ((scores > own) & ~seen).sum(axis=1)
    rivals = seen.copy()
    rivals[np.arange(len(scores)), relevant] = True
    first = 1.0 + above
    return np.stack([first, first + ((scores == own) & ~rivals).sum(axis=1)], axis=1)


def require_numbers(scores: Array) -> None:
    """Check that candidates can be put in order.

    Raises:
        ValueError: a score is NaN.
    """
    if (bad := np.isnan(scores)).any():
        raise ValueError(
            f"{bad.sum()} of {bad.size} scores are NaN, which have no rank. Mend the system that "
            "gave them, or give them the lowest score."
        )
