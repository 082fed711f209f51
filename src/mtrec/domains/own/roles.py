"""Which columns are the user, the item, the time and the rating of an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mtrec.domains.own import clock, field, unnamed, values
from mtrec.domains.own.cells import choices, headers, listed, samples
from mtrec.domains.own.columns import Column, sample
from mtrec.domains.own.table import FileError, Undecided
from mtrec.tables import identifiers

OVERLAP = 0.5  # share of ids found in the other file's column
MANY = 20  # columns from which they may be items
NONE = "-"  # named instead of a column: there is none


def event_roles(
    events: pd.DataFrame, frames: Mapping[str, pd.DataFrame], named: Mapping[str, str],
    time_unit: str | None = None,
) -> list[Column]:  # fmt: skip
    """Columns of events that play a role, user and item first.

    Args:
        events: text cells.
        frames: the other files, whose ids events refer to.
        named: columns that the user named, by role; ``-`` for a role that no column plays.
        time_unit: how times are to be read, if the user said so.

    Raises:
        FileError: a named column does not exist or cannot play its role, there is no user or no
            item, or a column is called a time or a rating and cannot be read as one.
    """
    wanted = _wanted(events, named)
    usual = {
        role: name
        for role, name in unnamed.guess(events, frames).items()
        if role not in named and name not in wanted.values()
    }
    found: dict[str, Column] = {}
    for role in field.NAMES:
        free = [c for c in events if c not in {f.name for f in found.values()}]
        kept = {*wanted.values(), *usual.values()}
        free = [c for c in free if c not in kept]
        column = None
        if role in wanted:
            column = _named(role, events[wanted[role]], time_unit)
        elif named.get(role) == NONE:
            continue
        elif role in usual:
            column = _usual(role, events[usual[role]])
        elif role == "timestamp":
            sides = {"user": found["user_id"].name, "item": found["item_id"].name}
            column = clock.find(events, free, sides, time_unit)
        elif role == "rating":
            column = _rating(events, free)
        else:
            column = _side(role, events, free, frames)
        if column is not None:
            found[role] = column
    return list(found.values())


def _wanted(events: pd.DataFrame, named: Mapping[str, str]) -> dict[str, str]:
    """Columns by role that the user named."""
    real = {name: column for column, name in headers(events).items()}
    wanted = {role: real.get(name, name) for role, name in named.items() if name != NONE}
    for role, name in wanted.items():
        if name not in events:
            raise FileError(
                f"events: {field.FLAGS[role]} names column '{name}', which does not exist (found: "
                f"{listed(events)}); name one of these."
            )
    twice = [name for name in wanted.values() if list(wanted.values()).count(name) > 1]
    if twice:
        raise FileError(f"events: column '{twice[0]}' is named for two roles; name two columns.")
    return wanted


def _named(role: str, cells: pd.Series, time_unit: str | None) -> Column:
    reason = f"named with {field.FLAGS[role]}"
    if role == "timestamp":
        return clock.column(cells, reason, time_unit)
    if role == "rating":
        found = values.ratings(sample(cells))
        if _share(found, cells) < values.MOSTLY:
            raise _no_rating(cells, {NONE: ""})
        return _rated(cells, found, reason)
    return _ids(role, cells, reason)


def _usual(role: str, cells: pd.Series) -> Column:
    """A column of a file without header, by its place."""
    reason = f"no header, by its place and cells; {field.FLAGS[role]} names another"
    if role == "rating":
        return _rated(cells, values.ratings(sample(cells)), reason)
    return _ids(role, cells, reason)


def _side(
    role: str, events: pd.DataFrame, free: list[str], frames: Mapping[str, pd.DataFrame]
) -> Column:
    """The column of users or items: by its name, or because another file holds its ids."""
    for name in field.known(_called(events, free), role):
        return _ids(role, events[name], "by its name")
    table = {"user_id": "users", "item_id": "items"}[role]
    if table in frames:
        other_file = frames[table]
        keys = [c for c in other_file if other_file[c].nunique() >= values.MOSTLY * len(other_file)]
        share, name, other = max(
            ((_overlap(events[a], other_file[b]), a, b) for a in free for b in keys),
            key=lambda found: found[0],  # the first of equals
            default=(0.0, "", ""),
        )
        if share >= OVERLAP:
            reason = f"{share:.0%} of its values are in {table}, column {other}"
            return _ids(role, events[name], reason)
    if role == "item_id" and _matrix(events, free):
        raise FileError(
            f"events: a matrix with a column for each of {len(free):,} items; write a row for each "
            "user and item (pandas: melt), without the empty ones."
        )
    shown = "; ".join(f"{name}: {samples(events[name], 2)}" for name in events.columns[:12])
    header = "there is no header line, and " if unnamed.is_unnamed(events) else ""
    raise Undecided(
        f"events: {header}no column looks like the {role.replace('_', ' ')} (found: "
        f"{listed(events)}; for example {shown}); name it with "
        f"{field.FLAGS[role]} COLUMN.",
        role,
        choices(events[free]),
    )


def _matrix(events: pd.DataFrame, columns: list[str]) -> bool:
    """Whether most columns are alike: numbers, and seldom one."""
    if len(columns) < MANY or len(columns) < 0.9 * len(events.columns):
        return False
    some = events[columns[:: max(1, len(columns) // MANY)]]
    return bool(some.isna().mean().mean() > 0.1) and all(
        values.numbers(some[name].dropna()).notna().all() for name in some
    )


def _called(frame: pd.DataFrame, columns: Iterable[str]) -> dict[str, str]:
    """Columns, each with what the file calls it."""
    real = headers(frame)
    return {column: real.get(column, column) for column in columns}


def _ids(role: str, cells: pd.Series, reason: str) -> Column:
    known = identifiers.clean(cells)
    rounded = cells[identifiers.rounded(cells)]
    if len(rounded):
        raise FileError(
            f"events: column '{cells.name}' holds ids that were rounded (for example "
            f"{samples(rounded)}), so that several became one; write the file again with ids as "
            "text, not as numbers."
        )
    reason += f"; {known.nunique():,} distinct, {known.isna().mean():.1%} missing"
    stored = int((known != cells.str.strip()).sum() - known.isna().sum())
    if stored > 0:
        reason += f", {stored:,} without the .0 that they are written with"
    return Column(str(cells.name), role, reason, samples=samples(cells))


def _rating(events: pd.DataFrame, free: list[str]) -> Column | None:
    """The column that is called a rating and holds at least two numbers."""
    for name in field.rated(_called(events, free)):
        cells = events[name]
        found = values.ratings(sample(cells))
        if _share(found, cells) < values.MOSTLY:
            if field.plain(name) in field.WEAK or not cells.notna().any():
                continue
            raise _no_rating(cells, choices(events, name, none=True))
        if found.nunique() > 1:
            return _rated(cells, found, "by its name")
    return None


def _rated(cells: pd.Series, found: pd.Series, reason: str) -> Column:
    reason += f"; {found.nunique():,} values from {found.min():g} to {found.max():g}"
    return Column(str(cells.name), "rating", reason, samples=samples(cells))


def _no_rating(cells: pd.Series, others: Mapping[str, str]) -> Undecided:
    unread = cells[values.ratings(cells).isna() & cells.notna()]
    what = "does not hold numbers"
    if values.thousands(unread):
        what = "holds numbers that may have decimals or thousands after the comma"
    return Undecided(
        f"events: column '{cells.name}' {what} (for example {samples(unread)}); write plain "
        "numbers such as 4.25, name another with --rating COLUMN, or take none with --rating -.",
        "rating",
        others,
    )


def key_column(frame: pd.DataFrame, table: str, role: str, events: pd.Series, own: str) -> Column:
    """The column of a side's file that events refer to: the one with most of their ids.

    Raises:
        FileError: no column holds any of them.
    """
    usual = {field.plain(name): column for column, name in _called(frame, frame).items()}
    preferred = [usual[n] for n in (field.plain(own), *field.NAMES[role], "id") if n in usual]
    shares = {
        name: _overlap(events, frame[name]) for name in dict.fromkeys([*preferred, *frame.columns])
    }
    name = max(shares, key=lambda column: shares[column])
    if shares[name] == 0:
        for other in shares:
            pair = identifiers.lost_zeros(frame[other], events) or identifiers.lost_zeros(
                events, frame[other]
            )
            if pair:
                raise FileError(
                    f"{table}: ids lost their leading zeros in column '{other}' or in events, "
                    f"column '{own}' ({pair[0]!r} for {pair[1]!r}); save that file again with "
                    "ids as text."
                )
        raise FileError(
            f"{table}: no column holds the ids of events, column '{own}' (for example "
            f"{samples(events)}); check that the files belong together."
        )
    reason = f"{shares[name]:.0%} of the ids in events, column {own}, are there"
    return Column(name, role, reason, samples=samples(frame[name]))


def _share(found: pd.Series, column: pd.Series) -> float:
    known = sample(column).notna()
    return float(found[known].notna().mean()) if known.any() else 0.0


def _overlap(events: pd.Series, other: pd.Series) -> float:
    """Share of the distinct ids of ``events`` that ``other`` holds."""
    mine, theirs = (pd.Index(identifiers.clean(c).dropna().unique()) for c in (events, other))
    return float(np.mean(mine.isin(theirs))) if len(mine) else 0.0
