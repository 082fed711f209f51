"""From columns to what a domain is made of: labels, features, tasks, and the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mtrec.domains.own import field, kinds, times, values, wide
from mtrec.domains.own.columns import CODED, Column
from mtrec.domains.own.inspect import Inspection
from mtrec.domains.own.settings import called
from mtrec.domains.own.sides import side_name
from mtrec.registry import LARGEST
from mtrec.tables import identifiers
from mtrec.tables import split as splits

CLASSES = 50  # distinct values of a column that becomes a multi-class task, at most
NEXT = 3  # such tasks, at most
SEQUENTIAL = ("sasrec",)  # specialists for what comes next, besides those that every domain asks
MEANS = "running_mean"  # who rates high and what is rated high says most of a rating
SHARES = (0.1, 0.1)  # of validation and test rows
CLICKED = {"click", "clicked", "clicks"}
SHOWN = 0.05  # share of rows without a click, from which rows are what was shown


@dataclass(frozen=True)
class Task:
    """A task of the proposal."""

    name: str
    type: str
    view: str
    label: str
    question: str
    when: str | None = None
    offset: str | None = None
    peers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the columns of events become."""

    rating: Column | None
    two: bool  # the rating has two values, so that it is a like and nothing more
    like: float | None
    numeric: tuple[str, ...]
    amounts: tuple[str, ...]
    binary: tuple[str, ...]
    chosen: str | None
    type: str | None
    types: dict[str, tuple[str, ...]]
    when: dict[str, str]
    next_of: tuple[Column, ...]
    called_by: Mapping[str, str]  # what the file calls columns of items
    peers: tuple[str, ...]  # of the next item
    split: str

    @classmethod
    def of(cls, frames: Mapping[str, pd.DataFrame], found: Inspection) -> Plan:
        """What follows from inspected files."""
        events = frames["events"]
        rating = next(iter(found.named("events", "rating")), None)
        stars = values.ratings(events[rating.name]) if rating else pd.Series(dtype="float64")
        numeric = [column.name for column in found.named("events", "numeric")]
        binary = [column.name for column in found.named("events", "binary")]
        kind = next((column.name for column in found.named("events", "kinds")), None)
        types, when = kinds.labels(events[kind]) if kind else ({}, {})
        like = like_from(stars)
        taken = {called(name, like is not None) for name in binary}
        renamed = {n: f"type_{n}" if n in taken or called(n, True) != n else n for n in types}
        return cls(
            rating=rating,
            two=stars.nunique() == 2,
            like=like,
            numeric=tuple(numeric),
            amounts=tuple(wide.amounts(events, numeric)),
            binary=tuple(binary),
            chosen=next((name for name in binary if _shows(name, events[name])), None),
            type=kind,
            types={renamed[name]: listed for name, listed in types.items()},
            when={renamed[name]: renamed[parent] for name, parent in when.items()},
            next_of=_next_columns(frames, found),
            called_by={c.name: found.called("items", c.name) for c in found.items},
            peers=_sequential(frames, found),
            split=_split(events, found),
        )

    def called(self, column: str) -> str:
        """What a column of events is called in the tables."""
        return called(column, self.like is not None)

    def tasks(self) -> list[Task]:
        """Tasks that follow, the next item first."""
        ask = "Which item does the user choose next?"
        tasks = [Task("next_item", "ranking", "user", "next_item", ask, peers=self.peers)]
        if self.rating and not self.two:
            ask = "What rating will the user give this item?"
            tasks.append(Task("rating", "regression", "joint", "rating", ask, offset=MEANS))
        if self.like is not None:
            ask = "Will the user like this item?"
            tasks.append(Task("like", "binary", "joint", "like", ask, offset=MEANS))
        for name in self.binary:
            label, ask = self.called(name), f"{words(name).capitalize()}: yes or no?"
            tasks.append(Task(label, "binary", "joint", label, ask))
        for label in self.types:
            ask = f"Does it come to {words(label)}?"
            tasks.append(Task(label, "binary", "joint", label, ask, self.when.get(label)))
        for name in self.amounts:
            label, ask = self.called(name), f"How much will it be: {words(name)}?"
            tasks.append(Task(label, "regression", "joint", label, ask))
        for column in self.next_of:
            kind = "multilabel" if column.kind == "multi" else "multiclass"
            label = f"next_{side_name(column.name, 'item')}"
            ask = f"Which {words(self.called_by[column.name])} does the user choose next?"
            tasks.append(Task(label, kind, "user", label, ask))
        return tasks


def like_from(ratings: pd.Series) -> float | None:
    """The rating that divides the known ones most evenly, or None if there is but one value.

    Example:
        >>> like_from(pd.Series([1.0, 2, 3, 4, 4, 5]))
        4.0
    """
    known = ratings.dropna()
    if len(known) > 100_000:
        known = known.iloc[:: len(known) // 100_000]
    share = known.value_counts(normalize=True).sort_index(ascending=False).cumsum()[:-1]
    return None if share.empty else float((share - 0.5).abs().idxmin())


def words(name: str) -> str:
    """A name as part of a sentence.

    Example:
        >>> words("isRead"), words("next_item")
        ('is read', 'next item')
    """
    return " ".join(field.tokens(name))


def _shows(name: str, cells: pd.Series) -> bool:
    """Whether a yes-or-no column says which of the items shown was clicked."""
    said = values.yes_or_no(cells)
    return bool(set(field.tokens(name)) & CLICKED) and bool((said == 0).mean() >= SHOWN)


def _sequential(frames: Mapping[str, pd.DataFrame], found: Inspection) -> tuple[str, ...]:
    """Specialists that read the order of events, if there are times, and not too many items."""
    tables = [table for table in ("events", "items") if table in frames]
    columns = [frames[table][found.named(table, "item_id")[0].name] for table in tables]
    ids = pd.concat([identifiers.clean(column).drop_duplicates() for column in columns])
    ordered = found.named("events", "timestamp")
    return SEQUENTIAL if ordered and ids.nunique() <= LARGEST else ()


def _next_columns(frames: Mapping[str, pd.DataFrame], found: Inspection) -> tuple[Column, ...]:
    frame = frames["events" if "items" in found.of_events else "items"] if found.items else None
    columns = [
        column
        for column in found.named("items", "categorical", "multi")
        if column.kind == "multi" or (frame is not None and frame[column.name].nunique() <= CLASSES)
    ]
    order = ("multi", "categorical", "codes")  # what has a meaning of its own comes first
    return tuple(
        sorted(columns, key=lambda c: order.index("codes" if CODED in c.reason else c.kind))[:NEXT]
    )


def _split(events: pd.DataFrame, found: Inspection) -> str:
    """``given``, or ``temporal`` if there are times, and enough of them for three splits."""
    if found.named("events", "split"):
        return "given"
    time = next(iter(found.named("events", "timestamp")), None)
    if time is None:
        return "random"
    known = times.times(events[time.name], time.detail).dropna()
    parts = splits.temporal(known.to_frame("timestamp"), SHARES, 0) if len(known) else known
    return "temporal" if parts.nunique() == 3 else "random"
