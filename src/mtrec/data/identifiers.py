"""Ids of users and items as text: one rule for files, tables and requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

STORED = r"^-?[0-9]+\.0+$"  # a whole number that was a float in between
DECIMALS = r"^-?[0-9]+\.[0-9]*[1-9][0-9]*$"
ROUNDED = r"[0-9](?:\.[0-9]+)?[eE]\+[0-9]{1,3}"
EXACT = 2.0**53  # from here on neighbouring whole numbers are one float


def clean(column: pd.Series) -> pd.Series:
    """Ids without surrounding spaces; a whole number loses a trailing ``.0``, cell by cell.

    Where some cell has other decimals (versions such as ``1.5``), ``1.0`` is left as it is.

    Example:
        >>> clean(pd.Series(["12.0", " 7", "G2", None])).tolist()
        ['12', '7', 'G2', nan]
        >>> clean(pd.Series(["1.0", "1.5"])).tolist()
        ['1.0', '1.5']
    """
    found = column.astype("str").str.strip()
    found = found.where(found != "")
    stored = found.str.contains(STORED, regex=True, na=False)
    if stored.any() and not found.str.contains(DECIMALS, regex=True, na=False).any():
        found = found.where(~stored, found.str.replace(r"\.0+$", "", regex=True))
    return found


def asked(column: pd.Series, known: pd.Index) -> pd.Series:
    """Ids of a request, numbers or texts, as the tables have them.

    Args:
        column: ids, perhaps missing.
        known: ids that training knows; one of them is never changed.

    Example:
        >>> asked(pd.Series([1.0, None]), pd.Index(["1", "2"])).tolist()
        ['1', nan]
        >>> asked(pd.Series([7, " 1.0", "1.5"], dtype=object), pd.Index(["1.5", "7"])).tolist()
        ['7', '1', '1.5']
    """
    found = column.astype("object").map(_text, na_action="ignore")
    found = found.where(found != "")
    stored = found.astype("str").str.contains(STORED, regex=True, na=False)
    if stored.any():  # a look-up in an index costs the same however long it is
        stored &= known.get_indexer(found) < 0
        found = found.where(~stored, found.astype("str").str.replace(r"\.0+$", "", regex=True))
    return found


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        number = float(value)
        if number.is_integer() and abs(number) < EXACT:
            return str(int(number))
    return str(value).strip()


def rounded(column: pd.Series) -> pd.Series:
    """Which ids were stored as numbers too long to be kept whole, so that several became one.

    Example:
        >>> rounded(pd.Series(["9.78E+12", "978", "12e4"])).tolist()
        [True, False, False]
    """
    return column.astype("str").str.strip().str.fullmatch(ROUNDED, na=False)


def lost_zeros(short: pd.Series, full: pd.Series) -> tuple[str, str] | None:
    """An id of ``short`` and the one of ``full`` that it was before it lost its leading zeros.

    Example:
        >>> lost_zeros(pd.Series(["66", "7"]), pd.Series(["066", "8"]))
        ('66', '066')
    """
    padded = clean(full).dropna().drop_duplicates()
    padded = padded[padded.str.match(r"0[0-9]")]
    bare = dict(zip(padded.str.lstrip("0"), padded, strict=True))
    known = clean(short).dropna().drop_duplicates()
    lost = known[known.isin(list(bare)) & ~known.isin(padded)]
    return (lost.iloc[0], bare[lost.iloc[0]]) if len(lost) else None
