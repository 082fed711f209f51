"""What competes in a ranking task: every candidate but those known before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtrec.features.encoder import Encoder, usable_events
from mtrec.features.events import Events, milliseconds
from mtrec.tables.schema import Tables
from mtrec.tasks.base import TaskType

Array = np.ndarray


def left_out(kind: TaskType, encoder: Encoder, tables: Tables, label: str, rows: Array) -> Array:
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
