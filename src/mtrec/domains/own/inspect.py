"""What the columns of a stranger's files are: a proposal with a reason for each."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mtrec.domains.own.columns import Column, describe
from mtrec.domains.own.roles import event_roles, key_column


@dataclass(frozen=True)
class Inspection:
    """Columns of each file that was given."""

    events: tuple[Column, ...]
    items: tuple[Column, ...] = ()
    users: tuple[Column, ...] = ()

    def named(self, table: str, *kinds: str) -> list[Column]:
        """Columns of ``table`` that are of one of ``kinds``."""
        return [column for column in getattr(self, table) if column.kind in kinds]

    def frame(self) -> pd.DataFrame:
        """``file``, ``column``, ``taken for``, ``because``: a row per column."""
        rows = [
            (table, column.name, f"{column.kind} {column.detail}".strip(), column.reason)
            for table in ("events", "items", "users")
            for column in getattr(self, table)
        ]
        return pd.DataFrame(rows, columns=["file", "column", "taken for", "because"])


def inspect(
    frames: dict[str, pd.DataFrame], roles: dict[str, str | None] | None = None
) -> Inspection:
    """Propose what each column is.

    Args:
        frames: ``events`` and perhaps ``items`` and ``users``, as text cells.
        roles: columns that the user named for ``user_id``, ``item_id``, ``timestamp``, ``rating``.

    Raises:
        FileError: a column that was named does not exist or cannot play its role, or no column
            can be found for users or items.
    """
    events = frames["events"]
    chosen = event_roles(events, frames, {k: v for k, v in (roles or {}).items() if v})
    rest = [name for name in events if name not in {column.name for column in chosen}]
    found = {
        "events": tuple(chosen + [describe(events[name], event=True) for name in rest]),
    }
    for table, role in (("items", "item_id"), ("users", "user_id")):
        if table in frames:
            own = next(column.name for column in chosen if column.kind == role)
            key = key_column(frames[table], table, role, events[own], own)
            others = [name for name in frames[table] if name != key.name]
            kinds = [describe(frames[table][name], event=False) for name in others]
            found[table] = (key, *kinds)
    return Inspection(**found)
