"""What the columns of a stranger's files are: a proposal with a reason for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from mtrec.domains.own import kinds, values, wide
from mtrec.domains.own.cells import headers, samples
from mtrec.domains.own.columns import Column, describe, has_points
from mtrec.domains.own.roles import event_roles, key_column
from mtrec.domains.own.sides import from_events

SIDES = (("items", "item_id"), ("users", "user_id"))
SPLIT = "says what is for training and what for test"


@dataclass(frozen=True)
class Inspection:
    """Columns of each file that was given.

    Attributes:
        of_events: sides without a file, about which the events tell.
        headers: what each file calls its columns, where that could not be kept.
    """

    events: tuple[Column, ...]
    items: tuple[Column, ...] = ()
    users: tuple[Column, ...] = ()
    of_events: tuple[str, ...] = ()
    headers: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def named(self, table: str, *kinds: str) -> list[Column]:
        """Columns of ``table`` that are of one of ``kinds``."""
        return [column for column in getattr(self, table) if column.kind in kinds]

    def called(self, table: str, name: str) -> str:
        """What the file calls a column."""
        source = "events" if table in self.of_events else table
        return self.headers.get(source, {}).get(name, name)

    def shown(self, table: str, column: Column) -> str:
        """The name of a column, with what the file calls it."""
        called = self.called(table, column.name)
        return column.name if called == column.name else f"{column.name} ({called})"

    def frame(self) -> pd.DataFrame:
        """``file``, ``column``, ``taken for``, ``because``, ``for example``: a row per column."""
        rows = [
            (f"events: {table}" if table in self.of_events else table, self.shown(table, column),
             f"{column.kind} {column.detail}".strip(), column.reason, column.samples)
            for table in ("events", "items", "users")
            for column in getattr(self, table)
        ]  # fmt: skip
        names = ["file", "column", "taken for", "because", "for example"]
        return pd.DataFrame(rows, columns=names)


def inspect(
    frames: dict[str, pd.DataFrame], roles: dict[str, str | None] | None = None,
    time_unit: str | None = None,
) -> Inspection:  # fmt: skip
    """Propose what each column is.

    Args:
        frames: ``events`` and perhaps ``items`` and ``users``, as text cells.
        roles: columns that the user named for ``user_id``, ``item_id``, ``timestamp``, ``rating``.
        time_unit: how times are to be read, if the user said so.

    Raises:
        FileError: a column that was named does not exist or cannot play its role, or no column
            can be found for users or items.
    """
    events = frames["events"]
    named = {k: v for k, v in (roles or {}).items() if v}
    chosen = event_roles(events, frames, named, time_unit)
    rest = [name for name in events if name not in {column.name for column in chosen}]
    chosen += _splits(events, rest)
    rest = [name for name in rest if name not in {column.name for column in chosen}]
    found: dict[str, tuple[Column, ...]] = {}
    of_events = []
    for table, role in SIDES:
        own = next(column.name for column in chosen if column.kind == role)
        if table in frames:
            key = key_column(frames[table], table, role, events[own], own)
            others = [name for name in frames[table] if name != key.name]
            found[table] = (key, *_described(frames[table], others, False))
        elif columns := wide.owned(events, [c for c in rest if not _kinds(events[c])], own):
            told = _described(from_events(events, own, columns), columns, False)
            told = [column for column in told if column.kind != "unused"]
            if told:
                key = Column(own, role, "one row for each, told by the events that name it")
                found[table] = (key, *told)
                of_events.append(table)
                rest = [name for name in rest if name not in {column.name for column in told}]
    found["events"] = (*chosen, *_one_of_a_kind(_described(events, rest, True), events))
    lost = {table: headers(frame) for table, frame in frames.items()}
    return Inspection(**found, of_events=tuple(of_events), headers=lost)


def _described(frame: pd.DataFrame, columns: list[str], event: bool) -> list[Column]:
    pointed = [name for name in frame if has_points(frame[name])]
    return [describe(frame[c], event, bool(set(pointed) - {c})) for c in columns]


def _splits(events: pd.DataFrame, columns: list[str]) -> list[Column]:
    """Columns that say of each event whether it is for training or test; the first is taken."""
    found: list[Column] = []
    for name in columns:
        words = set(events[name].dropna().str.strip().str.lower()) - {""}
        if words <= set(values.SPLITS) and {"train", "test"} <= {values.SPLITS[w] for w in words}:
            kind, reason = ("unused", "another split") if found else ("split", SPLIT)
            found.append(Column(name, kind, reason, samples=samples(events[name])))
    return found


def _kinds(cells: pd.Series) -> bool:
    return kinds.is_kinds(str(cells.name), cells.dropna().str.strip())


def _one_of_a_kind(columns: list[Column], events: pd.DataFrame) -> list[Column]:
    """The same columns, the first that says what happened marked as such."""
    first = next((c.name for c in columns if c.kind != "binary" and _kinds(events[c.name])), None)
    return [
        replace(c, kind="kinds", reason="what happened") if c.name == first else c for c in columns
    ]
