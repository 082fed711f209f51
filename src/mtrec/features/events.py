"""Past events as arrays: which of them training may learn from, and each user's last ones.

Row 0 is the padding of histories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtrec.features.fields import Scaler, Side, pad

Array = np.ndarray


@dataclass(frozen=True)
class Events:
    """Past events as arrays, sorted by user and time; row 0 is padding.

    Attributes:
        user: rows of users, ``(events + 1,)`` int32.
        item: rows of items, ``(events + 1,)`` int32.
        time: milliseconds since 1970, ``(events + 1,)`` int64.
        features: standardised event columns, ``(events + 1, columns)`` float32.
    """

    user: Array
    item: Array
    time: Array
    features: Array


def milliseconds(times: pd.Series) -> Array:
    """Milliseconds since 1970 as int64; a missing time is later than every event."""
    values = pd.to_datetime(times).to_numpy().astype("datetime64[ms]")
    return np.where(np.isnat(values), np.int64(2**42), values.astype("int64"))


def make_events(events: pd.DataFrame, user: Side, item: Side, scaler: Scaler) -> Events:
    """Turn an events table (sorted by user and time on the way) into arrays."""
    rows, time = user.rows(events["user_id"]), milliseconds(events["timestamp"])
    order = np.lexsort((time, rows))
    features = scaler(events)[..., 0] if scaler.columns else np.zeros((len(events), 0), "float32")
    return Events(
        pad(rows[order]),
        pad(item.rows(events["item_id"])[order]),
        pad(time[order]),
        pad(features[order]),
    )


def last_events(events: Events, user: Array, now: pd.Series, length: int) -> Array:
    """Positions ``(n, length)`` in ``events`` of each user's last events strictly before ``now``.

    Oldest first, padded with 0 at the left; rows with the unknown user have no history.
    """
    origin = int(events.time[1:].min()) if len(events.time) > 1 else 0
    span = np.int64(2**43)
    key = events.user.astype("int64") * span + np.maximum(events.time - origin, 0)
    key[0] = -1
    asked = user.astype("int64") * span + np.maximum(milliseconds(now) - origin, 0)
    order = np.argsort(asked)  # neighbours are found near each other, in the cache
    stop = np.empty(len(asked), dtype="int64")
    stop[order] = np.searchsorted(key, asked[order])
    first = np.searchsorted(key, np.arange(user.max(initial=0) + 1) * span)
    start = first[user]
    index = stop[:, None] + np.arange(-length, 0)
    return np.where((index >= start[:, None]) & (user[:, None] > 0), index, 0).astype("int32")


def training_events(events: pd.DataFrame, examples: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Events that training may learn from, and whether the split respects time.

    With a split in time these are the events before the first held-out example. With a split by
    user they are those of the training users; what a held-out user did before may still be known
    of him. Otherwise they are all but the events that are themselves validation or test examples,
    and those may not stand in a history either.
    """
    timed = examples[examples["timestamp"].notna()]
    held = timed[timed["split"] != "train"]
    if held.empty:
        return events, True
    first = held["timestamp"].min()
    if timed.loc[timed["split"] == "train", "timestamp"].max() <= first:
        return events[events["timestamp"] < first], True
    others = set(held["user_id"])
    if others.isdisjoint(timed.loc[timed["split"] == "train", "user_id"]):
        return events[~events["user_id"].isin(others)], True
    keys = ["user_id", "item_id", "timestamp"]
    inside = pd.MultiIndex.from_frame(events[keys]).isin(pd.MultiIndex.from_frame(held[keys]))
    return events[~inside], False
