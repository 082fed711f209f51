"""What users met, as of now: all that rankings read of it, in arrays that events add to."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from mtrec.features.events import Events
from mtrec.peers.base import LONGEST
from mtrec.service.rows import Ids

Array = np.ndarray
FAR = 500.0  # half-lives from the moment that counts are of, after which they are of a later one


class Past:
    """Who met what and when, of the data and since.

    Args:
        events: of the data, by user and time; those that have no time are not of the past.
        users: all users.
        items: size of the catalogue.
        now: milliseconds; of the latest event of the data.
    """

    def __init__(self, events: Events, users: Ids, items: int, now: int):
        known = (events.user > 0) & (events.time <= now)
        known[0] = False
        self._item, self._time = events.item[known], events.time[known]
        self._ends = np.searchsorted(events.user[known], np.arange(users.modelled), "right")
        self._since: dict[int, list[tuple[int, int]]] = {}  # time and item, by user
        self._size, self._counts = items, dict[float, _Counts]()

    def add(self, user: int, item: int, time: int) -> None:
        """Count an event.

        Args:
            user: row of the user.
            item: row of the item in the model; 0 if it does not know the item.
            time: milliseconds.
        """
        own = self._since.setdefault(user, [])
        own.insert(bisect_right(own, time, key=lambda one: one[0]), (time, item))
        if len(own) > LONGEST:
            del own[0]
        for counts in self._counts.values():
            counts.add(item, time)

    def met(self, users: Array) -> tuple[Array, Array, Array]:
        """As :attr:`mtrec.peers.base.Question.met`, for rows of users ``(n,)``."""
        items = [self._items(int(user)) for user in users]
        row = np.repeat(np.arange(len(items)), [len(own) for own in items])
        ago = [np.arange(len(own) - 1, -1, -1.0) for own in items]
        item, back = np.concatenate([np.zeros(0, int), *items]), np.concatenate([[], *ago])
        known = item > 0
        return row[known], item[known], back[known]

    def _items(self, user: int) -> Array:
        """Rows of the items that a user met, the latest last."""
        since = self._since.get(user, [])
        if not 0 < user < len(self._ends):
            return np.array([item for _, item in since], dtype="int64")
        own = slice(max(self._ends[user - 1], self._ends[user] - LONGEST), self._ends[user])
        if not since:
            return self._item[own].astype("int64")
        time = np.append(self._time[own], [moment for moment, _ in since])
        item = np.append(self._item[own], [item for _, item in since]).astype("int64")
        return item[np.argsort(time, kind="stable")][-LONGEST:]

    def popular(self, half_life: float, now: int) -> Array:
        """Events of each item ``(items,)`` float32, older ones counting less.

        Args:
            half_life: milliseconds.
            now: milliseconds.
        """
        if half_life not in self._counts:
            counts = self._counts[half_life] = _Counts(self._size, half_life)
            counts.fill(self._item, self._time)
            for own in self._since.values():
                for time, item in own:
                    counts.add(item, time)
        return self._counts[half_life].at(now)


class _Counts:
    """Decayed counts of items; each event weighs as much as it did at one moment."""

    def __init__(self, items: int, half_life: float):
        self._counts, self._half_life = np.zeros(items + 1), half_life
        self._moment = self._latest = 0

    def fill(self, item: Array, time: Array) -> None:
        self._moment = self._latest = int(time.max(initial=0))
        weights = np.exp2((time - self._moment) / self._half_life)
        self._counts += np.bincount(item, weights, minlength=len(self._counts))

    def add(self, item: int, time: int) -> None:
        if not item:  # that the model does not know
            return
        ahead = (time - self._moment) / self._half_life
        if ahead > FAR:
            self._counts *= np.exp2(-ahead)
            self._moment, ahead = time, 0.0
        self._counts[item] += np.exp2(ahead)
        self._latest = max(self._latest, time)

    def at(self, now: int) -> Array:
        moment = min(now, self._latest + 1)
        scale = np.exp2(-(moment - self._moment) / self._half_life)
        return (self._counts[1:] * scale).astype("float32")
