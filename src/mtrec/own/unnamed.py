"""Files without a header: which column is what, by shape and the field's usual order."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mtrec.data import identifiers
from mtrec.own import kinds, times, values
from mtrec.own.cells import headers
from mtrec.own.columns import sample

FEW = 21  # distinct values of a rating, at most; an id has more
LARGEST = 100  # rating


def guess(events: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """User, item and perhaps rating of a file that names no column, or nothing if it is unclear.

    Two columns must hold ids that repeat, and be the first two: users come first in the files of
    the field, unless the file of items says otherwise.

    Args:
        events: text cells.
        frames: the other files.

    Example:
        >>> rows = [(f"u{n % 30}", f"i{n % 41}", str(n % 5 + 1)) for n in range(300)]
        >>> guess(pd.DataFrame(rows, columns=["column_1", "column_2", "column_3"], dtype="str"), {})
        {'user_id': 'column_1', 'item_id': 'column_2', 'rating': 'column_3'}
    """
    if not is_unnamed(events):
        return {}
    what = {name: _shape(events[name]) for name in events}
    ids = [name for name, shape in what.items() if shape == "id"]
    if len(ids) != 2 or ids != [name for name, shape in what.items() if shape != "row"][:2]:
        return {}
    user, item = ids
    if "items" in frames and _held(events[user], frames["items"]) > _held(
        events[item], frames["items"]
    ):
        user, item = item, user
    found = {"user_id": user, "item_id": item}
    typed = any(kinds.is_kinds(name, events[name].dropna()) for name in events)
    ratings = [name for name, shape in what.items() if shape == "rating" and not typed]
    return found | ({"rating": ratings[0]} if len(ratings) == 1 else {})


def is_unnamed(frame: pd.DataFrame) -> bool:
    """Whether the file names no column."""
    named = (name for name in frame if not re.fullmatch(r"column_[0-9]+(_clicked)?", name))
    return not headers(frame) and next(named, None) is None


def _shape(column: pd.Series) -> str:
    """``id``, ``rating``, ``time``, ``row`` (each its own), or something else."""
    known = sample(column).dropna().str.strip()
    distinct = known.nunique()
    if distinct < 2:
        return ""
    if times.units(known):
        return "time"
    if distinct == len(known):
        return "row"
    numbers = values.numbers(known)
    if numbers.notna().all():
        if distinct <= FEW and numbers.abs().max() <= LARGEST:
            return "rating"
        return "id" if (numbers % 1 == 0).all() and distinct > FEW else "number"
    return "id" if distinct > max(FEW, kinds.MOST) else ""


def _held(ids: pd.Series, other: pd.DataFrame) -> float:
    """The largest share of ids that one column of another file holds."""
    mine = pd.Index(identifiers.clean(ids).dropna().unique())
    return max(float(np.mean(mine.isin(identifiers.clean(other[name])))) for name in other)
