"""Whether a text file names its columns, and where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mtrec.own import dialect, field
from mtrec.own.cells import quote
from mtrec.own.dialect import Dialect

LOOKED = 200  # rows looked at
NEWLINE = b"\n"
Header = list[str | None]
VALUE = re.compile(r"[+-]?[$€£]?[0-9][0-9 .,:/TZ+%-]*([eE][+-]?[0-9]+)?( UTC| GMT)?")
SURE = {"timestamp", "rating", *field.NAMES["user_id"]}  # no cell says this
NAMES = {name for names in field.NAMES.values() for name in names} | set(field.KINDS)


def find(
    text: bytes, way: Dialect, comments: Sequence[bytes], notes: list[str]
) -> tuple[bytes, Header | None]:
    """Text that begins with its first row or header, and the header if it is not the first row.

    Args:
        text: clean UTF-8.
        way: how it is divided.
        comments: lines that stood above it.
        notes: what was unusual is added to these.
    """
    text, short = _below(text, way, notes)
    if short is not None:
        return text, short
    found = _rows(text, way)
    commented = _commented(comments, found, way)
    left = len(comments) - (commented is not None)
    if left:
        notes.append(f"{left} comment lines at the top: {_shown(comments[0])}")
    if commented is not None:
        return text, commented
    if len(found) > 1 and not has_header(found[0], found[1:]):
        notes.append(f"no header line: columns are called column_1 to column_{way.width}")
        return text, [f"column_{n}" for n in range(1, way.width + 1)]
    return text, None


def _below(text: bytes, way: Dialect, notes: list[str]) -> tuple[bytes, Header | None]:
    """Text without the lines above the table, and a header that lacks one name, if it does."""
    for _ in range(way.first):
        line, _, text = text.lstrip(NEWLINE).partition(NEWLINE)
        short: Header = [*next(iter(_rows(line, way)), [])]
        below = _rows(text, way)
        named = len(short) == way.width - 1 and len(below[0]) == way.width
        if named and not has_header(below[0], below[1:] or below):
            notes.append("the header has one name less than there are columns")
            ends = any(row[-1] for row in below)  # otherwise rows end with a delimiter
            return text, [None, *short] if ends else [*short, None]
        notes.append(f"a line above the table was left out: {_shown(line)}")
    return text, None


def _commented(
    comments: Sequence[bytes], rows: Sequence[Sequence[str]], way: Dialect
) -> Header | None:
    """The header, if it is the last of the comments."""
    if not comments:
        return None
    last = comments[-1].decode("utf-8").lstrip("#% \t")
    named = next(iter(dialect.rows([last], way.delimiter, way.quoted)), [])
    if len(named) != way.width and way.delimiter == "\t":
        named = last.split()
    return [*named] if len(named) == way.width and has_header(named, rows) else None


def _rows(text: bytes, way: Dialect) -> list[list[str]]:
    lines = text[: dialect.SAMPLE].decode("utf-8", "ignore").split("\n", LOOKED + 1)[:LOOKED]
    return dialect.rows(lines, way.delimiter, way.quoted)


def _shown(line: bytes) -> str:
    return quote(line.decode("utf-8", "ignore"))


def has_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names columns: it differs from the rows below, column by column.

    Example:
        >>> has_header(["A044XZQ", "0007", "3.0"], [["A010XZQ", "0008", "2.0"]])
        False
        >>> has_header(["who", "what"], [["u1", "i1"], ["u2", "i1"]])
        True
        >>> has_header(["u9", "i3"], [["u1", "i1"], ["u2", "i1"], ["u1", "i3"]])
        False
    """
    cells = [cell.strip(" \"'") for cell in first]
    words = [field.plain(cell.partition(":")[0]) for cell in cells]
    known = sum(word in NAMES for word in words)
    columns = [[row[n].strip(" \"'") for row in rest if n < len(row)] for n in range(len(cells))]
    if any(word in SURE or word[-2:] == "id" and word in NAMES for word in words):
        return True
    counted = [n for n, column in enumerate(columns) if cells[n] and _values(column)]
    alike = sum(VALUE.fullmatch(cells[n]) is not None for n in counted)
    if all(VALUE.fullmatch(cell) for cell in cells if cell):
        return False
    if counted and (alike or not known):
        return alike <= len(counted) / 2 or known >= 2
    if known:
        return True
    for cell, column in zip(cells, columns, strict=True):
        shapes = Counter(map(_shape, column))
        if cell and (
            cell in column or (shapes[_shape(cell)] > 0.8 * len(column) and "9" in _shape(cell))
        ):
            return False
    return True


def _values(column: Sequence[str]) -> bool:
    """Whether cells are numbers or times."""
    known = [cell for cell in column if cell]
    return bool(known) and sum(VALUE.fullmatch(c) is not None for c in known) >= 0.9 * len(known)


def _shape(cell: str) -> str:
    """Letters and digits of a cell in their order, runs as one: ``A044XZQ`` is ``a9a``."""
    return re.sub(r"9+", "9", re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", cell)))
