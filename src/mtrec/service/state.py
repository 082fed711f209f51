"""What is known of users and items at this moment, in arrays that events change one by one.

After any number of events a request is answered as :func:`mtrec.load` would answer it on data that
hold them: the same histories, running means, context and met items. Users and items that the model
does not know have rows of their own, and the model's unknown embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.domains.online import Last, Online, Running
from mtrec.features import links
from mtrec.features.assemble import encode_labels
from mtrec.features.dataset import Dataset
from mtrec.features.events import milliseconds
from mtrec.features.offsets import RunningMean, input_name, label_rows
from mtrec.registry import TASK_TYPES, Form
from mtrec.service.context import LastValue, Rule, Side
from mtrec.service.means import LiveMean
from mtrec.service.rows import Ids, grown

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables

Array = np.ndarray
Event = Mapping[str, Any]
DAY = 86_400_000  # milliseconds
FORMS = {  # what a label must be
    Form.BIT: lambda label: isinstance(label, int | float) and label in (0, 1),
    Form.CLASS: lambda label: isinstance(label, str),
    Form.LEVEL: lambda label: isinstance(label, int | float),
    Form.NUMBER: lambda label: isinstance(label, int | float),
    Form.SET: lambda label: isinstance(label, list) and all(isinstance(x, str) for x in label),
    Form.RANK: lambda label: isinstance(label, str),
}
REMEMBERED = 4096  # labels whose encoding is kept, by task


class State:
    """Users and items of a domain as of the last accepted event.

    Args:
        recommender: a loaded model with the state of its data.
        tables: these data.
        tasks: settings of its tasks.
        rules: what events change.
        means: running means that no head starts from, but that somebody asks for, by task.

    Attributes:
        users: ids and rows of users.
        items: ids and rows of items.
        now: milliseconds; requests are answered as of then.
    """

    def __init__(
        self,
        recommender: Recommender,
        tables: Tables,
        tasks: Mapping[str, Task],
        rules: Online,
        means: Mapping[str, RunningMean] | None = None,
    ):
        encoder = recommender.assembly.encoder
        self.encoder, self.types, self.tasks = encoder, recommender.assembly.types, tasks
        self.rules = rules
        self.users, self.items = Ids(encoder.user.ids), Ids(encoder.item.ids)
        self.now = int(recommender.now.value // 1_000_000)
        self._scale = np.array([encoder.event.mean, encoder.event.deviation])
        self._fill_histories(recommender)
        self._met = recommender.met
        self._met_since: dict[int, set[int]] = {}
        self._ranked = any(kind.candidates for kind in self.types.values())
        self.sides = {
            side: Side(ids, encoder.contexts[side].columns, recommender.context.get(side))
            for side, ids in (("user", self.users), ("item", self.items))
            if side in encoder.contexts
        }
        self._key_columns = {r.key for r in rules.columns if isinstance(r, Running) and r.key}
        self._keys = {
            column: dict(
                zip(tables.items["item_id"], tables.items[column].astype(str), strict=True)
            )
            for column in self._key_columns
        }
        self._fill_rules(tables)
        self._heads = tuple(recommender.assembly.offsets)
        self._fill_means({**(means or {}), **recommender.assembly.offsets}, tables)
        self._encoded: dict[tuple[str, Any], Array | None] = {}

    def _fill_histories(self, recommender: Recommender) -> None:
        events, length = recommender.events, self.encoder.history_length
        self._features = events.features.shape[1]
        self.history_items = np.zeros((len(self.users), length), "int32")
        self.history_times = np.zeros((len(self.users), length), "int64")
        self.history_values = np.zeros((len(self.users), length, self._features), "float32")
        self.history_sizes = np.zeros(len(self.users), "int32")
        user = events.user[1:]
        after = np.searchsorted(user, user, side="right")
        place = np.arange(len(user)) - after  # -1 is the last
        rows = np.flatnonzero((user > 0) & (place >= -length))
        self.history_items[user[rows], place[rows]] = events.item[1:][rows]
        self.history_times[user[rows], place[rows]] = events.time[1:][rows]
        self.history_values[user[rows], place[rows]] = events.features[1:][rows]
        np.maximum.at(self.history_sizes, user[rows], -place[rows])

    def _fill_rules(self, tables: Tables) -> None:
        examples = tables.examples
        known = (examples["split"] == "train").to_numpy() | self.rules.held_out
        self._running: dict[str, list[Rule]] = {"user": [], "item": []}
        self._last: dict[str, list[LastValue]] = {"user": [], "item": []}
        for rule in self.rules.columns:
            ids = self.users if rule.side == "user" else self.items
            if isinstance(rule, Last):
                last = LastValue(rule)
                if rule.value in tables.events:
                    rows = np.array([ids.add(n) for n in tables.events[f"{rule.side}_id"]])
                    values = tables.events[rule.value].to_numpy(dtype="float64")
                    last.fill(rows, milliseconds(tables.events["timestamp"]), values)
                self._last[rule.side].append(last)
            else:
                one = Rule(rule, ids, self.users)
                one.fill(examples, known, self._keys.get(rule.key, {}))
                self._running[rule.side].append(one)
        timed = examples[examples["timestamp"].notna()]
        for name, side in self.sides.items():
            latest = timed.groupby(f"{name}_id")["timestamp"].max()
            rows = np.array([side.ids.add(str(one)) for one in latest.index], dtype="int64")
            side.room()
            side.time[rows] = milliseconds(latest)

    def _fill_means(self, offsets: Mapping[str, RunningMean], tables: Tables) -> None:
        self.means: dict[str, LiveMean] = {}
        if not offsets:
            return
        entities = self.encoder.entities(tables.examples)
        wanted = {name: self.types[name] for name in offsets}
        data = Dataset(entities, *encode_labels(tables.examples, self.tasks, wanted))
        for name, fitted in offsets.items():
            kind, view = self.types[name], self.tasks[name].view
            rows, _ = label_rows(name, kind, view, data, tables)
            self.means[name] = LiveMean(fitted, rows)

    # -- events ------------------------------------------------------------------------------

    def labels(self, event: Event) -> dict[str, Any]:
        """Labels of an event: those it brings, and those that follow from its values."""
        found = dict(event.get("labels") or {})
        if event.get("item_id") and event.get("happened", True):
            found.setdefault("next_item", event["item_id"])
        values = event.get("values") or {}
        for label, (column, least) in self.rules.labels.items():
            value = values.get(column)
            if label not in found and value is not None:
                found[label] = float(value) if least is None else float(value >= least)
        return found

    def check(self, event: Event) -> None:
        """Refuse an event that could not be counted.

        Raises:
            ValueError: a column, a label or its value is unknown.
        """
        known = {
            "values": set(self.encoder.event.columns) | {c for c, _ in self.rules.labels.values()},
            "labels": {task.label for task in self.tasks.values()},
            "context": {name for side in self.sides.values() for name in side.columns},
        }
        for part, names in known.items():
            strange = sorted(set(event.get(part) or {}) - names)
            if strange:
                listed = ", ".join(sorted(names)) or "none"
                raise ValueError(f"{part}: there is no '{strange[0]}' (known: {listed})")
        labels = self.labels(event)
        for name, task in self.tasks.items():
            label = labels.get(task.label)
            if label is None:
                continue
            good = FORMS[TASK_TYPES.forms[task.type]](label)
            if good and name in self.means:
                try:
                    self._encode(name, label)
                except (ValueError, TypeError):
                    good = False
            if not good:
                raise ValueError(
                    f"labels: '{task.label}' cannot be {label!r:.60}, which is not "
                    f"{TASK_TYPES.forms[task.type].value}"
                )

    def add(self, event: Event) -> bool:
        """Count an accepted event.

        Returns:
            Whether it is older than another one of its user or item: what it changes in histories
            and counts is exact, running means of its user judge it by what is known today.
        """
        time, item_id = int(event["time"]), event.get("item_id")
        user = self.users.add(event["user_id"])
        item = self.items.add(item_id) if item_id else 0
        labels = self.labels(event)
        self._room()
        for column, value in (event.get("item") or {}).items():
            if column in self._keys and item_id:
                self._keys[column].setdefault(item_id, str(value))
        happened = bool(item) and event.get("happened", True)
        late = happened and self._add_to_history(user, item, time, event.get("values") or {})
        late |= self._add_to_context(user, item, time, event, labels)
        for name, mean in self.means.items():
            self._add_to_mean(name, mean, user, item, time, labels)
        if happened:
            self.now = max(self.now, time + 1000)
        return late

    def _room(self) -> None:
        rows = len(self.users)
        self.history_items = grown(self.history_items, rows)
        self.history_times = grown(self.history_times, rows)
        self.history_values = grown(self.history_values, rows)
        self.history_sizes = grown(self.history_sizes, rows)
        for side in self.sides.values():
            side.room()

    def _add_to_history(self, user: int, item: int, time: int, values: Mapping) -> bool:
        """Put the event behind the user's events of its time or before; True if it is not last."""
        row = self.items.learnt(item)
        if self._ranked and item:
            self._met_since.setdefault(user, set()).add(item)
        length, size = self.history_items.shape[1], int(self.history_sizes[user])
        times = self.history_times[user]
        newer = int((times[length - size :] > time).sum())
        at = length - 1 - newer  # -1: all that are kept are newer
        new = (row, time, self._scaled(values))
        for table, value in zip(
            (self.history_items, self.history_times, self.history_values), new, strict=True
        ):
            own = table[user]
            own[: max(at, 0)] = own[1 : at + 1]
            if at >= 0:
                own[at] = value
        self.history_sizes[user] = min(size + 1, length)
        return newer > 0

    def _scaled(self, values: Mapping[str, float | None]) -> Array:
        """Standardised event columns, 0 where missing."""
        raw = np.array([values.get(c) for c in self.encoder.event.columns], dtype="float64")
        scaled = (raw - self._scale[0]) / self._scale[1]
        return np.where(np.isnan(raw), 0.0, scaled).astype("float32")

    def _add_to_context(
        self, user: int, item: int, time: int, event: Event, labels: Mapping[str, Any]
    ) -> bool:
        late = False
        for name, row in (("user", user), ("item", item)):
            if not row:
                continue
            keys = {c: known.get(event.get("item_id")) for c, known in self._keys.items()}
            for rule in self._running[name]:
                rule.add(row, keys.get(rule.rule.key), time, labels)
            values = event.get("values") or {}
            for last in self._last[name]:
                value = values.get(last.rule.value)
                last.add(row, time, np.nan if value is None else float(value))
            side = self.sides.get(name)
            if side is None:
                continue
            late |= time < side.time[row]
            given = event.get("context") or {}
            newest = time >= side.time[row]
            side.time[row] = max(int(side.time[row]), time)
            self._refresh(side, name, row, keys)
            if newest:
                for column, value in given.items():
                    if value is not None:
                        side.put(row, column, float(value))
        return bool(late)

    def _refresh(self, side: Side, name: str, row: int, keys: Mapping[str, str | None]) -> None:
        """Columns that follow from rules, as of the latest event of the user or item."""
        time = int(side.time[row])
        for rule in self._running[name]:
            for column, value in rule.before(row, keys.get(rule.rule.key), time).items():
                side.put(row, column, value)
        for last in self._last[name]:
            side.put(row, last.rule.column, last.before(row, time))

    def _add_to_mean(
        self, name: str, mean: LiveMean, user: int, item: int, time: int, labels: Mapping[str, Any]
    ) -> None:
        task = self.tasks[name]
        label, parent = labels.get(task.label), task.when
        while parent is not None:
            if labels.get(self.tasks[parent].label) != 1:
                return
            parent = self.tasks[parent].when
        outcome = self._encode(name, label) if label is not None else None
        if outcome is not None:
            view = task.view
            mean.add(0 if view == "user" else item, 0 if view == "item" else user, time, outcome)

    def _encode(self, name: str, label: Any) -> Array | None:
        """A label as numbers whose running mean is kept; None where the task does not know it."""
        key = (name, tuple(label) if isinstance(label, list) else label)
        if key not in self._encoded:
            kind = self.types[name]
            plain = isinstance(label, int | float)
            column = pd.Series(
                [float(label)] if plain else [label], dtype=float if plain else object
            )
            values, known = kind.encode(column)
            if len(self._encoded) >= REMEMBERED:
                self._encoded.clear()
            self._encoded[key] = (
                kind.outcomes(values)[0] if known[0] and name in self.means else None
            )
        return self._encoded[key]

    # -- requests ----------------------------------------------------------------------------

    def met(self, user: int) -> Array:
        """Rows of items that a user met before."""
        since = np.fromiter(self._met_since.get(user, ()), dtype="int64")
        if not 0 < user < self.users.modelled:
            return since
        first, last = np.searchsorted(self._met[:, 0], [user, user + 1])
        known = self._met[first:last, 1]
        return np.concatenate([known, since]) if len(since) else known

    def inputs(
        self, users: Array, items: Array, given: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """The model's inputs for rows of users and items, ``(n,)`` each; 0 for none.

        Args:
            users: rows of users.
            items: rows of items.
            given: context columns that replace the latest known ones where they are not NaN.
        """
        filled = np.arange(self.history_items.shape[1]) >= (
            self.history_items.shape[1] - self.history_sizes[users][:, None]
        )
        days = (self.now - self.history_times[users]) / DAY
        recency = np.where(filled, np.log1p(np.maximum(days, 0.0)), 0.0)[..., None] / 5.0
        events = np.concatenate([self.history_values[users], recency], axis=-1)
        found = {
            "user": self.users.model(users),
            "item": self.items.model(items),
            "history_items": self.history_items[users],
            "history_events": events.astype("float32"),
        }
        for name in self.encoder.contexts:
            found[f"{name}_context"] = self._context(name, self.context(name, users, items, given))
        for task in self._heads:
            logits = self.types[task].logits(self.means[task].means(items, users))
            found[input_name(task)] = logits.astype("float32")
        for task in links.linked(self.types):
            found[links.input_name(task)] = np.zeros(len(users), "int32")
        return found

    def context(
        self, side: str, users: Array, items: Array, given: Mapping[str, Array] | None = None
    ) -> Array:
        """Context columns of a side ``(n, columns)``, NaN where unknown; see :meth:`inputs`."""
        columns = self.encoder.contexts[side].columns
        values = np.full((len(users), len(columns)), np.nan)
        if side in self.sides:
            rows = users if side == "user" else items
            values[:] = self.sides[side].values[rows]
            values[rows == 0] = np.nan
        for at, column in enumerate(columns):
            if given is not None and column in given:
                values[:, at] = np.where(np.isnan(given[column]), values[:, at], given[column])
        return values

    def _context(self, side: str, values: Array) -> Array:
        """Standardised values and missing flags, as :class:`mtrec.features.fields.Scaler` does."""
        found = self.encoder.contexts[side].standardised(values)
        imputer = self.encoder.imputers.get(side)
        return found if imputer is None else imputer(found)
