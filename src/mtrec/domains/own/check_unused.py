"""Columns of one's own files that are not used, each with what would use it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from mtrec.domains.own.cells import shown
from mtrec.domains.own.columns import CODED, OF_DAY, Column, describe
from mtrec.domains.own.findings import Finding
from mtrec.domains.own.kinds import MOST
from mtrec.domains.own.sides import side_name

YAML = "params.yaml"
DULL = ("empty", "the same value everywhere", "row numbers")  # nothing would come of their use


def check_unused(
    frames: Mapping[str, pd.DataFrame], names: Mapping[str, str], data: Any, features: Any
) -> Iterator[Finding]:
    """Yield a note for each column that no setting names.

    Args:
        frames: text cells of each file that could be read.
        names: file name of each.
        data: :class:`mtrec.domains.own.settings.Settings`.
        features: :class:`mtrec.settings.Features`.
    """
    told = {column for side in (data.items, data.users) if side for column in side.of_events}
    for table, frame in frames.items():
        if table == "events":
            used = {*data.events.named, *told}
        elif (side := getattr(data, table)) is None:
            continue
        else:
            used = _used(side, getattr(features, table[:-1]), table[:-1], data, list(frame))
        left = [describe(frame[name], table == "events") for name in frame if name not in used]
        dull = [column for column in left if column.reason in DULL]
        if dull:
            listed = "; ".join(f"{shown(frame, c.name)}: {_why(c)}" for c in dull)
            yield Finding("note", names[table], "", f"not used, nothing can be learnt: {listed}",
                          "Nothing needs to be done.")  # fmt: skip
        for column in left:
            if column not in dull:
                way = _way(column, table, frame[column.name].nunique())
                yield Finding("note", names[table], shown(frame, column.name),
                              f"not used: {_why(column)}", way)  # fmt: skip


def _why(column: Column) -> str:
    return column.reason + ("" if column.reason == "empty" else f" ({column.samples})")


def _used(side: Any, features: Any, name: str, data: Any, columns: list[str]) -> set[str]:
    """Columns of a side's file that become the id, a feature, a label or part of the text."""
    seen = {*features.categorical, *features.multi, *features.numeric}
    if name == "item":
        seen |= set(data.next_of)
    found = {column for column in columns if side_name(column, name) in seen}
    return {side.id, *re.findall(r"\{(\w+)\}", side.text), *found}


def _way(column: Column, table: str, distinct: int) -> str:
    """What would use a column, as a sentence."""
    if table != "events":
        side = table[:-1]
        if column.kind in ("numeric", "multi"):
            kind = column.kind
            return f"Name it in data.{table}.{kind} and features.{side}.{kind} in {YAML}."
        return (
            f"Name it in features.{side}.categorical if its values repeat, or as "
            f"{{{column.name}}} in data.{table}.text in {YAML}."
        )
    if column.kind in ("numeric", "binary"):
        return f"Name it in data.events.{column.kind} in {YAML}."
    if column.reason.startswith("another time"):
        return f"--timestamp {column.name}, or data.events.timestamp in {YAML}, takes it instead."
    if column.reason == OF_DAY:
        return "Write date and time in one column, or events of one day have no order."
    told = f"If it tells about the item, name it in data.items.of_events in {YAML}"
    if distinct <= MOST and column.reason != CODED:
        told += "; if it says what happened, in data.events.type"
    return told + "."
