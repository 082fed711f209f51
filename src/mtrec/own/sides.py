"""The tables of items and of users, from their files and from what the events name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mtrec.data import identifiers
from mtrec.data.schema import Account, require_columns
from mtrec.own import lists, values

TAKEN = ("user_id", "item_id", "text")  # names that tables give a meaning of their own


def side_table(
    cells: pd.DataFrame, settings: Any, side: str, seen: pd.Series, account: Account
) -> pd.DataFrame:
    """One row per item or user that the file or the events name, in the order of ids.

    Args:
        cells: the file's columns as text; no column at all if there is no file. Those of the
            events, if the settings say that these tell about the side.
        settings: :class:`mtrec.domains.own.SideColumns`, or None if there is no file.
        side: ``item`` or ``user``.
        seen: ids that the events name.
        account: notes what was dropped or repaired.

    Raises:
        SchemaError: a column that the settings name is missing.
        KeyError: the text template names a column that is missing.
    """
    key, table = f"{side}_id", f"{side}s"
    named = pd.Series(np.sort(seen.unique()), name=key, dtype="str")
    if settings is None:
        account.add(table, "from events", "derived", len(named), len(named),
                    "no file: known by their ids alone")  # fmt: skip
        return named.to_frame()
    if settings.of_events:
        cells = from_events(cells, settings.id, settings.of_events)
    require_columns(cells, [settings.id, *settings.numeric, *settings.multi], table)
    cells = cells.assign(**{settings.id: identifiers.clean(cells[settings.id])})
    bad = cells[settings.id].isna()
    cells = account.drop(cells, bad, table, f"no {side} id", "cannot be referred to")
    twice = cells.duplicated(settings.id)
    cells = account.drop(cells, twice, table, "duplicate id", "the first row stays")
    unknown = named[~named.isin(cells[settings.id])]
    account.add(table, "not in the file", "derived", len(unknown), len(cells) + len(unknown),
                "named by events alone: kept, with every feature missing")  # fmt: skip
    wanted = cells.columns.drop([settings.id, *settings.numeric, *settings.multi])
    found = cells[wanted].rename(columns=lambda name: side_name(name, side))
    found.insert(0, key, cells[settings.id])
    for column in settings.numeric:
        found[side_name(column, side)] = number_column(cells, column, table, account)
    multi = [side_name(column, side) for column in settings.multi]
    for column, (source, separator) in zip(multi, settings.multi.items(), strict=True):
        found[column] = lists.lists(cells[source], separator)
    if settings.text:
        found["text"] = values.fill(settings.text, cells)
        empty = found["text"].isna()
        account.add(table, "no text", "kept", empty.sum(), len(found),
                    "the language model says nothing about them")  # fmt: skip
    whole = pd.concat([found, unknown.to_frame()], ignore_index=True).sort_values(key)
    for column in multi:
        whole[column] = whole[column].map(lambda v: v if isinstance(v, list) else [])
    return whole.reset_index(drop=True)


def side_name(name: str, side: str) -> str:
    """What a column of items or users is called in the tables; some names mean something there."""
    return f"{name}_of_{side}" if name in TAKEN else name


def from_events(events: pd.DataFrame, key: str, columns: Sequence[str]) -> pd.DataFrame:
    """One row per id with its first known cells, from events that repeat them.

    Example:
        >>> wide = pd.DataFrame({"film": ["a", "b", "a"], "title": [None, "B", "A"]}, dtype="str")
        >>> from_events(wide, "film", ["title"]).to_dict("list")
        {'film': ['a', 'b'], 'title': ['A', 'B']}
    """
    require_columns(events, [key, *columns], "events")
    ids = identifiers.clean(events[key]).rename(key)
    return events[list(columns)].groupby(ids, sort=True).first().reset_index()


def number_column(cells: pd.DataFrame, column: str, table: str, account: Account) -> pd.Series:
    """A column's finite numbers; anything else is missing, and noted."""
    found = values.numbers(cells[column])
    unread = (found.isna() & cells[column].notna()) | np.isinf(found)
    if unread.any():
        account.add(table, f"{column}: not a number", "repaired", unread.sum(), len(cells),
                    "kept as missing")  # fmt: skip
    return found.where(~unread)
