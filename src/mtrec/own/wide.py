"""Columns of events that tell about the item or the user and are repeated in each of their events."""  # noqa: E501

from __future__ import annotations

import pandas as pd

from mtrec.data import identifiers
from mtrec.own import field, values
from mtrec.own.columns import sample

ROWS = 200_000  # looked at
GROUPS = 5  # users or items with several events, from which this can be told
SHARE = 0.5  # of the rows that belong to such
EXPLAINED = 0.9  # of a column, by the id that owns it


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
    ids = identifiers.clean(part[key])
    sizes = ids.map(ids.value_counts())
    several = sizes > 1
    if ids[several].nunique() < GROUPS or several.sum() < SHARE * ids.notna().sum():
        return []
    return [
        name
        for name in columns
        if not feedback(name) and _explained(part.loc[several, name], ids[several]) >= EXPLAINED
    ]


def _explained(cells: pd.Series, ids: pd.Series) -> float:
    """Share of what the most frequent value leaves open that the id's most frequent one tells.

    A column that is nearly always 0 is the same within each id, too, and belongs to none.
    """
    known = cells.notna() & ids.notna()
    total = int(known.sum())
    pairs = pd.DataFrame({"id": ids[known], "cell": cells[known]}).value_counts(sort=False)
    if total == 0 or pairs.groupby("id").size().size < GROUPS:
        return 0.0
    left = 1 - cells[known].value_counts().iloc[0] / total
    told = pairs.groupby("id").max().sum() / total
    return float((told - (1 - left)) / left) if left > 0 else 0.0


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
