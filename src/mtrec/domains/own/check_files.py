"""Everything wrong with the files of a domain of one's own, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.domains.own import cells as plain
from mtrec.domains.own import check_cells, domain, files, values
from mtrec.domains.own.findings import Finding, examples
from mtrec.domains.own.sides import from_events
from mtrec.domains.own.table import FileError
from mtrec.tables import identifiers
from mtrec.tables.identifiers import lost_zeros

YAML = "params.yaml"


def read_all(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str], list[Finding]]:
    """Frames and file names of what can be read, and findings on what cannot."""
    frames, names, findings = {}, {}, []
    for table in ("events", "items", "users"):
        path = domain.find(folder, table)
        if path is None:
            if table == "events":
                findings.append(
                    Finding("error", f"{folder.parent.name}/{folder.name}", "", "no events file",
                            "Run `mtrec new` with --force to copy it there.")
                )  # fmt: skip
            continue
        names[table] = path.name
        try:
            frames[table] = files.read(path).frame
        except FileError as error:
            what, _, mend = str(error).partition(": ")[2].partition("; ")
            findings.append(Finding("error", path.name, "", what.rstrip("."), mend.capitalize()))
    return frames, names, findings


def check_files(
    frames: Mapping[str, pd.DataFrame], names: Mapping[str, str], settings: Any, now: pd.Timestamp
) -> Iterator[Finding]:
    """Yield what is wrong with columns, ids, times, numbers and references.

    Args:
        frames: text cells of each file that could be read.
        names: file name of each.
        settings: :class:`mtrec.domains.own.settings.Settings`.
        now: later times are in the future.
    """
    ids: dict[str, pd.Series] = {}
    if "events" in frames:
        cells, file, named = frames["events"], names["events"], settings.events
        wanted = {"user_id": named.user_id, "item_id": named.item_id}
        yield from _unknown(cells, file, "data.events", list(named.named))
        for key, column in wanted.items():
            if column in cells:
                ids[key] = identifiers.clean(cells[column])
                yield from check_cells.missing_ids(cells[column], ids[key], file, "warning")
                yield from check_cells.rounded(cells[column], file)
                yield from check_cells.lettered(ids[key], file, column)
        if named.timestamp in cells:
            yield from check_cells.times(cells[named.timestamp], named.time_unit, file, now)
        if named.rating in cells:
            stars = values.ratings(cells[named.rating])
            yield from check_cells.numbers(cells[named.rating], stars, file)
            yield from check_cells.placeholders(cells[named.rating], stars, file)
        for column in dict.fromkeys((*named.numeric, *named.amounts)):
            if column in cells:
                yield from check_cells.numbers(cells[column], values.numbers(cells[column]), file)
        for column in dict.fromkeys((*named.binary, *filter(None, [named.chosen]))):
            if column in cells:
                yield from check_cells.yes_or_no(cells[column], file)
        if named.type in cells:
            yield from check_cells.types(cells[named.type], settings.types, file)
        if len(ids) == 2:
            yield from _repeats(cells, ids, settings, file)
    for table, key in (("items", "item_id"), ("users", "user_id")):
        side = getattr(settings, table)
        if side is not None and side.of_events:
            if "events" in frames and {side.id, *side.of_events} <= set(frames["events"]):
                told = from_events(frames["events"], side.id, side.of_events)
                yield from _side(told, names["events"], table, side, None)
            continue
        if (side is None) != (table not in names):
            what = "is there, but not described" if side is None else "is described, but not there"
            yield Finding("error", YAML, f"data.{table}", f"the {table} file {what}",
                          "Run `mtrec new` with --force, or mend this key.")  # fmt: skip
        elif table in frames:
            yield from _side(frames[table], names[table], table, side, ids.get(key))


def _side(
    cells: pd.DataFrame, file: str, table: str, side: Any, seen: pd.Series | None
) -> Iterator[Finding]:
    yield from _unknown(cells, file, f"data.{table}", [side.id, *side.numeric, *side.multi])
    for column in side.numeric:
        if column in cells:
            yield from check_cells.numbers(cells[column], values.numbers(cells[column]), file)
    if side.id not in cells:
        return
    own_ids = identifiers.clean(cells[side.id])
    yield from check_cells.missing_ids(cells[side.id], own_ids, file, "error")
    yield from check_cells.rounded(cells[side.id], file)
    twice = own_ids.notna() & own_ids.duplicated()
    if twice.any():
        yield Finding("error", file, side.id, f"{twice.sum():,} rows repeat an id",
                      "Keep one row per id; the first would be used.",
                      examples(cells[side.id], twice))  # fmt: skip
    if seen is None:
        return
    known = pd.Index(seen.dropna().unique())
    idle = own_ids.notna() & ~own_ids.isin(known)
    if idle.any():
        yield Finding("warning", file, side.id,
                      f"{idle.sum():,} of {len(cells):,} {table} have no event",
                      "They are kept and known by their features alone; take them out if that is "
                      "not meant.", examples(cells[side.id], idle))  # fmt: skip
    lost = known[~known.isin(pd.Index(own_ids.dropna().unique()))]
    if len(lost):
        stripped = seen[seen.isin(lost)]
        pair = lost_zeros(own_ids, stripped) or lost_zeros(stripped, own_ids)
        if pair:
            yield Finding("error", file, side.id,
                          "ids lost their leading zeros, here or in events "
                          f"({pair[0]!r} for {pair[1]!r})",
                          "Save that file again with ids as text.")  # fmt: skip
        yield Finding("warning", file, side.id,
                      f"{len(lost):,} of {len(known):,} {table} in events have no row here",
                      "Add their rows; they are known by their ids alone.",
                      examples(seen, seen.isin(lost[:3])))  # fmt: skip


def _unknown(cells: pd.DataFrame, file: str, key: str, wanted: list[str]) -> Iterator[Finding]:
    for column in dict.fromkeys(wanted):
        if column not in cells:
            yield Finding("error", file, column,
                          f"no such column, but {YAML} names it under {key} (found: "
                          f"{plain.listed(cells)})",
                          f"Mend the name in {YAML}, or the file's header.")  # fmt: skip


def _repeats(
    cells: pd.DataFrame, ids: Mapping[str, pd.Series], settings: Any, file: str
) -> Iterator[Finding]:
    keys = pd.DataFrame(ids)
    time = settings.events.timestamp
    if time is not None and time in cells:
        keys["time"] = cells[time]
    twice = keys.duplicated() & keys.notna().all(axis=1)
    if twice.any():
        what = "user, item and time" if "time" in keys else "user and item"
        done, other = "kept as events", "collapse takes one of each"
        if settings.repeats == "collapse":
            done, other = "dropped", "keep makes each an event"
        yield Finding("note", file, "",
                      f"{twice.sum():,} of {len(cells):,} rows repeat {what}: {done}",
                      f"data.repeats in {YAML}: {other}.",
                      examples(ids["item_id"], twice))  # fmt: skip
