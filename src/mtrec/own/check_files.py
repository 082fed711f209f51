"""Everything wrong with the files of a domain of one's own, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec.domains import own
from mtrec.own import cells as plain
from mtrec.own import files, times, values
from mtrec.own.findings import Finding, examples
from mtrec.own.sides import from_events

YAML = "params.yaml"


def read_all(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str], list[Finding]]:
    """Frames and file names of what can be read, and findings on what cannot."""
    frames, names, findings = {}, {}, []
    for table in ("events", "items", "users"):
        path = own.find(folder, table)
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
        except files.FileError as error:
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
        settings: :class:`mtrec.own.settings.Settings`.
        now: later times are in the future.
    """
    ids: dict[str, pd.Series] = {}
    if "events" in frames:
        cells, file, named = frames["events"], names["events"], settings.events
        wanted = {"user_id": named.user_id, "item_id": named.item_id}
        yield from _unknown(cells, file, "data.events", list(named.named))
        for key, column in wanted.items():
            if column in cells:
                ids[key] = values.ids(cells[column])
                yield from _missing_ids(cells[column], ids[key], file, "warning")
                yield from _rounded(cells[column], file)
        if named.timestamp in cells:
            yield from _times(cells[named.timestamp], named.time_unit, file, now)
        if named.rating in cells:
            yield from _numbers(cells[named.rating], values.ratings(cells[named.rating]), file)
        for column in dict.fromkeys((*named.numeric, *named.amounts)):
            if column in cells:
                yield from _numbers(cells[column], values.numbers(cells[column]), file)
        for column in dict.fromkeys((*named.binary, *filter(None, [named.chosen]))):
            if column in cells:
                yield from _yes_or_no(cells[column], file)
        if named.type in cells:
            yield from _types(cells[named.type], settings.types, file)
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
            yield from _numbers(cells[column], values.numbers(cells[column]), file)
    if side.id not in cells:
        return
    own_ids = values.ids(cells[side.id])
    yield from _missing_ids(cells[side.id], own_ids, file, "error")
    yield from _rounded(cells[side.id], file)
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
        pair = values.lost_zeros(own_ids, stripped) or values.lost_zeros(stripped, own_ids)
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


def _missing_ids(cells: pd.Series, ids: pd.Series, file: str, level: Any) -> Iterator[Finding]:
    if ids.isna().any():
        yield Finding(level, file, str(cells.name), f"{ids.isna().sum():,} ids are missing",
                      "Fill them in or delete the rows; they are dropped.",
                      examples(cells, ids.isna()))  # fmt: skip


def _rounded(cells: pd.Series, file: str) -> Iterator[Finding]:
    bad = values.rounded(cells)
    if bad.any():
        yield Finding("error", file, str(cells.name),
                      f"{bad.sum():,} ids were rounded, so that several became one",
                      "Write the file again with ids as text, not as numbers.",
                      examples(cells, bad))  # fmt: skip


def _types(cells: pd.Series, types: Mapping[str, tuple[str, ...]], file: str) -> Iterator[Finding]:
    known = set(cells.dropna().str.strip().unique())
    for label, wanted in types.items():
        lacking = [name for name in wanted if name not in known]
        if lacking:
            yield Finding("error", file, str(cells.name),
                          f"no event is of type '{lacking[0]}', which data.types.{label} names "
                          f"(found: {', '.join(sorted(known)[:12])})",
                          f"Mend data.types in {YAML}.")  # fmt: skip


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


def _times(cells: pd.Series, unit: str, file: str, now: pd.Timestamp) -> Iterator[Finding]:
    column, found = str(cells.name), times.times(cells, unit)
    bad = found.isna()
    if bad.any():
        guess = [f'"{way}"' for way in times.units(cells) if way != unit]
        hint = f" They look like time_unit: {' or '.join(guess)}." if guess else ""
        many = (bad & cells.notna()).mean() > 1 - values.MOSTLY or bad.all()
        yield Finding("error" if many else "warning", file, column,
                      f"{bad.sum():,} of {len(cells):,} times are missing, not readable as {unit}, "
                      "or outside 1900 to 2100",
                      f"Write ISO 8601 or epoch numbers, and say which in {YAML} under "
                      f"data.events.time_unit.{hint} Such rows are dropped.",
                      examples(cells, bad))  # fmt: skip
    if unit in times.EPOCHS and (step := _step(cells)) * times.EPOCHS[unit] > 1_000:
        yield Finding("warning", file, column,
                      f"times were rounded to {step * times.EPOCHS[unit] / 1_000:,.0f} seconds",
                      "Write them as whole numbers if their order matters.",
                      examples(cells))  # fmt: skip
    future = found > now
    if future.any():
        yield Finding("warning", file, column, f"{future.sum():,} times are in the future",
                      "Check the unit and the clock that wrote them.",
                      examples(cells, future))  # fmt: skip
    back = found.dropna().diff() < pd.Timedelta(0)
    if back.any():
        yield Finding("warning", file, column, f"times are not sorted, {back.sum():,} go back",
                      "They are sorted when read; check that nothing else depends on the order.",
                      examples(cells[found.notna()], back))  # fmt: skip
    if found.nunique() == 1:
        yield Finding("error", file, column, "all events have the same time",
                      f"Name another column, or drop timestamp: and set split: random in {YAML}.",
                      examples(cells))  # fmt: skip


def _step(cells: pd.Series) -> float:
    """What numbers written as 1.600007e+12 were rounded to, 0 if they are whole."""
    parts = cells.str.strip().str.extract(
        r"^[0-9](?:\.(?P<digits>[0-9]*))?[eE]\+?(?P<power>[0-9]+)$"
    )
    known = parts["power"].notna()
    if known.mean() < values.MOSTLY:
        return 0.0
    digits = parts.loc[known, "digits"].fillna("").str.len()
    return float(10.0 ** (parts.loc[known, "power"].astype("int64") - digits.max()).max())


def _numbers(cells: pd.Series, found: pd.Series, file: str) -> Iterator[Finding]:
    endless = pd.Series(np.isinf(found), index=cells.index)
    if endless.any():
        yield Finding("error", file, str(cells.name), f"{endless.sum():,} values are infinite",
                      "Write finite numbers or leave the cells empty.",
                      examples(cells, endless))  # fmt: skip
    unread = found.isna() & cells.notna()
    if unread.any():
        yield Finding("error", file, str(cells.name), f"{unread.sum():,} cells are not numbers",
                      f"Write numbers or leave the cells empty, or name another column in {YAML}.",
                      examples(cells, unread))  # fmt: skip
    if found.notna().sum() == 0:
        yield Finding("error", file, str(cells.name), "holds no number at all",
                      f"Take it out of {YAML}.")  # fmt: skip


def _yes_or_no(cells: pd.Series, file: str) -> Iterator[Finding]:
    unread = values.yes_or_no(cells).isna() & cells.notna()
    if unread.any():
        what = f"{unread.sum():,} cells are not yes or no"
        mend = "Write 1 or 0, true or false, yes or no."
        yield Finding("error", file, str(cells.name), what, mend, examples(cells, unread))
