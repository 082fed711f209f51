"""Arrays with a row per user or item that grow as new ones come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Array = np.ndarray


class Ids:
    """Rows of ids; row 0 is the one without a name.

    Args:
        known: ids of rows 1, 2, …, as the model has them.

    Attributes:
        spare: the model's rows that stand for rows which it does not know.
    """

    def __init__(self, known: Sequence[str]):
        self.names: list[str] = ["", *known]
        self.row = {name: at + 1 for at, name in enumerate(known)}
        self.modelled = len(self.names)  # rows from here on the model does not know
        self.spare: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str) -> int:
        """The row of an id; a new one is made for a new id."""
        row = self.row.setdefault(name, len(self.names))
        if row == len(self.names):
            self.names.append(name)
        return row

    def learnt(self, row: int) -> int:
        """The row if the model was trained on it, else 0."""
        return row if row < self.modelled else 0

    def model(self, rows: Array) -> Array:
        """The model's rows ``(n,)`` int32; 0 for those that it does not know."""
        found = np.where(rows < self.modelled, rows, 0).astype("int32")
        if self.spare:
            for at in np.flatnonzero(rows >= self.modelled):
                found[at] = self.spare.get(int(rows[at]), 0)
        return found


def grown(table: Array, rows: int, fill: float = 0) -> Array:
    """The table with ``rows`` rows or more; a longer one has room for as many again."""
    if len(table) >= rows:
        return table
    order: Literal["C", "F"] = "F" if np.isfortran(table) else "C"
    longer = np.full((max(rows, 2 * len(table)), *table.shape[1:]), fill, table.dtype, order)
    longer[: len(table)] = table
    return longer
