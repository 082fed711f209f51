"""How a text file divides its columns, and what is no row of it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mtrec.own.table import FileError

DELIMITERS = {
    ",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", "::": "::", "^": "caret",
    "\x01": "control A",
}  # fmt: skip
SPACES = " "  # runs of spaces, if nothing else divides
ONE = "\x1f"  # stands for a delimiter of two characters; cleaned text never holds it
SAMPLE = 1 << 16  # bytes looked at
ABOVE = 10  # lines above the header, at most
TOTAL = re.compile(
    r"[\s\"']*(?:(?:grand |sub)?totals?\b|sum\b|summe\b|gesamt\b|合计|总计|[(]?[0-9]+ rows?\b)",
    re.IGNORECASE,
)
COMMENT = re.compile(r"\s*[#%]|\s*[-+|=:]{3}[-+|=:\s]*$")  # or a rule below a header


@dataclass(frozen=True)
class Dialect:
    """A text file's way.

    Attributes:
        delimiter: between columns.
        width: columns of most rows.
        quoted: quotes enclose cells as far as can be seen.
        escaped: a quote in a cell has a backslash before it.
        first: rows above the first row of that width.
    """

    delimiter: str
    width: int
    quoted: bool
    escaped: bool
    first: int


def sniff(name: str, text: bytes, delimiter: str | None = None) -> Dialect:
    """How the first lines are divided most evenly.

    Args:
        name: of the file, for messages.
        text: clean UTF-8.
        delimiter: the one that the file itself names.

    Raises:
        FileError: nothing gives two columns.
    """
    lines = text[:SAMPLE].decode("utf-8", "ignore").split("\n")
    if len(text) > SAMPLE and len(lines) > 1:
        lines = lines[:-1]
    best: tuple[float, int, bool, str, int] = (0.0, 1, False, "", 0)
    for mark in [delimiter] if delimiter else DELIMITERS:
        for quoted in (True, False):
            widths = [len(row) for row in rows(lines, mark, quoted)]
            if not widths:
                continue
            width, count = _usual(widths)
            if width > 1:
                first = next(n for n, w in enumerate(widths) if w == width)
                even = round(count / len(widths), 3)
                best = max(best, (even, width if mark != "::" else width + 1, quoted, mark, first))
    if not best[3] or best[0] < 0.5:
        widths = [len(line.split()) for line in lines if line.strip()]
        width, count = _usual(widths) if widths else (0, 0)
        count += bool(widths) and widths[0] == width - 1  # a header without one for row numbers
        if width > 1 and count / len(widths) > max(0.9, best[0]) and len(widths) > 1:
            return Dialect(SPACES, width, False, False, widths.index(width))
    if not best[3]:
        raise FileError(
            f"{name}: the first line has one column; separate columns by comma, semicolon, tab or "
            "bar."
        )
    even, width, quoted, mark, first = best
    sample = "\n".join(lines)
    backslash = len(re.findall(r"\\\"(?!\s*(?:[,;\t|\n]|$))", sample))
    doubled = len(re.findall(r"[^,;\t|\n]\"\"[^,;\t|\n]", sample))
    width -= mark == "::"
    return Dialect(mark, width, quoted, backslash > doubled, first if first <= ABOVE else 0)


def rows(lines: Sequence[str], delimiter: str, quoted: bool) -> list[list[str]]:
    """Cells of lines that are not empty."""
    one = ONE if len(delimiter) > 1 else delimiter
    given = [line.replace(delimiter, one) for line in lines] if one is ONE else lines
    try:
        if quoted:
            return [row for row in csv.reader(given, delimiter=one) if row]
        return [row for row in csv.reader(given, delimiter=one, quoting=csv.QUOTE_NONE) if row]
    except csv.Error:
        return []


def _usual(widths: Sequence[int]) -> tuple[int, int]:
    """The most frequent width, the larger of equals, and how many rows have it."""
    counts = Counter(widths)
    return max(counts.items(), key=lambda item: (item[1], item[0]))
