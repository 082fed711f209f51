"""Ranks under full ranking: every candidate competes, except those known before.

A rank is a pair, the first and the last place that the relevant candidate can take: tied ones are
in random order, and metrics are the expectation over it. One place for all of them would be a
cliff: of 19 tied candidates each had rank 10 and counted as found, of 20 none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mtrec.data.encoder import Encoder, usable_events
from mtrec.data.events import Events, milliseconds
from mtrec.tasks import Ranking

Array = np.ndarray


def left_out(kind: Ranking, encoder: Encoder, tables: Any, label: str, rows: Array) -> Array:
    """Candidates that do not compete, ``(n, candidates)`` bool.

    Of the items those that the user met before; of the users himself and those that he chose
    before.

    Args:
        kind: fitted type of the task.
        encoder: fitted features.
        tables: the four tables.
        label: label column of the task.
        rows: positions in the examples table, ``(n,)``.
    """
    if kind.candidates == "users":
        return known_users(tables.examples, label, encoder, rows)
    examples, events = tables.examples.iloc[rows], usable_events(tables, encoder)
    user = encoder.user.rows(examples["user_id"])
    return seen_items(events, user, examples["timestamp"], kind.outputs)


def known_users(examples: pd.DataFrame, label: str, encoder: Encoder, rows: Array) -> Array:
    """Each row's user himself and whom his earlier training rows name, ``(n, users)`` bool.

    "Earlier" is strict, as for items. What held-out rows name is nobody's knowledge.
    """
    named = examples[(examples["split"] == "train") & examples[label].notna()]
    source, other = encoder.user.rows(named["user_id"]), encoder.user.rows(named[label])
    time, now = milliseconds(named["timestamp"]), milliseconds(examples["timestamp"].iloc[rows])
    user = encoder.user.rows(examples["user_id"].iloc[rows])
    known = np.zeros((len(rows), len(encoder.user.ids) + 1), dtype=bool)
    known[np.arange(len(rows)), user] = True
    for row, (who, until) in enumerate(zip(user, now, strict=True)):
        known[row, other[(source == who) & (time < until)]] = True
    return known[:, 1:]


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
