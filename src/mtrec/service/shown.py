"""The items that lists may show, in arrays that grow as new items with a text come."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mtrec.service.rows import Ids, grown
from mtrec.serving.catalogue import Catalogue

Array = np.ndarray


class Shown:
    """Items in the order of the catalogue; those that came after training follow.

    Args:
        ids: of all items.
        events: that the model was trained on.
        catalogue: of the task that ranks items, if there is one.

    Attributes:
        all: places of all items, ``(items,)``.
    """

    def __init__(self, ids: Ids, events: pd.DataFrame, catalogue: Catalogue | None):
        self._ids, self._size = ids, ids.modelled - 1
        self._rows = np.arange(1, ids.modelled)
        self._place: dict[int, int] = {}  # of items that came after training, by row
        counts = events["item_id"].value_counts().reindex(ids.names[1 : ids.modelled]).fillna(0)
        self._popularity = np.array(counts, dtype="float64")  # one that may be written to
        bias = catalogue.bias if catalogue else np.zeros(self._size, "float32")
        vectors = catalogue.items if catalogue else np.zeros((self._size, 0), "float32")
        self._vectors = np.asfortranarray(np.column_stack([vectors, bias]))  # one pass for both
        self._scores = np.zeros(self._size, "float32")
        self.all = np.arange(self._size)
        self._usual = float(np.median(bias)) if self._size else 0.0

    def __len__(self) -> int:
        return self._size

    @property
    def popularity(self) -> Array:
        """Events of each item, ``(items,)``."""
        return self._popularity[: self._size]

    def scores(self, query: Array) -> Array:
        """Scores of all items ``(items,)`` for what a user wants ``(width,)``.

        The array is the caller's until the next call: a fresh one each time would cost a request
        the pages that the system clears for it.
        """
        self._scores = grown(self._scores, self._size)
        with_bias = np.append(query, np.ones(1, query.dtype))
        # Unlike np.dot, which copies a table by columns that has room at the end of each.
        return np.matmul(self._vectors[: self._size], with_bias, out=self._scores[: self._size])

    def rows(self, places: Array) -> Array:
        """Rows of items by their places."""
        return self._rows[places]

    def name(self, place: int) -> str:
        """Id of the item at a place."""
        return self._ids.names[self._rows[place]]

    def places(self, rows: Iterable[int]) -> Array:
        """Places of those of the items that are shown, ``(found,)`` int64, ascending."""
        wanted = np.fromiter(rows, "int64")
        known = wanted[(wanted > 0) & (wanted < self._ids.modelled)] - 1
        came = wanted[wanted >= self._ids.modelled].tolist()
        later = [self._place[row] for row in came if row in self._place]
        return np.unique(np.append(known, np.array(later, "int64")))

    def place(self, row: int) -> int | None:
        """Place of an item, None if it is not shown."""
        return row - 1 if 0 < row < self._ids.modelled else self._place.get(row)

    def add(self, row: int, state: Array) -> None:
        """Show an item that came after training, or change what it is compared by.

        Its bias is the median of all items': nothing is known of how popular it will be.

        Args:
            row: of the item.
            state: as the encoder of items gives it, ``(width,)``.
        """
        place = self._place.setdefault(row, self._size)
        if place == self._size:
            self._size += 1
            self.all = np.arange(self._size)
            self._rows = grown(self._rows, self._size)
            self._popularity = grown(self._popularity, self._size)
            self._vectors = grown(self._vectors, self._size)
            self._rows[place], self._vectors[place, -1] = row, self._usual
        if self._vectors.shape[1] > 1:
            self._vectors[place, :-1] = state / len(state) ** 0.5

    def count(self, row: int) -> None:
        """Note that an item was met once more."""
        place = self.place(row)
        if place is not None:
            self._popularity[place] += 1


def placed(scores: Array, joint: Array, competing: Array) -> Array:
    """Scores of items that others than the joint model do not know.

    Each gets the place that the joint model gives it: the score of whoever has that place.

    Args:
        scores: by whoever answers, of the items that they know.
        joint: of the joint model: of these and, behind them, of the others.
        competing: which of the items that they know compete.

    Example:
        >>> placed(np.array([9.0, 5.0]), np.array([0.1, 0.2, 0.15]), np.array([True, True]))
        array([5.])
    """
    size = len(scores)
    known, own = np.sort(joint[:size][competing]), np.sort(scores[competing])
    if not len(known):
        return joint[size:]
    below = np.searchsorted(known, joint[size:], side="left")
    return own[np.maximum(below - 1, 0)]
