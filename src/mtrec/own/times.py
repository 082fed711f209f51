"""Text cells -> moments in UTC: ISO 8601, epochs, and dates in a format that is spelt out."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pandas as pd

from mtrec.own import values

EPOCHS = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6, "d": 86_400_000.0}  # milliseconds
EARLIEST, LATEST = pd.Timestamp(1900, 1, 1), pd.Timestamp(2100, 1, 1)
SINCE = 6.3e11  # milliseconds until 1990: smaller numbers are hardly times
SAMPLE = 10_000  # cells looked at to find a unit
SEEN = 60  # distinct cells whose formats are tried
MOSTLY = 0.95  # share of known cells that a unit must read
ZONE = r"\s*(?:UTC|GMT)$"
DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"
    r"(?:([ T,]+)(\d{1,2}):\d{2}(:\d{2})?(\.\d+)?(\s*)([AaPp][Mm])?)?"
)
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
NAMED = tuple(  # dates that name the month, perhaps with a clock and a day of the week
    f"{week}{day}{clock}"
    for week, day, clock in product(
        ("", "%a, ", "%a "),
        ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y"),
        ("", " %H:%M:%S", " %H:%M", " %I:%M %p", " %I:%M:%S %p"),
    )
) + ("%m %d, %Y", "%a %b %d %H:%M:%S %z %Y", "%Y-%m-%d %H:%M:%S %z")


def times(column: pd.Series, unit: str) -> pd.Series:
    """Times in UTC as ``datetime64[ms]``, missing outside 1900 to 2100.

    Args:
        column: text cells.
        unit: ``iso`` (a time without a zone is in UTC), what a number counts (``s``, ``ms``,
            ``us`` or ``ns`` since 1970, ``d``: days from any start), or a format such as
            ``%d/%m/%Y %H:%M``.

    Example:
        >>> times(pd.Series(["31/12/2020", "12/31/2020"]), "%d/%m/%Y").dt.day.tolist()
        [31.0, nan]
        >>> times(pd.Series(["2020-12-31 10:00:00 UTC"]), "iso").dt.hour.tolist()
        [10]
    """
    if unit in EPOCHS:
        epoch = pd.Timestamp(0)
        low, high = ((end - epoch) / pd.Timedelta("1ms") for end in (EARLIEST, LATEST))
        milliseconds = np.floor(values.numbers(column) * EPOCHS[unit] + 1e-6)
        found = pd.to_datetime(milliseconds.where(milliseconds.between(low, high)), unit="ms")
    else:
        cells = column.astype("str").str.strip().str.replace(ZONE, "", regex=True)
        if unit == "iso":
            cells = cells.where(cells.str.contains(r"^[0-9]{4}", na=False))  # not "now"
        form = "ISO8601" if unit == "iso" else unit
        found = pd.to_datetime(cells, format=form, utc=True, errors="coerce").dt.tz_localize(None)
    return found.where((found >= EARLIEST) & (found < LATEST)).astype("datetime64[ms]")


def units(column: pd.Series) -> tuple[str, ...]:
    """How the cells of a column can be read as times: not at all, in one way, or in several.

    Example:
        >>> units(pd.Series(["881250949", "891717742"]))
        ('s',)
        >>> units(pd.Series(["2024-05-01T10:00:00+02:00", "2024-05-02"]))
        ('iso',)
        >>> units(pd.Series(["01/02/2020", "03/04/2020"]))
        ('%d/%m/%Y', '%m/%d/%Y')
        >>> units(pd.Series(["01/02/2020", "13/04/2020"]))
        ('%d/%m/%Y',)
        >>> units(pd.Series(["20200913", "20201001"]))
        ('%Y%m%d',)
        >>> units(pd.Series(["5", "3"]))
        ()
    """
    known = column.dropna()
    if known.empty:
        return ()
    few = known.iloc[:: max(1, len(known) // SAMPLE)]
    text = few.str.strip().str.replace(ZONE, "", regex=True)
    if text.str.contains(r"^[0-9]{4}-", regex=True).mean() >= MOSTLY and _share(few, "iso"):
        return ("iso",)
    formats = list(dict.fromkeys(f for cell in text.unique()[:SEEN] for f in _formats(cell)))
    shares = {form: _share(few, form) for form in formats}
    shares = {form: share for form, share in shares.items() if share}
    if len(shares) > 1 and len(few) < len(known):  # a rare day may decide
        shares = {form: _share(known.drop_duplicates(), form) for form in shares}
    if shares:
        best = max(shares.values())
        return tuple(form for form, share in shares.items() if share == best)
    return _epoch(few)


def days(column: pd.Series) -> bool:
    """Whether cells are numbers of days from some start: whole, many, and not those of a month.

    Example:
        >>> days(pd.Series([str(day) for day in range(1, 700)])), days(pd.Series(["1", "31"]))
        (True, False)
    """
    found = values.numbers(column.iloc[:: max(1, len(column) // SAMPLE)]).dropna()
    whole = len(found) > 0 and bool((found % 1 == 0).all())
    return whole and bool(found.min() >= 0 and 31 < found.max() < 40_000 and found.nunique() >= 10)


def _epoch(cells: pd.Series) -> tuple[str, ...]:
    found = values.numbers(cells)
    if found.notna().mean() < MOSTLY:
        return ()
    size = float(found.abs().median())
    for unit, milliseconds in EPOCHS.items():
        if unit != "d" and size * milliseconds >= SINCE and _share(cells, unit):
            return (unit,)
    return ()


def _share(cells: pd.Series, unit: str) -> float:
    """Share of cells that ``unit`` reads, or 0 if it is not most of them."""
    share = float(times(cells, unit).notna().mean())
    return share if share >= MOSTLY else 0.0


def _formats(cell: str) -> tuple[str, ...]:
    """Formats that one cell may have; ``iso`` is none of them."""
    if cell.isdigit():
        compact = len(cell) in COMPACT and cell[:2] in ("19", "20")
        return (COMPACT[len(cell)],) if compact else ()
    found = DATE.fullmatch(cell)
    if found is None:
        return tuple(form for form in NAMED if _reads(cell, form)) if len(cell) < 40 else ()
    first, mark, _, last, gap, hour, seconds, part, space, half = found.groups()
    if len(first) == 4:
        days = [("%Y", "%m", "%d")]
    else:
        year = "%Y" if len(last) == 4 else "%y"
        days = [("%d", "%m", year)] + ([("%m", "%d", year)] if mark != "." else [])
    clock = ""
    if hour:
        clock = f"{gap}{'%I' if half else '%H'}:%M{':%S' if seconds else ''}"
        clock += (".%f" if part else "") + (f"{space}%p" if half else "")
    return tuple(mark.join(day) + clock for day in days)


def _reads(cell: str, form: str) -> bool:
    return bool(pd.notna(pd.to_datetime(cell, format=form, errors="coerce", utc=True)))
