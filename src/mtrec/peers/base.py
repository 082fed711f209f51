"""What a peer gets to see, and what it is once it is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from mtrec.features.candidates import left_out
from mtrec.features.encoder import Encoder, usable_events
from mtrec.features.events import Events, milliseconds
from mtrec.features.fields import Side
from mtrec.features.visibility import Visible, visible
from mtrec.metrics.ranks import ranks
from mtrec.registry import METRICS, TASK_TYPES, Form
from mtrec.tasks.base import TaskType

Array = np.ndarray
CHOOSING = 2000  # validation rows on which a ranking peer's settings are compared, at most
LONGEST = 500  # of a user's last events that are read


class NoAnswer(ValueError):
    """A peer does not learn such a task; the message says which ones it learns."""


class TooMany(NoAnswer):
    """A peer learns such a task, but not so many candidates: it steps aside."""


@dataclass(frozen=True)
class Question:
    """Rows that a fitted peer is asked about, with what is known at their moment.

    The same for rows of the examples table and for requests to a model in service.

    Attributes:
        rows: ``user_id``, ``item_id``, ``timestamp`` and context columns, ``n`` rows.
        encoder: features, fitted on the training split.
        events: what users met, by user and time; of a row those strictly before its time.
        kind: fitted task type.
        seen: features that the head may see.
        running_mean: of the label before each row, ``(n,)`` or ``(n, outputs)``, where the models'
            heads start from it; else None.
        means: the same for every task that does not rank; None if nobody computed them.
    """

    rows: pd.DataFrame
    encoder: Encoder
    events: Events
    kind: TaskType
    seen: Visible
    running_mean: Array | None = None
    means: Array | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def user(self) -> Array:
        """Row of each user in the encoder, ``(n,)``; 0 where unknown."""
        return self.encoder.user.rows(self.rows["user_id"])

    @cached_property
    def item(self) -> Array:
        """Row of each item in the encoder, ``(n,)``; 0 where unknown."""
        return self.encoder.item.rows(self.rows["item_id"])

    @cached_property
    def time(self) -> Array:
        """Milliseconds since 1970, ``(n,)``; far in the future where missing."""
        return milliseconds(self.rows["timestamp"])

    def context(self, side: str) -> Array:
        """Context columns of a side, ``(n, columns, 2)``: standardised value, missing flag."""
        return self.encoder.context(side, self.rows)

    @cached_property
    def histories(self) -> tuple[Array, Array]:
        """The last events of each row's user before it, as the models read them.

        Items ``(n, length)``, oldest first and 0 where there is none, and event columns with the
        events' recency ``(n, length, columns + 1)``.
        """
        inputs = self.encoder.inputs(self.rows, self.events)
        return inputs["history_items"], inputs["history_events"]

    @cached_property
    def met(self) -> tuple[Array, Array, Array]:
        """What each row's user met before it, as far back as :data:`LONGEST` events.

        Number of the row, row of the item, and how many events ago (0 is the last).
        """
        events = self.events
        span, origin = np.int64(2**43), int(events.time[1:].min(initial=0))
        key = events.user[1:].astype("int64") * span + np.maximum(events.time[1:] - origin, 0)
        user = self.user.astype("int64") * span
        stop = np.searchsorted(key, user + np.maximum(self.time - origin, 0))
        start = np.maximum(np.searchsorted(key, user), stop - LONGEST)
        count = np.where(self.user > 0, np.maximum(stop - start, 0), 0)
        row = np.repeat(np.arange(len(self)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        item = events.item[1 + np.repeat(start, count) + within]
        ago = np.repeat(count, count) - 1 - within
        known = item > 0
        return row[known], item[known], ago[known].astype("float64")

    def popular(self, half_life: float) -> Array:
        """How often each item was met before each row, older events counting less.

        Args:
            half_life: milliseconds.

        Returns:
            ``(n, items)`` float32.
        """
        return decayed(self.events, self.time, self.kind.outputs, half_life)


class Specialist(ABC):
    """A fitted peer: it answers any rows, and can be saved and asked again.

    A subclass is a frozen dataclass whose fields are arrays, which is all that is saved.
    """

    @abstractmethod
    def answer(self, asked: Question) -> Array:
        """Predictions in the form of the task type's ``predict``, ``(n, ...)``."""

    def state(self) -> dict[str, Array]:
        """What to save, by name; no array holds objects."""
        return {one.name: np.asarray(getattr(self, one.name)) for one in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def restored(cls, state: Mapping[str, Array]) -> Self:
        """Undo :meth:`state`."""
        return cls(**state)


@dataclass(frozen=True)
class PeerTask:
    """One task with everything the models had: tables, features, labels and split.

    Attributes:
        name: of the task.
        task: its settings (:class:`mtrec.settings.Task`).
        kind: fitted task type.
        tables: the four tables.
        encoder: features, fitted on the training split.
        labels: encoded labels of all examples, ``(n, ...)``.
        mask: True where the label is known, ``(n,)``.
        seed: for peers that draw.
        running_mean: of the label before each row, ``(n,)`` or ``(n, outputs)``, where the models'
            heads start from it (``offset`` of the task); else None.
        cold: ``item`` or ``user`` where the entities of that side are held out; else None.
        means: as ``running_mean``, but whether heads start from it or not; None if nobody
            computed them.
    """

    name: str
    task: Any
    kind: TaskType
    tables: Any
    encoder: Encoder
    labels: Array
    mask: Array
    seed: int
    running_mean: Array | None = None
    cold: str | None = None
    means: Array | None = None

    def require(
        self, peer: str, forms: Collection[Form], also: bool = True, what: str = ""
    ) -> None:
        """Check that a peer predicts such a task.

        Args:
            peer: its name.
            forms: what labels it learns.
            also: whether the task is what the peer needs besides.
            what: that in words, "that see user and item".

        Raises:
            NoAnswer: it does not.
        """
        if self.kind.form in forms and also:
            return
        known = [name for name in TASK_TYPES.settable() if TASK_TYPES.forms[name] in forms]
        names = " and ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
        raise NoAnswer(
            f"task '{self.name}': peer {peer} predicts {names} tasks{what and ' ' + what} "
            f"(found: {TASK_TYPES.name_of(type(self.kind))}). Take it out of peers: in params.yaml."
        )

    def rows(self, split: str) -> Array:
        """Positions of the labelled examples of a split."""
        return np.flatnonzero((self.tables.examples["split"] == split).to_numpy() & self.mask)

    def placed(self, rows: Array, found: Array) -> Array:
        """Predictions of some rows among all examples; zero where a peer was not asked."""
        result = np.zeros((len(self.labels), *found.shape[1:]), dtype=found.dtype)
        result[rows] = found
        return result

    def question(self, rows: Array) -> Question:
        """Some of the examples as a fitted peer is asked about them."""
        start, means = (
            None if values is None else values[rows] for values in (self.running_mean, self.means)
        )
        examples = self.tables.examples.iloc[rows]
        return Question(examples, self.encoder, self.events, self.kind, self.seen, start, means)

    @cached_property
    def events(self) -> Events:
        """What histories may show."""
        return usable_events(self.tables, self.encoder)

    @cached_property
    def seen(self) -> Visible:
        """The features that the models' head sees."""
        return visible(self.name, self.task, self.encoder)

    @cached_property
    def entities(self) -> dict[str, Array]:
        """Rows of ``user`` and ``item`` in the encoder, of all examples, ``(n,)`` each."""
        return self.encoder.entities(self.tables.examples)

    @property
    def candidates(self) -> Side:
        """Users or items, whichever a ranking task has compete."""
        return self.encoder.user if self.kind.candidates == "users" else self.encoder.item

    def out(self, split: str) -> Array:
        """Candidates that do not compete whatever the user, ``(rows of the split, n)`` bool."""
        return self.kind.absent(self.labels[self.rows(split)])

    def without_ids(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of features but for the ids of the cold side, which held-out rows lack."""
        return tuple(name for name in names if name != f"{self.cold}_id")

    def judge(self, found: Array) -> float:
        """The main metric of predictions of the validation rows, negative if lower is better."""
        family, labels = METRICS[self.kind.metrics], self.labels[self.rows("validation")]
        if self.kind.candidates:
            found = ranks(found, labels, self.out("validation"))
        value = family.values(labels, found)[family.main]
        return value if family.higher_is_better[family.main] else -value

    @cached_property
    def choosing(self) -> Array:
        """Validation rows on which a ranking peer compares its settings: all, or some of many."""
        rows = self.rows("validation")
        drawn = np.random.default_rng(self.seed).permutation(len(rows))[:CHOOSING]
        return rows[np.sort(drawn)]

    def ranked(self, scores: Array) -> float:
        """The main metric of scores ``(n, candidates)`` of the rows of :attr:`choosing`."""
        family = METRICS[self.kind.metrics]
        places = ranks(scores, self.labels[self.choosing], self._rivals)
        return family.values(None, places)[family.main]

    @cached_property
    def _rivals(self) -> Array:
        """Candidates that do not compete in the rows of :attr:`choosing`."""
        return left_out(self.kind, self.encoder, self.tables, self.task.label, self.choosing)


def answers(found: Specialist | Array, asked: PeerTask, rows: Array) -> Array:
    """What a peer says of some examples.

    Args:
        found: what the peer's function returned: a fitted peer, or predictions of all examples.
        asked: what it was fitted on.
        rows: positions in the examples table.
    """
    return found.answer(asked.question(rows)) if isinstance(found, Specialist) else found[rows]


def decayed(events: Events, now: Array, items: int, half_life: float) -> Array:
    """Decayed counts of events strictly before each moment, ``(n, items)`` float32.

    Args:
        events: what users met.
        now: milliseconds, ``(n,)``; one after the last event is that of the last event.
        items: size of the catalogue.
        half_life: milliseconds.
    """
    known = events.item > 0
    order = np.argsort(events.time[known], kind="stable")
    item, time = events.item[known][order] - 1, events.time[known][order]
    now = np.minimum(now, time[-1] + 1) if len(time) else now
    moments, place = np.unique(now, return_inverse=True)
    stops = np.searchsorted(time, moments)
    found, counts = np.empty((len(moments), items), dtype="float32"), np.zeros(items)
    first, at = 0, moments[0] if len(moments) else 0
    for row, (moment, stop) in enumerate(zip(moments, stops, strict=True)):
        counts *= np.exp2(-(moment - at) / half_life)
        age = np.exp2(-(moment - time[first:stop]) / half_life)
        counts += np.bincount(item[first:stop], age, minlength=items)
        found[row], first, at = counts, stop, moment
    return found[place]
