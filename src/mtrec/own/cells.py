"""Column names and cells: made safe to name, to write and to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtrec.data.spreadsheet import FORMULA, NUMBER
from mtrec.own import impressions
from mtrec.own.table import FileError, Limits, Table

EMPTY = ("", "\\N")  # never a value
MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None")  # values only among codes
RECBOLE = re.compile(r":(token|float|token_seq|float_seq)$")
PLAIN = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "ł": "l", "đ": "d", "œ": "oe", "ı": "i"})


def column_names(
    name: str, header: Sequence[str | None]
) -> tuple[list[str], list[str], dict[str, str]]:
    """Plain names for a header's cells, notes on those that changed, and headers that were lost.

    Names are letters, digits and underscores, because they become names of layers, files and keys.
    A name in another script is a number here; what the file calls it is kept for messages.

    Raises:
        FileError: two columns of the same name.

    Example:
        >>> column_names("items.csv", ["id", "Prix (€)", None])[:2]
        (['id', 'Prix', 'column_3'], ["column 'Prix (€)' is called Prix", 'column 3 without a name is called column_3'])
        >>> column_names("items.csv", ["user_id:token", "标题"])[0::2]
        (['user_id', 'column_2'], {'column_2': '标题'})
    """  # noqa: E501
    cells = [RECBOLE.sub("", (cell or "").strip()) for cell in header]
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise FileError(f"{name}: two columns are called {quote(twice[0])}; rename one.")
    names: list[str] = []
    notes, headers = [], {}
    for number, cell in enumerate(cells, start=1):
        plain, whole = _plain(cell)
        if not whole or not plain or plain[0].isdigit():
            plain = f"column_{plain if whole and plain else number}"
        if plain in names:
            plain = f"{plain}_{number}"
        if not cell:
            notes.append(f"column {number} without a name is called {plain}")
        elif plain != cell:
            notes.append(f"column {quote(cell)} is called {plain}")
        if not whole:
            headers[plain] = cell
        names.append(plain)
    return names, notes, headers


def _plain(cell: str) -> tuple[str, bool]:
    """Letters, digits and underscores of a name, and whether no letter was lost."""
    spread = unicodedata.normalize("NFKD", cell.translate(PLAIN))
    lost = [c for c in spread if c.isalpha() and not c.isascii()]
    plain = spread.encode("ascii", "ignore").decode()
    return re.sub(r"\W+", "_", plain).strip("_")[:60], not lost


def without_words(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Cells such as ``NA`` as missing, with a note for each column that says how many.

    Among codes of two letters ``NA`` is one (Namibia).
    """
    notes = []
    for at, column in enumerate(table.column_names):
        cells = table[column]
        said = pc.fill_null(pc.is_in(cells, pa.array(MISSING)), False)
        count = pc.sum(said).as_py() or 0
        if not count:
            continue
        words = ", ".join(map(quote, pc.unique(cells.filter(said)).to_pylist()))
        others = pc.unique(cells.filter(pc.invert(said)).drop_null()).slice(0, 1_000)
        codes = pc.match_substring_regex(others, r"^[A-Z]{2}$")
        if words == "'NA'" and len(others) >= 3 and pc.mean(codes).as_py() > 0.9:
            notes.append(f"{count:,} cells of column {column} are 'NA', kept as a code like others")
            continue
        notes.append(
            f"{count:,} cells of column {column} are {words}, taken as missing; write another word "
            "if it is a value"
        )
        table = table.set_column(at, column, pc.if_else(said, pa.scalar(None, pa.string()), cells))
    return table, notes


def quote(text: str) -> str:
    """A stranger's text as part of a sentence: printable, short, in quotes."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def headers(frame: pd.DataFrame) -> dict[str, str]:
    """What columns were called in the file, where that could not be kept."""
    found: dict[str, str] = frame.attrs.get("headers", {})
    return found


def shown(frame: pd.DataFrame, name: str) -> str:
    """A column's name for a sentence, with what the file calls it.

    Example:
        >>> frame = pd.DataFrame({"column_1": ["x"]})
        >>> frame.attrs["headers"] = {"column_1": "用户"}
        >>> shown(frame, "column_1")
        'column_1 (用户)'
    """
    real = headers(frame).get(name)
    return f"{name} ({real})" if real else name


def listed(frame: pd.DataFrame) -> str:
    """The names of all columns, for a sentence."""
    return ", ".join(shown(frame, name) for name in frame.columns)


def samples(column: pd.Series, count: int = 3) -> str:
    """A few distinct cells, as part of a sentence.

    Example:
        >>> samples(pd.Series(["a", None, "b", "a"]))
        "'a', 'b'"
    """
    distinct = column.iloc[:1_000].dropna().unique()
    if not len(distinct):
        distinct = column.dropna().unique()
    return ", ".join(quote(str(cell)) for cell in distinct[:count]) or "only empty cells"


def choices(frame: pd.DataFrame, but: str = "", none: bool = False) -> dict[str, str]:
    """Columns that a user may name, each with a few cells, and perhaps ``-`` for none."""
    found = {name: samples(frame[name]) for name in frame.columns[:12] if name != but}
    return found | ({"-": ""} if none else {})


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


def finish(
    name: str, table: pa.Table, header: Sequence[str | None], notes: Sequence[str], limits: Limits
) -> Table:
    """What every reader does last with text columns: names, limits, words for nothing, notes.

    Raises:
        FileError: two columns of the same name, or a limit is exceeded.
    """
    names, renamed, lost = column_names(name, header)
    table = table.rename_columns(names)
    check_limits(name, table, limits)
    table, words = without_words(table)
    table, spread = impressions.spread(name, table, limits)
    frame = table.to_pandas(ignore_metadata=True).astype("str")
    frame.attrs["headers"] = lost
    return Table(frame, tuple([*notes, *renamed, *words, *spread, *formula_note(table)]))
