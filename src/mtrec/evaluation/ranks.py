"""Ranks under full ranking: every item of the catalogue competes, seen ones are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtrec.data.features import Events, milliseconds

Array = np.ndarray


def seen_items(events: Events, user: Array, now: pd.Series, items: int) -> Array:
    """Items that each row's user met strictly before ``now``, ``(n, items)`` bool.

    Args:
        events: past events, sorted by user and time.
        user: rows of users, ``(n,)``.
        now: time of each row.
        items: size of the catalogue; item row ``i + 1`` is column ``i``.
    """
    seen = np.zeros((len(user), items + 1), dtype=bool)
    low = np.searchsorted(events.user[1:], user, side="left") + 1
    high = np.searchsorted(events.user[1:], user, side="right") + 1
    for row, (start, stop, time) in enumerate(zip(low, high, milliseconds(now), strict=True)):
        seen[row, events.item[start:stop][events.time[start:stop] < time]] = True
    return seen[:, 1:]


def ranks(scores: Array, relevant: Array, seen: Array) -> Array:
    """1-based rank of the relevant item among the unseen ones, ``(n,)``; ties share their mean.

    Args:
        scores: ``(n, items)``.
        relevant: column of the relevant item, ``(n,)``; it competes even if it was seen.
        seen: ``(n, items)`` True where an item is left out.

    Example:
        >>> ranks(np.array([[3.0, 2.0, 1.0]]), np.array([2]), np.array([[True, False, False]]))
        array([2.])
    """
    own = scores[np.arange(len(scores)), relevant][:, None]
    above = ((scores > own) & ~seen).sum(axis=1)
    rivals = seen.copy()
    rivals[np.arange(len(scores)), relevant] = True
    return 1.0 + above + 0.5 * ((scores == own) & ~rivals).sum(axis=1)
