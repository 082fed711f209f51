"""Context columns of users and items as events come; rules are in :mod:`mtrec.domains.online`.

A user's columns are those of the moment of his latest event, from what was known strictly before
it, as in the data: there every event is an example, and a request gets the latest example's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mtrec.domains.online import Last, Running
from mtrec.features.events import milliseconds
from mtrec.service.means import NEVER, Tally
from mtrec.service.rows import Ids, grown

Array = np.ndarray


class Side:
    """Context columns of all users or all items.

    Args:
        ids: of them.
        columns: names.
        known: latest known values by id, or None.
    """

    def __init__(self, ids: Ids, columns: tuple[str, ...], known: pd.DataFrame | None):
        self.ids, self.columns = ids, columns
        self.values = np.full((len(ids), len(columns)), np.nan)
        self.time = np.full(len(ids), NEVER)
        self.place = {name: at for at, name in enumerate(columns)}
        if known is not None:
            rows = np.array([ids.add(str(name)) for name in known.index], dtype="int64")
            self.room()
            self.values[rows] = known.to_numpy(dtype="float64")

    def room(self) -> None:
        """Make room for all ids."""
        self.values = grown(self.values, len(self.ids), np.nan)
        self.time = grown(self.time, len(self.ids), NEVER)

    def put(self, row: int, column: str, value: float) -> None:
        """Set a column, if it is one and the value is known."""
        at = self.place.get(column)
        if at is not None and value == value:
            self.values[row, at] = value


class Rule:
    """A rule with what it counted so far.

    Args:
        rule: the rule.
        ids: of its side.
        users: all users, whom a label may name.
    """

    def __init__(self, rule: Running, ids: Ids, users: Ids):
        self.rule = rule
        self.tally = Tally(1)
        self._ids = Ids(()) if rule.key else users if rule.named else ids

    def fill(self, rows: pd.DataFrame, known: Array, keys: Mapping[str, Any]) -> None:
        """Count the known rows of the data.

        Args:
            rows: examples with ``user_id``, ``item_id``, ``timestamp`` and labels.
            known: which of them may be counted.
            keys: value of the rule's key column by item id.
        """
        rule = self.rule
        if rule.label and rule.label not in rows:
            return
        counted = known & rows["timestamp"].notna().to_numpy()
        if rule.label:
            counted &= rows[rule.label].notna().to_numpy()
        rows = rows[counted]
        named = rows[rule.label] if rule.named else rows[f"{rule.side}_id"]
        if rule.key:
            named = named.map(keys)
        there = named.notna().to_numpy()
        rows, named = rows[there], named[there]
        values = (
            rows[rule.label].to_numpy(dtype="float64")
            if rule.label and not rule.named and rule.mean
            else np.ones(len(rows))
        )
        key = np.array([self._ids.add(str(name)) for name in named], dtype="int64")
        self.tally.fill(key, milliseconds(rows["timestamp"]), values[:, None])

    def add(self, own: int, key: str | None, time: int, labels: Mapping[str, Any]) -> None:
        """Count one event of the user or item in row ``own``."""
        rule = self.rule
        value = labels.get(rule.label) if rule.label else 1.0
        if value is None:
            return
        if rule.named:
            own = self._ids.add(str(value))
        elif rule.key:
            if key is None:
                return
            own = self._ids.add(key)
        if own:
            self.tally.add(own, time, float(value) if rule.mean and not rule.named else 1.0)

    def before(self, own: int, key: str | None, time: int) -> dict[str, float]:
        """Columns of the user or item in row ``own``, from what came strictly before ``time``."""
        if self.rule.key:
            own = self._ids.row.get(key or "", 0)
        total, count = self.tally.before(own, time) if own else (np.zeros(1), 0.0)
        found = {}
        if self.rule.count:
            found[self.rule.count] = count if self.rule.plain else float(np.log1p(count))
        if self.rule.mean:
            found[self.rule.mean] = float(total[0]) / count if count else np.nan
        return found


class LastValue:
    """The latest value of an event column by user or item.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Last):
        self.rule = rule
        self._now = np.full(1, np.nan)
        self._before = np.full(1, np.nan)
        self._time = np.full(1, NEVER)

    def fill(self, rows: Array, time: Array, values: Array) -> None:
        """Learn from past events, in any order."""
        for at in np.argsort(time, kind="stable"):
            self.add(int(rows[at]), int(time[at]), float(values[at]))

    def add(self, row: int, time: int, value: float) -> None:
        """One event, whose value may be missing."""
        self._now = grown(self._now, row + 1, np.nan)
        self._before = grown(self._before, row + 1, np.nan)
        self._time = grown(self._time, row + 1, NEVER)
        if time > self._time[row]:
            self._before[row], self._time[row] = self._now[row], time
        if value == value and time >= self._time[row]:
            self._now[row] = value

    def before(self, row: int, time: int) -> float:
        """The latest value strictly before a time, at or after the latest event."""
        if row >= len(self._time):
            return np.nan
        return float(self._now[row] if time > self._time[row] else self._before[row])
