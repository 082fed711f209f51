"""Columns of events that tell about the item or the user and are repeated in each of their events."""  # noqa: E501

from __future__ import annotations

import pandas as pd

from mtrec.own import field, values
from mtrec.own.columns import sample

ROWS = 200_000  # looked at
GROUPS = 5  # users or items with several events, from which this can be told
SHARE = 0.5  # of the rows that belong to such


def owned(events: pd.DataFrame, columns: list[str], key: str) -> list[str]:
    """Columns that are the same in (nearly) all events of each id.

    Args:
        events: text cells.
        columns: columns that may be.
        key: column of the ids.

    Example:
        >>> wide = pd.DataFrame({"film": list("abcdef") * 2, "title": list("ABCDEF") * 2,
        ...                      "stars": list("123451234512")}, dtype="str")
        >>> owned(wide, ["title", "stars"], "film")
        ['title']
    """
    part = events.iloc[:ROWS]
    ids = values.ids(part[key])
    sizes = ids.map(ids.value_counts())
    several = sizes > 1
    if ids[several].nunique() < GROUPS or several.sum() < SHARE * ids.notna().sum():
        return []
    found = []
    for name in columns:
        cells = part.loc[several, name]
        if cells.nunique() < 2 or feedback(name):
            continue
        distinct = cells.groupby(ids[several]).nunique()
        distinct = distinct[distinct > 0]
        if len(distinct) >= GROUPS and (distinct <= 1).mean() >= values.MOSTLY:
            found.append(name)
    return found


def feedback(name: str) -> bool:
    """Whether a name speaks of what a user did, not of what somebody or something is."""
    words = set(field.tokens(name))
    return bool(words & field.FEEDBACK) and not words & field.OF_MANY - {"total", "count", "n"}


def amounts(events: pd.DataFrame, columns: list[str]) -> list[str]:
    """Numeric columns that say how much a user did: plays, seconds, pieces."""
    return [
        name
        for name in columns
        if feedback(name) and (values.numbers(sample(events[name])).fillna(0) >= 0).mean() > 0.9
    ]
