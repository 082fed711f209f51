"""What a reader of files gives, within which limits, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


class FileError(ValueError):
    """A file cannot be used; one sentence says which, why, and the mend."""


class Undecided(FileError):
    """The user must say something about a file.

    Attributes:
        key: what: ``time_unit``, or the role of a column.
        choices: possible answers, each with an explanation.
    """

    def __init__(self, sentence: str, key: str, choices: Mapping[str, str]):
        super().__init__(sentence)
        self.key, self.choices = key, choices


@dataclass(frozen=True)
class Limits:
    """What one file may hold.

    Attributes:
        bytes: of the file, and of what it unpacks to.
        rows: data rows.
        columns: columns.
        field: characters of one cell.
    """

    bytes: int = 1 << 30
    rows: int = 20_000_000
    columns: int = 1_000
    field: int = 100_000


LIMITS = Limits()


@dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes:
        frame: one ``str`` column per column of the file, missing where a cell is empty.
        notes: what was unusual and how it was taken, for the reader.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]
