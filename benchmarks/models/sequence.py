"""What comes next to what: ridge regressions from neighbouring events to an event.

People rate in bursts, down lists that a site shows, so an item's neighbours in other users'
sequences tell much of where it stands in this one's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

Array = np.ndarray


@dataclass(frozen=True)
class Events:
    """Events sorted by user, then time (events of one second in the order of the file).

    Attributes:
        user: ``(n,)``.
        item: ``(n,)``.
        rating: ``(n,)``.
        time: seconds, ``(n,)``.
        users: how many there are.
        items: size of the catalogue.
    """

    user: Array
    item: Array
    rating: Array
    time: Array
    users: int
    items: int

    def take(self, keep: Array) -> Events:
        """The events of a mask or of positions in order."""
        return Events(self.user[keep], self.item[keep], self.rating[keep], self.time[keep],
                      self.users, self.items)  # fmt: skip

    def matrix(self, values: Array | None = None) -> Array:
        """``(users, items)`` float32: values (1 if None) of the events, 0 elsewhere."""
        out = np.zeros((self.users, self.items), dtype="float32")
        out[self.user, self.item] = 1.0 if values is None else values
        return out


def ordered(user: Array, item: Array, rating: Array, time: Array, users: int, items: int) -> Events:
    """Events in their order, by a stable sort."""
    order = np.lexsort((np.arange(len(user)), time, user))
    return Events(user[order], item[order], rating[order], time[order], users, items)


def context(events: Events, place: Array, steps: Array, weights: Array) -> sparse.csr_matrix:
    """Decayed bags of neighbouring items, ``(len(place), items)``.

    Args:
        events: in order.
        place: positions in the events.
        steps: signed distances; ``-1`` is the event just before the place. Those that lead to
            another user's events count nothing.
        weights: of the steps.
    """
    rows, columns, values = [], [], []
    last = len(events.user) - 1
    for step, weight in zip(steps, weights, strict=True):
        source = place + step
        inside = (source >= 0) & (source <= last)
        inside &= events.user[source.clip(0, last)] == events.user[place]
        rows.append(np.flatnonzero(inside))
        columns.append(events.item[source[inside]])
        values.append(np.full(inside.sum(), weight))
    joined = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(joined, shape=(len(place), events.items))


def regress(given: sparse.csr_matrix, items: Array, ridge: float) -> Array:
    """Weights ``(items, items)`` of the ridge regression from contexts to the item there."""
    count = given.shape[1]
    target = sparse.csr_matrix(
        (np.ones(len(items)), (np.arange(len(items)), items)), (len(items), count)
    )
    gram = (given.T @ given).toarray() + ridge * np.eye(count)
    return np.linalg.solve(gram, (given.T @ target).toarray())


def follow(events: Events, window: int, decay: float, ridge: float) -> Array:
    """Scores ``(users, items)`` of what follows each user's last events."""
    steps, fade = -np.arange(1, window + 1), decay ** np.arange(window)
    every = np.arange(len(events.user))
    weights = regress(context(events, every, steps, fade), events.item, ridge)
    ends = np.flatnonzero(np.r_[events.user[1:] != events.user[:-1], True])
    recent = context(events, ends, steps + 1, fade)
    out = np.zeros((events.users, events.items), dtype="float32")
    out[events.user[ends]] = recent @ weights
    return out


def follow_counts(events: Events, window: int, decay: float, shrink: float) -> Array:
    """As :func:`follow`, with shrunk transition shares in place of a regression."""
    steps, fade = -np.arange(1, window + 1), decay ** np.arange(window)
    every = np.arange(len(events.user))
    target = sparse.csr_matrix(
        (np.ones(len(every)), (every, events.item)), (len(every), events.items)
    )
    counts = (context(events, every, steps, fade).T @ target).toarray()
    popular = np.bincount(events.item, minlength=events.items) + shrink
    ends = np.flatnonzero(np.r_[events.user[1:] != events.user[:-1], True])
    out = np.zeros((events.users, events.items), dtype="float32")
    share = counts / popular[:, None] / popular**0.3
    out[events.user[ends]] = context(events, ends, steps + 1, fade) @ share
    return out


def between(events: Events, window: int, decay: float, ridge: float) -> Array:
    """Scores ``(users, items)`` of items that belong somewhere between a user's events.

    A regression from both sides of an event to it is applied to every gap, and the answers are
    added up: how many of an item are missing.
    """
    steps, fade = np.arange(1, window + 1), decay ** np.arange(window)
    every, fades = np.arange(len(events.user)), np.r_[fade, fade]
    given = context(events, every, np.r_[-steps, steps], fades)
    weights = regress(given, events.item, ridge).astype("float32")
    gaps = context(events, every, np.r_[1 - steps, steps], fades)
    owner = sparse.csr_matrix((np.ones(len(every)), (events.user, every)),
                              (events.users, len(every)))  # fmt: skip
    return ((owner @ gaps) @ weights).astype("float32")
