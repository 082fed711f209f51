"""What is wrong with a domain, one finding per cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mtrec.own.cells import quote

EXAMPLES = 3  # shown per finding
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        level: an ``error`` must be mended; a ``warning`` should be looked at; a ``note`` says what
            is not used, or how.
        file: where: a file, a table or ``params.yaml``.
        column: the column, setting or task; empty if it is the whole file.
        what: what was found and expected.
        rows: examples, such as ``line 7: 'x'``.
        mend: what to do.
    """

    level: Literal["error", "warning", "note"]
    file: str
    column: str
    what: str
    mend: str
    rows: tuple[str, ...] = ()

    def line(self) -> str:
        """The finding as one line."""
        place = f"{self.file}, {self.column}" if self.column else self.file
        rows = f" ({'; '.join(self.rows)})" if self.rows else ""
        return f"{place}: {self.what}{rows}. {self.mend}"


def examples(cells: pd.Series, bad: pd.Series | None = None) -> tuple[str, ...]:
    """The first bad cells, each with its row (1 is the first after the header)."""
    chosen = cells if bad is None else cells[bad]
    return tuple(
        f"row {int(position) + 1}: {'empty' if pd.isna(cell) else quote(str(cell))}"
        for position, cell in chosen.iloc[:EXAMPLES].items()
    )


def as_lines(domain: str, findings: Sequence[Finding]) -> str:
    """Errors, then warnings, then notes, for a terminal."""
    parts = []
    for level in LEVELS:
        lines = [f"  {finding.line()}" for finding in findings if finding.level == level]
        if lines:
            parts.append(
                f"{len(lines)} {level}{'s' if len(lines) > 1 else ''}\n" + "\n".join(lines)
            )
    if not any(finding.level != "note" for finding in findings):
        parts.insert(0, f"{domain}: nothing is wrong")
    return "\n\n".join(parts)


def status(findings: Sequence[Finding]) -> int:
    """Exit status: 1 if there is an error."""
    return int(any(finding.level == "error" for finding in findings))


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Findings as a table, errors first."""
    rows = [
        (f.level, f.file, f.column, f.what, "; ".join(f.rows), f.mend)
        for f in sorted(findings, key=lambda finding: LEVELS.index(finding.level))
    ]
    return pd.DataFrame(rows, columns=["level", "file", "column", "found", "examples", "mend"])


def lines(frame: pd.DataFrame) -> str:
    """A table for a terminal, columns aligned to the left."""
    cells = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    widths = [max(len(row[n]) for row in cells) for n in range(len(frame.columns))]
    rows = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(f"  {row}".rstrip() for row in rows)
