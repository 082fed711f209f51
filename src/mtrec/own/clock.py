"""Which column says when an event happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mtrec.own import field, times, wide
from mtrec.own.cells import choices, headers, samples
from mtrec.own.columns import Column
from mtrec.own.table import FileError, Undecided

ASK = "--time-unit"


@dataclass(frozen=True)
class Candidate:
    """A column that may be the time of events."""

    name: str
    said: int  # by its name
    units: tuple[str, ...]
    owner: str  # whose property it seems to be: user, item or nobody's
    distinct: int

    @property
    def score(self) -> tuple[int, int]:
        """The larger the likelier."""
        return self.said - 2 * bool(self.owner), self.distinct


def find(
    events: pd.DataFrame, free: list[str], sides: dict[str, str], unit: str | None = None
) -> Column | None:
    """The column that says when events happened, by name, cells and agreement with ids.

    Args:
        events: text cells.
        free: columns that play no role yet.
        sides: columns of ``user`` and ``item``.
        unit: how times are to be read, if the user said so.

    Raises:
        FileError: a column is called a time and cannot be read as one, or in several ways.
    """
    candidates = [_candidate(events, name, sides) for name in free]
    readable = [c for c in candidates if c.units and (c.said or not _number(c.units))]
    chosen = max(
        (c for c in readable if c.score[0] >= 0 or (c.said and not c.owner)),
        key=lambda candidate: candidate.score,
        default=None,
    )
    if chosen is not None:
        reason = {3: "by its name", 2: "its name and cells are times"}.get(chosen.said)
        unit = unit or ("d" if chosen.units == ("d",) else None)
        return column(events[chosen.name], reason or "its cells are times", unit)
    called = [candidate for candidate in candidates if candidate.said >= 2]
    if unit and called:
        best = max(called, key=lambda candidate: candidate.said)
        return column(events[best.name], "its name is that of a time", unit)
    for candidate in candidates:
        unread = not candidate.units and events[candidate.name].notna().any()
        if unread and (candidate.said == 3 or candidate.said == 2 and _text(events, candidate)):
            others = choices(events, candidate.name, none=True)
            raise _unreadable(events[candidate.name], "its name says time, but its cells", others)
    return None


def column(cells: pd.Series, reason: str, unit: str | None) -> Column:
    """The role of a column that is the time of events.

    Args:
        cells: the column.
        reason: why it was taken.
        unit: how it is to be read, if the user said so.

    Raises:
        FileError: it cannot be read as times, or in several ways.
    """
    name = str(cells.name)
    if unit is not None:
        if not times.times(cells, unit).notna().any():
            raise FileError(
                f"events: no cell of column '{name}' can be read as {unit} (for example "
                f"{samples(cells)}); name another with {ASK}."
            )
        return Column(name, "timestamp", f"{reason}; read as {unit}, in UTC", unit, samples(cells))
    found = times.units(cells)
    if not found:
        raise _unreadable(cells, "its cells", {"-": ""})
    if len(found) > 1:
        raise Undecided(
            f"events: column '{name}' can be read as {' or '.join(found)} (for example "
            f'{samples(cells)}); say which with {ASK} "{found[0]}", or write ISO 8601.',
            "time_unit",
            dict.fromkeys(found, ""),
        )
    kinds = {"iso": "ISO 8601"} | {unit: f"epoch in {unit}" for unit in times.EPOCHS}
    what = kinds.get(found[0], found[0])
    return Column(name, "timestamp", f"{reason}; {what}, read as UTC", found[0], samples(cells))


def _candidate(events: pd.DataFrame, name: str, sides: dict[str, str]) -> Candidate:
    cells = events[name]
    said = field.moment(headers(events).get(name, name))
    few = cells.iloc[:: max(1, len(cells) // 1_000)]
    found = times.units(few)
    if not found and said and field.tokens(name)[-1:] == ["day"] and times.days(cells):
        found = ("d",)
    if not found or (not said and _number(found)):
        return Candidate(name, said, found, "", 0)
    return Candidate(name, said, found, _owner(events, name, sides), int(cells.nunique()))


def _owner(events: pd.DataFrame, name: str, sides: dict[str, str]) -> str:
    """The side that determines a column: it is the same in all events of each user or item."""
    return next((side for side, key in sides.items() if wide.owned(events, [name], key)), "")


def _number(units: tuple[str, ...]) -> bool:
    return units[0] in times.EPOCHS


def _text(events: pd.DataFrame, candidate: Candidate) -> bool:
    known = events[candidate.name].dropna()
    return bool((~known.str.fullmatch(r"\s*[-+]?[0-9.,]+\s*")).mean() > 0.5)


def _unreadable(cells: pd.Series, what: str, others: Mapping[str, str]) -> Undecided:
    return Undecided(
        f"events: column '{cells.name}': {what} cannot be read as times (for example "
        f"{samples(cells)}); write ISO 8601 or epoch seconds, say their format with {ASK} "
        "FORMAT, name another with --timestamp COLUMN, or take none with --timestamp -.",
        "timestamp",
        others,
    )
