"""Which items have the values that a request asks for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray
KEPT = 64  # answers
LEFT_OUT = ("text",)  # columns that are no property of an item


class Filters:
    """Columns of items, ready to be asked.

    Args:
        items: the table of items, in the order of the catalogue.
    """

    def __init__(self, items: pd.DataFrame):
        self._size = len(items)
        self._rows: dict[str, dict[str, Array]] = {}
        self._numbers: dict[str, Array] = {}
        self._answers: OrderedDict[str, Array] = OrderedDict()
        for name in items.columns.difference([*LEFT_OUT, "item_id"]):
            column = items[name].reset_index(drop=True)
            if pd.api.types.is_numeric_dtype(column):
                self._numbers[name] = column.to_numpy(dtype="float64", na_value=np.nan)
            else:
                values = column.explode().dropna().astype(str)
                self._rows[name] = {
                    k: v.to_numpy() for k, v in values.index.groupby(values).items()
                }

    @property
    def columns(self) -> list[str]:
        """Columns that may be asked for."""
        return sorted({*self._rows, *self._numbers})

    def __call__(self, wanted: Mapping[str, Any]) -> Array | None:
        """Items that have all values asked for, ``(items,)`` bool; None where nothing is asked.

        Raises:
            ValueError: a column is unknown, or is of numbers and asked for words, or the reverse.
        """
        if not wanted:
            return None
        key = repr(sorted(wanted.items()))
        if key not in self._answers:
            found = np.ones(self._size, bool)
            for column, value in wanted.items():
                found &= self._one(column, value)
            self._answers[key] = found
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return self._answers[key]

    def _one(self, column: str, value: Any) -> Array:
        words = [value] if isinstance(value, str) else value
        if column in self._numbers and not isinstance(words, list):
            numbers = self._numbers[column]
            least = -np.inf if value.least is None else value.least
            most = np.inf if value.most is None else value.most
            return (numbers >= least) & (numbers <= most)
        if column in self._rows and isinstance(words, list):
            found = np.zeros(self._size, bool)
            for word in words:
                found[self._rows[column].get(word, [])] = True
            return found
        if column in self._numbers:
            raise ValueError(f"filters: '{column}' holds numbers; ask for least and most")
        if column in self._rows:
            raise ValueError(f"filters: '{column}' holds words; ask for one or a list of them")
        raise ValueError(
            f"filters: items have no column '{column:.64}' (they have: {', '.join(self.columns)})"
        )
