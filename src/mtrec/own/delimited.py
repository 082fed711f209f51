"""CSV in its dialects -> text cells."""

from __future__ import annotations

import csv
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from mtrec.own import cells
from mtrec.own.decode import to_utf8
from mtrec.own.table import FileError, Limits, Table

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE = 1 << 16  # bytes looked at to find the delimiter
BLOCK = 1 << 23  # bytes that a row may not exceed
REPORTED = 5  # ragged rows, then reading stops
NEWLINE = b"\n"


def parse(name: str, content: bytes, limits: Limits) -> Table:
    """Read delimited text with a header line.

    Raises:
        FileError: binary content, one column, ragged rows, or a limit exceeded.
    """
    text, notes = to_utf8(name, content)
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    delimiter, width = sniff(name, text)
    if width > limits.columns:
        raise FileError(f"{name}: {width:,} columns (limit {limits.columns:,}); drop some.")
    if delimiter != ",":
        notes.append(f"delimiter: {DELIMITERS[delimiter]}")
    table = _rows(name, text, delimiter, limits)
    header = [table[n][0].as_py() for n in range(table.num_columns)]
    names, renamed = cells.column_names(name, header)
    table = table.slice(1).rename_columns(names)
    if not table.num_rows:
        raise FileError(f"{name}: a header line and no rows; add rows.")
    cells.check_limits(name, table, limits)
    notes += [*renamed, *cells.formula_note(table)]
    return Table(cells.to_frame(table), tuple(notes))


def sniff(name: str, text: bytes) -> tuple[str, int]:
    """The delimiter that divides the first lines most evenly, and the header's columns.

    Raises:
        FileError: none gives two columns.
    """
    lines = text[:SAMPLE].decode("utf-8", "ignore").split("\n")
    if len(text) > SAMPLE and len(lines) > 1:
        lines = lines[:-1]
    best: tuple[float, int, str] = (0.0, 1, "")
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        best = max(best, (even, len(rows[0]), delimiter))
    if not best[2]:
        raise FileError(
            f"{name}: the first line has one column; separate columns by comma, semicolon, tab or "
            "bar."
        )
    return best[2], best[1]


def _rows(name: str, text: bytes, delimiter: str, limits: Limits) -> pa.Table:
    """All rows as text, the header among them; columns are called f0, f1, …"""
    ragged: list[Any] = []

    def note(row: Any) -> str:
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
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            arrow_csv.ConvertOptions(
                column_types={f"f{n}": pa.string() for n in range(limits.columns)},
                null_values=list(cells.MISSING),
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, ValueError, OSError) as error:
        if not ragged:
            raise FileError(f"{name}: {_reason(str(error))}") from None
    if ragged:
        raise _ragged(name, text, delimiter, ragged)
    return table


def _ragged(name: str, text: bytes, delimiter: str, rows: list[Any]) -> FileError:
    """The error for rows whose number of fields is not the header's."""
    first = rows[0]
    place = f"row {first.number}"  # of rows that are not empty; the line is better
    at = text.find(b"\n" + first.text.encode("utf-8", "ignore"))
    if at >= 0:
        place = f"line {text[: at + 1].count(NEWLINE) + 1}"
    more = " or more" if len(rows) == REPORTED else ""
    return FileError(
        f"{name}: {place} has {first.actual_columns} fields, but the header has "
        f"{first.expected_columns} ({len(rows)}{more} such lines); put quotes around cells that "
        f"hold a {DELIMITERS[delimiter]}, or mend the line."
    )


def _reason(message: str) -> str:
    if "straddling" in message or "block" in message:
        return f"a row of over {BLOCK:,} bytes; close its quotes or shorten its cells."
    return "cannot be read as CSV; look at quotes and line ends, or save it again as CSV."
