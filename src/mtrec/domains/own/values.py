"""Text cells -> ids, numbers, yes or no, lists and times; what does not fit is missing."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

UNITS = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}  # milliseconds per unit
EARLIEST, LATEST = pd.Timestamp(1900, 1, 1), pd.Timestamp(2100, 1, 1)
YES, NO = ("1", "1.0", "true", "t", "yes", "y"), ("0", "0.0", "false", "f", "no", "n")
MOSTLY = 0.95  # share of known cells that must fit for a column to be of a kind


def ids(column: pd.Series) -> pd.Series:
    """Ids without surrounding spaces; whole numbers lose a trailing ``.0``, all or none.

    Example:
        >>> ids(pd.Series(["12.0", " 7", None])).tolist()
        ['12', '7', nan]
        >>> ids(pd.Series(["12.0", "a"])).tolist()
        ['12.0', 'a']
    """
    found = column.astype("str").str.strip()
    found = found.where(found != "")
    if found.str.fullmatch(r"-?[0-9]+(\.0+)?", na=True).all():
        found = found.str.replace(r"\.0+$", "", regex=True)
    return found


def numbers(column: pd.Series) -> pd.Series:
    """Numbers as float64; decimal commas are understood if no cell has a point.

    Example:
        >>> numbers(pd.Series(["1.5", "x", None])).tolist()
        [1.5, nan, nan]
        >>> numbers(pd.Series(["1,5", "20,25"])).tolist()
        [1.5, 20.25]
    """
    cells = column.astype("str").str.strip()
    commas = cells.str.contains(",", regex=False, na=False)
    if commas.any():
        decimal = cells.str.fullmatch(r"[+-]?[0-9]+(,[0-9]+)?", na=True).mean() >= MOSTLY
        thousands = cells[commas].str.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+").all()
        if decimal and not thousands:
            cells = cells.str.replace(",", ".", regex=False)
    return pd.to_numeric(cells.astype("object"), errors="coerce").astype("float64")


def yes_or_no(column: pd.Series) -> pd.Series:
    """1.0 for 1, true, t, yes, y; 0.0 for 0, false, f, no, n; missing otherwise."""
    cells = column.astype("str").str.strip().str.lower()
    return pd.Series(
        np.select([cells.isin(YES), cells.isin(NO)], [1.0, 0.0], np.nan), index=column.index
    )


def lists(column: pd.Series, separator: str) -> pd.Series:
    """Sorted distinct parts of each cell; a missing cell is an empty list.

    Each distinct cell is divided once and rows share the result.
    """
    distinct = column.dropna().unique()
    parts = {cell: sorted({p for p in map(str.strip, cell.split(separator)) if p})
             for cell in distinct}  # fmt: skip
    empty: list[str] = []
    return column.astype("object").map(lambda cell: parts.get(cell, empty)).astype("object")


def times(column: pd.Series, unit: str) -> pd.Series:
    """Times in UTC as ``datetime64[ms]``, missing outside 1900 to 2100.

    Args:
        column: text cells.
        unit: ``iso`` (a time without a zone is in UTC) or what an epoch number counts: ``s``,
            ``ms``, ``us``, ``ns``.
    """
    if unit == "iso":
        digits = column.where(column.str.contains(r"^\s*[0-9]{4}", na=False))  # not "now"
        found = pd.to_datetime(digits, format="ISO8601", utc=True, errors="coerce")
        found = found.dt.tz_localize(None)
    else:
        epoch = pd.Timestamp(0)
        low, high = ((end - epoch) / pd.Timedelta("1ms") for end in (EARLIEST, LATEST))
        milliseconds = np.floor(numbers(column) * UNITS[unit] + 1e-6)
        found = pd.to_datetime(milliseconds.where(milliseconds.between(low, high)), unit="ms")
    return found.where((found >= EARLIEST) & (found < LATEST)).astype("datetime64[ms]")


def time_unit(column: pd.Series) -> str | None:
    """What the cells of a time column count, or None if they are no times.

    Example:
        >>> time_unit(pd.Series(["881250949", "891717742"]))
        's'
        >>> time_unit(pd.Series(["2024-05-01T10:00:00+02:00", "2024-05-02"]))
        'iso'
        >>> time_unit(pd.Series(["5", "3"])) is None
        True
    """
    known = column.dropna()
    if known.empty:
        return None
    if len(known) > 10_000:
        known = known.iloc[:: len(known) // 10_000]
    if known.str.contains(r"[-T:]", regex=True).mean() >= MOSTLY:
        return "iso" if times(known, "iso").notna().mean() >= MOSTLY else None
    found = numbers(known)
    if found.notna().mean() < MOSTLY:
        return None
    size = float(found.abs().median())
    for unit, low in (("s", 1e8), ("ms", 1e11), ("us", 1e14), ("ns", 1e17)):
        if low <= size < low * 1e3:
            return unit
    return None


def fill(template: str, frame: pd.DataFrame) -> pd.Series:
    """Texts by a template such as ``{title}. {maker}``; a missing cell takes its lead-in along.

    Only ``{column}`` is understood, and it inserts the cell as it is.

    Returns:
        ``str`` column, missing where no column of the template is known.

    Raises:
        KeyError: the template names a column that ``frame`` lacks.

    Example:
        >>> fill("{a}, by {b}", pd.DataFrame({"a": ["x", None], "b": [None, "y"]})).tolist()
        ['x', 'by y']
    """
    parts = re.split(r"\{(\w+)\}", template)
    text = pd.Series("", index=frame.index, dtype="str")
    some = pd.Series(False, index=frame.index)
    for lead, column in zip(parts[::2], parts[1::2], strict=False):
        if column not in frame:
            raise KeyError(
                f"text: there is no column '{column}' (found: {', '.join(frame.columns)}). "
                "Mend text: in params.yaml."
            )
        cell = frame[column].astype("str").str.replace(r"\s+", " ", regex=True).str.strip()
        known = cell.notna() & (cell != "")
        text = text + (lead + cell).where(known, "")
        some |= known
    text = (text + parts[-1]).str.strip(" ,;:.").str[:1000]
    return text.where(some)
