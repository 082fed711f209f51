"""Everything wrong with one column of one's own files, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mtrec.domains.own import times as clock
from mtrec.domains.own import values
from mtrec.domains.own.findings import Finding, examples
from mtrec.tables import identifiers

YAML = "params.yaml"
PLACEHOLDERS = {sign * number for sign in (1, -1) for number in (9, 99, 999, 9999)} | {-1}
FAR = 2.0  # times the range of all other values


def missing_ids(cells: pd.Series, ids: pd.Series, file: str, level: Any) -> Iterator[Finding]:
    """Yield how many ids are missing."""
    if ids.isna().any():
        yield Finding(level, file, str(cells.name), f"{ids.isna().sum():,} ids are missing",
                      "Fill them in or delete the rows; they are dropped.",
                      examples(cells, ids.isna()))  # fmt: skip


def rounded(cells: pd.Series, file: str) -> Iterator[Finding]:
    """Yield how many ids lost digits."""
    bad = identifiers.rounded(cells)
    if bad.any():
        yield Finding("error", file, str(cells.name),
                      f"{bad.sum():,} ids were rounded, so that several became one",
                      "Write the file again with ids as text, not as numbers.",
                      examples(cells, bad))  # fmt: skip


def lettered(ids: pd.Series, file: str, column: str) -> Iterator[Finding]:
    """Yield ids that are others with a letter before them: G100 beside 100."""
    known = pd.Series(ids.dropna().unique(), dtype="str")
    bare = known.str.extract(r"^[A-Za-z]{1,3}[-_]?([0-9]+)$")[0]
    pairs = bare.isin(known) & bare.notna()
    if pairs.sum() >= 3 and pairs.sum() >= values.MOSTLY * bare.notna().sum():
        first = known[pairs].iloc[0]
        yield Finding("warning", file, column,
                      f"{pairs.sum():,} ids are others with letters before them, such as '{first}' "
                      f"beside '{bare[pairs].iloc[0]}': kept apart",
                      "If they are the same, write them alike.")  # fmt: skip


def types(cells: pd.Series, types: Mapping[str, tuple[str, ...]], file: str) -> Iterator[Finding]:
    """Yield labels whose types no event has."""
    known = set(cells.dropna().str.strip().unique())
    for label, wanted in types.items():
        lacking = [name for name in wanted if name not in known]
        if lacking:
            yield Finding("error", file, str(cells.name),
                          f"no event is of type '{lacking[0]}', which data.types.{label} names "
                          f"(found: {', '.join(sorted(known)[:12])})",
                          f"Mend data.types in {YAML}.")  # fmt: skip


def times(cells: pd.Series, unit: str, file: str, now: pd.Timestamp) -> Iterator[Finding]:
    """Yield times that cannot be read, were rounded, lie in the future or are out of order."""
    column, found = str(cells.name), clock.times(cells, unit)
    bad = found.isna()
    if bad.any():
        guess = [f'"{way}"' for way in clock.units(cells) if way != unit]
        hint = f" They look like time_unit: {' or '.join(guess)}." if guess else ""
        many = (bad & cells.notna()).mean() > 1 - values.MOSTLY or bad.all()
        yield Finding("error" if many else "warning", file, column,
                      f"{bad.sum():,} of {len(cells):,} times are missing, not readable as {unit}, "
                      "or outside 1900 to 2100",
                      f"Write ISO 8601 or epoch numbers, and say which in {YAML} under "
                      f"data.events.time_unit.{hint} Such rows are dropped.",
                      examples(cells, bad))  # fmt: skip
    if unit in clock.EPOCHS and (step := _step(cells)) * clock.EPOCHS[unit] > 1_000:
        yield Finding("warning", file, column,
                      f"times were rounded to {step * clock.EPOCHS[unit] / 1_000:,.0f} seconds",
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
        yield Finding("warning", file, column, "all events have the same time",
                      f"It orders nothing: name another column under data.events in {YAML}.",
                      examples(cells))  # fmt: skip


def _step(cells: pd.Series) -> float:
    """What numbers written as 1.600007e+12 were rounded to, 0 if they are whole."""
    if not cells.iloc[:1_000].str.contains("e", case=False).any():
        return 0.0
    parts = cells.str.strip().str.extract(
        r"^[0-9](?:\.(?P<digits>[0-9]*))?[eE]\+?(?P<power>[0-9]+)$"
    )
    known = parts["power"].notna()
    if known.mean() < values.MOSTLY:
        return 0.0
    digits = parts.loc[known, "digits"].fillna("").str.len()
    return float(10.0 ** (parts.loc[known, "power"].astype("int64") - digits.max()).max())


def numbers(cells: pd.Series, found: pd.Series, file: str) -> Iterator[Finding]:
    """Yield cells that are no finite number."""
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


def placeholders(cells: pd.Series, found: pd.Series, file: str) -> Iterator[Finding]:
    """Yield numbers such as -999 or 99 that stand for a missing one, far from all others."""
    values_of = np.sort(found.dropna().unique())
    for value, others in ((values_of[:1], values_of[1:]), (values_of[-1:], values_of[:-1])):
        if len(others) < 2 or value[0] not in PLACEHOLDERS:
            continue
        if np.abs(others - value[0]).min() > FAR * (others[-1] - others[0]):
            bad = found == value[0]
            yield Finding("warning", file, str(cells.name),
                          f"{bad.sum():,} cells are {value[0]:g}, far from the others "
                          f"({others[0]:g} to {others[-1]:g})",
                          "If that stands for a missing rating, leave the cells empty.",
                          examples(cells, bad))  # fmt: skip


def yes_or_no(cells: pd.Series, file: str) -> Iterator[Finding]:
    """Yield cells that are neither yes nor no."""
    unread = values.yes_or_no(cells).isna() & cells.notna()
    if unread.any():
        what = f"{unread.sum():,} cells are not yes or no"
        mend = "Write 1 or 0, true or false, yes or no."
        yield Finding("error", file, str(cells.name), what, mend, examples(cells, unread))
