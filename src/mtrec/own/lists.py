"""Cells that hold several values: divided by a mark, or as a list of Python, JSON or Postgres."""

from __future__ import annotations

import ast
import json
import re

import pandas as pd

from mtrec.own import field

BRACKETS = "[]"  # instead of a separator: cells such as ['a', 'b'], ["a", "b"], {a,b} or (a, b)
ENCLOSED = r"^\s*(?:\[.*\]|\{.*\}|\(.*\))\s*$"
MOSTLY = 0.95
NUMBERS = r"[0-9]+(?:\s*,\s*[0-9]+)*"
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
NAMED = ("name", "title", "label", "description", "id")  # what an object in a list is called by
VOCABULARY = 0.8  # share of second numbers that also stand first or alone in a list


def lists(column: pd.Series, separator: str) -> pd.Series:
    """Sorted distinct parts of each cell; a missing cell is an empty list.

    Each distinct cell is divided once and rows share the result.

    Example:
        >>> lists(pd.Series(["b|a", None]), "|").tolist()
        [['a', 'b'], []]
        >>> lists(pd.Series(["['Drama', 'Comedy']", "{x,y}", "[1 2]"]), "[]").tolist()
        [['Comedy', 'Drama'], ['x', 'y'], ['1', '2']]
    """
    distinct = column.dropna().unique()
    divide = _enclosed if separator == BRACKETS else lambda cell: cell.split(separator)
    parts = {cell: sorted({p for p in map(str.strip, divide(cell)) if p}) for cell in distinct}
    empty: list[str] = []
    return column.astype("object").map(lambda cell: parts.get(cell, empty)).astype("object")


def enclosed(known: pd.Series) -> bool:
    """Whether most cells are lists in brackets."""
    return bool(known.str.contains(ENCLOSED, regex=True).mean() >= MOSTLY)


def of_numbers(name: str, known: pd.Series, points: bool) -> bool:
    """Whether cells such as ``1,21`` are lists and not numbers with decimal commas.

    Args:
        name: of the column.
        known: its cells.
        points: other columns have numbers with decimal points.

    Example:
        >>> of_numbers("tag", pd.Series(["1,21", "5"]), False)
        True
        >>> of_numbers("price", pd.Series(["1,21", "5"]), False)
        False
    """
    cells = known.str.strip()
    commas = cells.str.count(",")
    if not commas.any() or cells.str.fullmatch(NUMBERS).mean() < MOSTLY:
        return False
    several = cells[commas > 0]
    if several.str.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+").all() or _lasting_zeros(several):
        return False
    words = set(field.tokens(name))
    if (commas > 1).any() or words & field.LISTS:
        return True
    if words & field.AMOUNTS:
        return False
    first, second = several.str.split(",").str[0].str.strip(), several.str.split(",").str[1]
    other = set(first) | set(cells[commas == 0])
    distinct = second.str.strip().unique()
    return points or (len(distinct) >= 5 and pd.Series(distinct).isin(other).mean() >= VOCABULARY)


def _lasting_zeros(cells: pd.Series) -> bool:
    """Whether a number after the comma begins with zero, as decimals do and values do not."""
    return bool(cells.str.contains(r",\s*0[0-9]", regex=True).any())


def _enclosed(cell: str) -> list[str]:
    """The values of one cell in brackets."""
    text = cell.strip()
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        joined = "' '" in text  # strings that only a space divides are one to Python
        if isinstance(found, dict | list | tuple | set) and not joined:
            return [_name(value) for value in found]
    inner = text[1:-1] if re.fullmatch(ENCLOSED, text) else text
    if "," not in inner:
        quoted = [a or b for a, b in QUOTED.findall(inner)]
        return quoted or inner.split()
    return [part.strip().strip("'\"") for part in inner.split(",")]


def _name(value: object) -> str:
    """A value of a list as text; an object by its name."""
    if isinstance(value, dict):
        value = next((value[key] for key in NAMED if key in value), "")
    return "" if value is None else str(value)
