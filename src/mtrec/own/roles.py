"""Which columns are the user, the item, the time and the rating of an event."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtrec.own import values
from mtrec.own.cells import quote
from mtrec.own.columns import Column, sample
from mtrec.own.table import FileError

# fmt: off
NAMES: dict[str, tuple[str, ...]] = {  # compared without case and punctuation, the likeliest first
    "user_id": (
        "userid", "user", "uid", "customerid", "customer", "clientid", "client", "memberid",
        "member", "visitorid", "visitor", "householdid", "household", "accountid",
        "account", "reviewerid", "reviewer", "personid", "person", "playerid", "player",
        "subscriberid", "studentid", "student", "usersid",
    ),
    "item_id": (
        "itemid", "item", "productid", "product", "sku", "asin", "movieid", "movie",
        "filmid", "film", "articleid", "article", "bookid", "book", "isbn", "trackid",
        "track", "songid", "song", "courseid", "course", "gameid", "game", "videoid",
        "video", "contentid", "content", "listingid", "businessid", "business", "newsid",
        "restaurantid", "restaurant",
    ),
    "timestamp": (
        "timestamp", "time", "datetime", "date", "ts", "createdat", "created", "eventtime",
        "eventdate", "when", "purchasedat", "orderdate", "unixreviewtime", "ratedat",
        "visitedat", "watchedat", "invoicedate",
    ),
    "rating": (
        "rating", "stars", "star", "score", "ratings", "reviewscore", "overall", "value",
        "grade",
    ),
}
# fmt: on
FLAGS = {role: "--" + role.replace("_", "-") for role in NAMES}
TIME_NAME = re.compile(r"time|date|stamp|when|_at$|_on$|(^|_)ts$|(^|_)day$", re.IGNORECASE)
OVERLAP = 0.5  # share of ids found in the other file's column


def event_roles(
    events: pd.DataFrame, frames: Mapping[str, pd.DataFrame], named: Mapping[str, str]
) -> list[Column]:
    """Columns of events that play a role, user and item first.

    Args:
        events: text cells.
        frames: the other files, whose ids events refer to.
        named: columns that the user named, by role.

    Raises:
        FileError: a named column does not exist or cannot play its role, or there is no user or
            no item.
    """
    for role, name in named.items():
        if name not in events:
            raise FileError(
                f"events: {FLAGS[role]} names column '{name}', which does not exist (found: "
                f"{', '.join(events.columns)}); name one of these."
            )
    twice = [name for name in named.values() if list(named.values()).count(name) > 1]
    if twice:
        raise FileError(f"events: column '{twice[0]}' is named for two roles; name two columns.")
    found: dict[str, Column] = {}
    for role in NAMES:
        free = [c for c in events if c not in {f.name for f in found.values()}]
        free = [c for c in free if c not in named.values() or named.get(role) == c]
        column = _find(role, events, free, frames, named)
        if column is not None:
            found[role] = column
        elif role in ("user_id", "item_id"):
            raise FileError(
                f"events: no column looks like the {role.replace('_', ' ')} (found: "
                f"{', '.join(events.columns)}); name it with {FLAGS[role]} COLUMN."
            )
    return list(found.values())


def _find(
    role: str, events: pd.DataFrame, free: list[str], frames: Mapping[str, pd.DataFrame],
    named: Mapping[str, str],
) -> Column | None:  # fmt: skip
    if role in named:
        return _checked(role, events[named[role]], f"named with {FLAGS[role]}")
    for name in _by_name(free, NAMES[role]):
        if role not in ("timestamp", "rating") or _fits(role, events[name]):
            return _checked(role, events[name], "by its name")
    table = {"user_id": "users", "item_id": "items"}.get(role)
    if table is not None and table in frames:
        other_file = frames[table]
        keys = [c for c in other_file if other_file[c].nunique() >= values.MOSTLY * len(other_file)]
        share, name, other = max(
            ((_overlap(events[a], other_file[b]), a, b) for a in free for b in keys),
            key=lambda found: found[0],  # the first of equals
            default=(0.0, "", ""),
        )
        if share >= OVERLAP:
            return Column(name, role, f"{share:.0%} of its values are in {table}, column {other}")
    if role == "timestamp":
        for name in free:
            unit = values.time_unit(events[name])
            if unit == "iso" or (unit and TIME_NAME.search(name)):
                return _checked(role, events[name], "its cells are times")
    return None


def _by_name(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in columns}
    return [plain[name] for name in names if name in plain]


def _fits(role: str, column: pd.Series) -> bool:
    if role == "timestamp":
        return values.time_unit(column) is not None
    found = values.numbers(sample(column))
    return bool(found.notna().mean() > 0 and _share(found, column) >= values.MOSTLY) and (
        found.nunique() > 2
    )


def _checked(role: str, column: pd.Series, reason: str) -> Column:
    name = str(column.name)
    if role == "timestamp":
        unit = values.time_unit(column)
        if unit is None:
            raise FileError(
                f"events: column '{name}' does not hold times (for example "
                f"{_examples(column)}); write ISO 8601 or epoch seconds, or name another with "
                "--timestamp."
            )
        what = "ISO 8601" if unit == "iso" else f"epoch in {unit}"
        return Column(name, role, f"{reason}; {what}, read as UTC", unit)
    if role == "rating":
        found = values.numbers(sample(column))
        if _share(found, column) < values.MOSTLY:
            raise FileError(
                f"events: column '{name}' does not hold numbers (for example "
                f"{_examples(column)}); write numbers, or name another with --rating."
            )
        reason += f"; {found.nunique():,} values from {found.min():g} to {found.max():g}"
    else:
        known = values.ids(column)
        reason += f"; {known.nunique():,} distinct, {known.isna().mean():.1%} missing"
    return Column(name, role, reason)


def key_column(frame: pd.DataFrame, table: str, role: str, events: pd.Series, own: str) -> Column:
    """The column of a side's file that events refer to: the one with most of their ids."""
    preferred = [*_by_name(frame.columns, [own.lower(), *NAMES[role], "id"]), *frame.columns]
    shares = {name: _overlap(events, frame[name]) for name in dict.fromkeys(preferred)}
    name = max(shares, key=lambda column: shares[column])
    if shares[name] == 0:
        raise FileError(
            f"{table}: no column holds the ids of events, column '{own}' (for example "
            f"{_examples(events)}); check that the files belong together."
        )
    return Column(name, role, f"{shares[name]:.0%} of the ids in events, column {own}, are there")


def _share(found: pd.Series, column: pd.Series) -> float:
    known = sample(column).notna()
    return float(found[known].notna().mean()) if known.any() else 0.0


def _overlap(events: pd.Series, other: pd.Series) -> float:
    """Share of the distinct ids of ``events`` that ``other`` holds."""
    mine, theirs = (pd.Index(values.ids(c).dropna().unique()) for c in (events, other))
    return float(np.mean(mine.isin(theirs))) if len(mine) else 0.0


def _examples(column: pd.Series) -> str:
    return ", ".join(quote(cell) for cell in column.dropna().unique()[:3]) or "only empty cells"
