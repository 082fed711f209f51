"""JSON, one object a line or a list of objects -> text cells."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mtrec.domains.own import cells
from mtrec.domains.own.decode import to_utf8
from mtrec.domains.own.table import FileError, Limits, Table

LIST_SEPARATOR = "|"
BROKEN = (ValueError, SyntaxError, MemoryError, RecursionError)
PRECISE = json.JSONDecoder(parse_float=str, parse_int=str)  # numbers as they are written


def is_json(content: bytes) -> bool:
    """Whether bytes begin like an object, or a list of objects."""
    start = content[:1_000].removeprefix(b"\xef\xbb\xbf").lstrip()
    inner = start[1:].lstrip()
    if start.startswith(b"["):
        return inner.startswith(b"{")
    return start.startswith(b"{") and inner[:1] in (b'"', b"'", b"}", b"u")


def parse(name: str, content: bytes, limits: Limits) -> Table:
    """Read objects; a list of values becomes its parts joined by ``|``, other nests are left out.

    Lines may be Python's notation of a dictionary, as old files of the field have it; it is read
    as a literal, and nothing is run.

    Raises:
        FileError: a line is no object, or a limit is exceeded.
    """
    text, notes = to_utf8(name, content)
    columns: dict[str, list[str | None]] = {}
    nested: dict[str, int] = {}
    rows = 0
    for found in _objects(name, text):
        if rows >= limits.rows:
            raise FileError(f"{name}: more than {limits.rows:,} rows; split it or take a part.")
        for key, value in found.items():
            cell, whole = _cell(value)
            if not whole:
                nested[str(key)] = nested.get(str(key), 0) + 1
            if cell is not None:
                column = columns.get(key)
                if column is None:
                    column = columns[key] = []
                    if len(columns) > limits.columns:
                        raise FileError(
                            f"{name}: over {limits.columns:,} different keys; drop some."
                        )
                column.extend([None] * (rows - len(column)))
                column.append(cell)
        rows += 1
    if not rows or not columns:
        raise FileError(
            f"{name}: no object with values; write one object a line (pandas: orient='records', "
            "lines=True)."
        )
    table = pa.table(
        {
            str(key): pa.array(column + [None] * (rows - len(column)), pa.string())
            for key, column in columns.items()
        }
    )
    notes.append("JSON, one object a row")
    notes += [
        f"{count:,} values of {cells.quote(key)} are objects or lists of them and were left out; "
        "write them as keys of their own"
        for key, count in nested.items()
    ]
    return cells.finish(name, table, table.column_names, notes, limits)


def _objects(name: str, text: bytes) -> Iterator[dict[Any, Any]]:
    """Each object of a file, checked to be one."""
    if text.lstrip().startswith(b"["):
        try:
            whole = PRECISE.decode(text.decode("utf-8").strip())
        except BROKEN:
            raise FileError(
                f"{name}: a JSON list that cannot be read; write one object a line."
            ) from None
        for number, found in enumerate(whole, start=1):
            yield _checked(name, f"object {number}", found, str(found))
        return
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line.strip():
            try:
                found = _line(line)
            except BROKEN:
                found = None
            yield _checked(name, f"line {number}", found, line[:100].decode("utf-8", "ignore"))


def _checked(name: str, place: str, found: Any, start: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise FileError(
            f"{name}: {place} is not a whole JSON object ({cells.quote(start)}); mend or delete it."
        )
    return found


def _line(line: bytes) -> Any:
    text = line.decode("utf-8").strip().removesuffix(",")
    try:
        return PRECISE.decode(text)
    except ValueError:
        return ast.literal_eval(text)  # {'key': u'value'}: literals alone, no names, no calls


def _cell(value: Any) -> tuple[str | None, bool]:
    """The text of a value, and whether it is whole."""
    if isinstance(value, str):
        return (None if value in cells.EMPTY else value), True
    if value is None:
        return None, True
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, dict):
        return None, not value
    if isinstance(value, list | tuple):
        if any(isinstance(part, dict | list | tuple) for part in value):
            return None, False
        return (LIST_SEPARATOR.join(str(p) for p in value if p is not None) or None), True
    return str(value), True
