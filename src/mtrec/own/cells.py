"""Column names and cells: made safe to name, to write and to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtrec.own.table import FileError, Limits

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "\\N")
FORMULA = r"^[=+\-@\t\r]."  # what spreadsheets evaluate
NUMBER = r"^[+\-]?[0-9 .,:/]+([eE][+\-]?[0-9]+)?%?$"


def column_names(name: str, header: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Plain names for a header's cells, and notes on those that changed.

    Names are letters, digits and underscores, because they become names of layers, files and keys.

    Raises:
        FileError: no names at all, or two columns of the same name.

    Example:
        >>> column_names("items.csv", ["id", "Prix (€)", None])
        (['id', 'Prix', 'column_3'], ["column 'Prix (€)' is called Prix", 'column 3 without a name is called column_3'])
    """  # noqa: E501
    cells = [(cell or "").strip() for cell in header]
    if all(re.fullmatch(NUMBER, cell) for cell in cells if cell):
        raise FileError(
            f"{name}: the first line holds values, not column names; add a header line."
        )
    names, notes = [], []
    for number, cell in enumerate(cells, start=1):
        plain = unicodedata.normalize("NFKD", cell).encode("ascii", "ignore").decode()
        plain = re.sub(r"\W+", "_", plain).strip("_")[:60]
        if not plain or plain[0].isdigit():
            plain = f"column_{plain or number}"
        if not cell:
            notes.append(f"column {number} without a name is called {plain}")
        elif plain != cell:
            notes.append(f"column {quote(cell)} is called {plain}")
        names.append(plain)
    twice = sorted({found for found in names if names.count(found) > 1})
    if twice:
        raise FileError(
            f"{name}: two columns are called {quote(twice[0])} (letters, digits and _ count); "
            "rename one."
        )
    return names, notes


def quote(text: str) -> str:
    """A stranger's text as part of a sentence: printable, short, in quotes."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def check_limits(name: str, table: pa.Table, limits: Limits) -> None:
    """Raise FileError if ``table`` (text columns) has too many rows or too long a cell."""
    if table.num_rows > limits.rows:
        raise FileError(f"{name}: more than {limits.rows:,} rows; split it or take a part.")
    for column in table.column_names:
        longest = pc.max(pc.utf8_length(table[column])).as_py() or 0
        if longest > limits.field:
            raise FileError(
                f"{name}: column '{column}' has a cell of {longest:,} characters (limit "
                f"{limits.field:,}); a quote may not be closed, or shorten the cell."
            )


def formula_note(table: pa.Table) -> list[str]:
    """A note that counts cells which a spreadsheet would evaluate."""
    total, first = 0, ""
    for column in table.column_names:
        starts = pc.match_substring_regex(table[column], FORMULA)
        found = pc.and_(starts, pc.invert(pc.match_substring_regex(table[column], NUMBER)))
        count = pc.sum(found).as_py() or 0
        if count and not total:
            first = column
        total += count
    if not total:
        return []
    return [f"{total:,} cells look like formulas (first in column {first}): kept as plain text"]


def as_text(column: pd.Series) -> pd.Series:
    """Cells with an apostrophe before what a spreadsheet would evaluate.

    Class names end up in CSV files that people open in spreadsheets.

    Example:
        >>> as_text(pd.Series(["=1+1", "-5", "drama"])).tolist()
        ["'=1+1", '-5', 'drama']
    """
    risky = column.str.match(FORMULA, na=False) & ~column.str.match(NUMBER, na=False)
    return column.where(~risky, "'" + column)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Text columns as pandas ``str`` columns."""
    return table.to_pandas(ignore_metadata=True).astype("str")
