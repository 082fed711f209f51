"""Running means of labels, one labelled row at a time; see :mod:`mtrec.features.offsets`.

After any number of rows in the order of time, what users and items add is what
:meth:`mtrec.features.offsets.RunningMean.latest` finds in all of them. A row older than the
item's latest counts as if it came with the latest.
"""

from __future__ import annotations

import numpy as np

from mtrec.features.offsets import Rows, RunningMean
from mtrec.service.rows import grown

Array = np.ndarray
NEVER = np.iinfo("int64").min


class Tally:
    """Sums and counts by key: of all rows, and of those strictly before the key's latest time.

    Args:
        width: numbers per row.
    """

    def __init__(self, width: int):
        self.total, self.count = np.zeros((1, width)), np.zeros(1)
        self._before, self._fewer = np.zeros((1, width)), np.zeros(1)
        self.time = np.full(1, NEVER)

    def fill(self, keys: Array, time: Array, values: Array) -> None:
        """Count many rows of an empty tally, in any order: key 0 or above, ``(n,)``, values 2-D."""
        self.room(int(keys.max(initial=0)) + 1)
        np.maximum.at(self.time, keys, time)
        earlier = time < self.time[keys]
        for total, count, which in (
            (self.total, self.count, slice(None)), (self._before, self._fewer, earlier),
        ):  # fmt: skip
            np.add.at(total, keys[which], values[which])
            np.add.at(count, keys[which], 1.0)

    def room(self, rows: int) -> None:
        """Make room for keys below ``rows``."""
        if len(self.count) < rows:
            self.total, self.count = grown(self.total, rows), grown(self.count, rows)
            self._before, self._fewer = grown(self._before, rows), grown(self._fewer, rows)
            self.time = grown(self.time, rows, NEVER)

    def before(self, key: int, time: int) -> tuple[Array, float]:
        """Sum and count strictly before a time, of one at or after the key's latest."""
        if key >= len(self.count):
            return np.zeros(self.total.shape[1]), 0.0
        if time > self.time[key]:
            return self.total[key], float(self.count[key])
        return self._before[key], float(self._fewer[key])

    def add(self, key: int, time: int, value: Array | float) -> None:
        """Count one row."""
        self.room(key + 1)
        if time > self.time[key]:
            self._before[key], self._fewer[key] = self.total[key], self.count[key]
            self.time[key] = time
        elif time < self.time[key]:
            self._before[key] += value
            self._fewer[key] += 1.0
        self.total[key] += value
        self.count[key] += 1.0


class LiveMean:
    """The running means of one task.

    Args:
        fitted: what training learnt.
        rows: all rows of the data whose label is known.
    """

    def __init__(self, fitted: RunningMean, rows: Rows):
        self.fitted = fitted
        self._mean = np.array(fitted.mean)
        known = np.ones(len(rows.labels), bool) if rows.in_time else rows.split == "train"
        residual = rows.labels - self._mean
        item, _ = fitted._parts(rows)
        self._in_time = rows.in_time
        width = residual.shape[1]
        self._items, self._users = Tally(width), Tally(width)
        self._items.fill(rows.item[known], rows.time[known], residual[known])
        self._users.fill(rows.user[known], rows.time[known], (residual - item)[known])
        self._rows: dict[int, _OfItem] = {}
        if not rows.in_time and fitted.item_k is not None and fitted.user_k is not None:
            at = np.flatnonzero(known)
            at = at[np.argsort(rows.item[at], kind="stable")]
            items, first = np.unique(rows.item[at], return_index=True)
            for item, own in zip(items, np.split(at, first[1:]), strict=True):
                self._rows[int(item)] = _OfItem(rows.user[own].astype("int64"), residual[own])

    def adds(self, item: int, user: int) -> tuple[Array, Array]:
        """What an item and a user now add to the mean."""
        return (
            _shrunk(self._items, item, self.fitted.item_k),
            _shrunk(self._users, user, self.fitted.user_k),
        )

    def means(self, items: Array, users: Array) -> Array:
        """Predictions ``(n, outputs)`` for rows of items and users."""
        return self.fitted.total(
            _many(self._items, items, self.fitted.item_k),
            _many(self._users, users, self.fitted.user_k),
        )

    def add(self, item: int, user: int, time: int, label: Array) -> None:
        """Count one labelled row; ``item`` or ``user`` is 0 where the head may not see it."""
        residual = label - self._mean
        if not self._in_time:
            self._add_out_of_time(item, user, time, residual)
            return
        total, count = self._items.before(item, time)
        k = self.fitted.item_k
        known = total / (count + k) if k is not None and item else 0.0
        self._users.add(user, time, residual - known)
        self._items.add(item, time, residual)

    def _add_out_of_time(self, item: int, user: int, time: int, residual: Array) -> None:
        """Every row of the item is judged by all the others, so one more changes them all."""
        k = self.fitted.item_k
        self._items.add(item, time, residual)
        if k is None or not item or self.fitted.user_k is None:
            self._users.add(user, time, residual)
            return
        total, count = self._items.total[item], self._items.count[item]
        kept = self._rows.setdefault(item, _OfItem(np.zeros(0, "int64"), np.zeros((0, len(total)))))
        users, own = kept.rows()
        old = (total - residual - own) / (count - 2 + k)
        new = (total - own) / (count - 1 + k)
        np.add.at(self._users.total, users, old - new)
        self._users.add(user, time, residual - (total - residual) / (count - 1 + k))
        kept.add(user, residual)


class _OfItem:
    """Users and residuals of an item's rows.

    Args:
        users: ``(n,)``.
        residuals: ``(n, outputs)``.
    """

    def __init__(self, users: Array, residuals: Array):
        self._users, self._residuals, self._size = users, residuals, len(users)

    def rows(self) -> tuple[Array, Array]:
        """Users and residuals of all rows."""
        return self._users[: self._size], self._residuals[: self._size]

    def add(self, user: int, residual: Array) -> None:
        """One more row."""
        self._users = grown(self._users, self._size + 1)
        self._residuals = grown(self._residuals, self._size + 1)
        self._users[self._size], self._residuals[self._size] = user, residual
        self._size += 1


def _shrunk(tally: Tally, key: int, k: float | None) -> Array:
    if k is None or not key or key >= len(tally.count):
        return np.zeros(tally.total.shape[1])
    return tally.total[key] / (tally.count[key] + k)


def _many(tally: Tally, keys: Array, k: float | None) -> Array:
    """What many keys add, ``(n, outputs)``."""
    if k is None:
        return np.zeros((len(keys), tally.total.shape[1]))
    inside = (keys > 0) & (keys < len(tally.count))
    at = np.where(inside, keys, 0)
    return np.where(inside[:, None], tally.total[at] / (tally.count[at] + k)[:, None], 0.0)
