"""CSV in its dialects -> text cells."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mtrec.domains.own import cells, dialect, header
from mtrec.domains.own.decode import to_utf8
from mtrec.domains.own.dialect import COMMENT, DELIMITERS, ONE, TOTAL, Dialect
from mtrec.domains.own.table import FileError, Limits, Table

BLOCK = 1 << 23  # bytes that a row may not exceed
REPORTED = 5  # ragged rows, then reading stops
LAST = 3  # rows at the end that may be totals
NEWLINE = b"\n"


def parse(name: str, content: bytes, limits: Limits) -> Table:
    """Read delimited text, with a header line or without.

    Raises:
        FileError: binary content, one column, ragged rows, or a limit exceeded.
    """
    text, notes = to_utf8(name, content)
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text, delimiter, comments = _beginning(text, notes)
    way = dialect.sniff(name, text, delimiter)
    if way.width > limits.columns:
        raise FileError(f"{name}: {way.width:,} columns (limit {limits.columns:,}); drop some.")
    if way.delimiter != ",":
        notes.append(f"delimiter: {DELIMITERS.get(way.delimiter, 'spaces')}")
    if way.delimiter == dialect.SPACES:
        text = re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", text))
    elif len(way.delimiter) > 1:
        text = text.replace(way.delimiter.encode(), ONE.encode())
    one = {dialect.SPACES: "\t", "::": ONE}.get(way.delimiter, way.delimiter)
    way = replace(way, delimiter=one)
    text, named = header.find(text, way, comments, notes)
    table = _rows(name, text, way, limits, notes)
    if named is None:
        named = [table[n][0].as_py() for n in range(table.num_columns)]
        table = table.slice(1)
    table = _without_ends(table, notes)
    if not table.num_rows:
        raise FileError(f"{name}: a header line and no rows; add rows.")
    return cells.finish(name, table, named, notes, limits)


def _beginning(text: bytes, notes: list[str]) -> tuple[bytes, str | None, list[bytes]]:
    """Text without a line ``sep=;`` and comments at its top; the separator, and the comments."""
    text = text.lstrip(b"\n")
    delimiter = None
    found = re.match(rb"\"?sep=(.)\"?\n", text, re.IGNORECASE)
    if found:
        delimiter = found.group(1).decode("ascii", "ignore") or None
        text = text[found.end() :]
    comments = []
    while COMMENT.match(text[:100].decode("utf-8", "ignore")) and NEWLINE in text:
        line, _, text = text.partition(NEWLINE)
        comments.append(line)
    return text, delimiter, comments


def _rows(name: str, text: bytes, way: Dialect, limits: Limits, notes: list[str]) -> pa.Table:
    """All rows as text, by the first reading of quotes that gives even rows."""
    styles = {"": (True, False), "quotes in cells have a backslash before them": (True, True),
              "quotes are part of cells": (False, False)}  # fmt: skip
    if way.delimiter == ONE:
        styles = {"": (False, False)}
    elif way.escaped:
        styles = dict(sorted(styles.items(), key=lambda style: not style[1][1]))
    lines = text.count(NEWLINE) + (not text.endswith(NEWLINE))
    failed: FileError | None = None
    chosen: tuple[int, str, pa.Table, list[str]] | None = None
    for note, (quoted, escaped) in styles.items():
        try:
            table, left = _read(name, text, way.delimiter, quoted, escaped, limits)
        except FileError as error:
            failed = failed or error
            continue
        if chosen is None or table.num_rows > chosen[0]:
            chosen = (table.num_rows, note, table, left)
        if table.num_rows + len(left) + text.count(b"\n\n") >= lines:  # no cell has a line end
            break
        if quoted and not escaped and _all_quoted(text, way.delimiter):
            break
    if chosen is None:
        assert failed is not None
        raise failed
    _, note, table, left = chosen
    if note.startswith("quotes are"):
        table = _unquoted(table)
    notes += [note] if note else []
    if left:
        notes.append(f"{len(left)} lines are comments or totals and were left out: {left[0]}")
    return table


def _all_quoted(text: bytes, delimiter: str) -> bool:
    """Whether every cell is in quotes: then a line end in one is a line end in one."""
    end = rb"(?:" + re.escape(delimiter.encode()) + rb"|\n|\Z)"
    return re.fullmatch(rb'(?:"(?:[^"]|"")*+"' + end + rb")++", text) is not None


def _read(
    name: str, text: bytes, delimiter: str, quoted: bool, escaped: bool, limits: Limits
) -> tuple[pa.Table, list[str]]:
    """All rows as text, the first among them, and comments or totals that were left out."""
    ragged: list[Any] = []
    left: list[str] = []

    def note(row: Any) -> str:
        if COMMENT.match(row.text) or TOTAL.match(row.text):
            left.append(cells.quote(row.text))
            return "skip"
        ragged.append(row)
        return "skip" if len(ragged) < REPORTED else "error"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # One thread: only then are rows numbered.
            arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK, autogenerate_column_names=True
            ),
            arrow_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                double_quote=not escaped,
                escape_char="\\" if escaped else False,
                newlines_in_values=quoted,
                invalid_row_handler=note,
            ),
            arrow_csv.ConvertOptions(
                column_types={f"f{n}": pa.string() for n in range(limits.columns)},
                null_values=list(cells.EMPTY),
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, ValueError, OSError) as error:
        if not ragged:
            raise FileError(f"{name}: {_reason(str(error))}") from None
    if ragged:
        raise _ragged(name, text, delimiter, ragged)
    return table, left


def _without_ends(table: pa.Table, notes: list[str]) -> pa.Table:
    """Rows without empty ones, and without totals at the end."""
    if not table.num_rows:
        return table
    empty = pc.is_null(table[0])
    for column in table.columns[1:]:
        empty = pc.and_(empty, pc.is_null(column))
    count = pc.sum(empty).as_py()
    if count:
        notes.append(f"{count:,} rows are empty and were left out")
        table = table.filter(pc.invert(empty))
    for _ in range(LAST):
        last = table.slice(max(table.num_rows - 1, 0)).to_pylist()
        first = next((str(cell) for cell in last[0].values() if cell), "") if last else ""
        if not TOTAL.match(first) or table.num_rows < 2:
            break
        shown = ", ".join(cells.quote(cell) for cell in last[0].values() if cell)
        notes.append(f"a last row of totals was left out: {shown}")
        table = table.slice(0, table.num_rows - 1)
    return table


def _unquoted(table: pa.Table) -> pa.Table:
    """Cells that are whole in quotes without them."""
    for at, column in enumerate(table.column_names):
        bare = pc.replace_substring_regex(table[column], r'^"(.*)"$', r"\1")
        table = table.set_column(at, column, bare)
    return table


def _ragged(name: str, text: bytes, delimiter: str, rows: list[Any]) -> FileError:
    """The error for rows whose number of fields is not the header's."""
    first = rows[0]
    place = f"row {first.number}"  # of rows that are not empty; the line is better
    at = text.find(b"\n" + first.text.encode("utf-8", "ignore"))
    if at >= 0:
        place = f"line {text[: at + 1].count(NEWLINE) + 1}"
    more = " or more" if len(rows) == REPORTED else ""
    mark = {ONE: "double colon"}.get(delimiter) or DELIMITERS.get(delimiter, "space")
    return FileError(
        f"{name}: {place} has {first.actual_columns} fields, but the header has "
        f"{first.expected_columns} ({len(rows)}{more} such lines); put quotes around cells that "
        f"hold a {mark}, or mend the line."
    )


def _reason(message: str) -> str:
    if "straddling" in message or "block" in message:
        return f"a row of over {BLOCK:,} bytes; close its quotes or shorten its cells."
    return "cannot be read as CSV; look at quotes and line ends, or save it again as CSV."
