"""Which items the model takes for alike."""

from __future__ import annotations

import numpy as np

from mtrec.explain.trunk import CHUNK, terms
from mtrec.models.encoders import EntityEncoder

Array = np.ndarray


class Alike:
    """States of all items, as the history and user-item products read them.

    Args:
        encoder: of items.
        count: number of items, without the unknown one.
    """

    def __init__(self, encoder: EntityEncoder, count: int):
        rows = np.arange(count + 1, dtype="int32")
        parts = [
            np.asarray(terms(encoder, rows[start : start + CHUNK])).sum(axis=1)
            for start in range(0, count + 1, CHUNK)
        ]
        states = np.concatenate(parts)
        size = np.linalg.norm(states, axis=1, keepdims=True)
        self._states = states / np.maximum(size, 1e-12)

    def of(self, row: int, rows: Array) -> Array:
        """Cosine of an item's state with those of others, ``(n,)``."""
        return self._states[rows] @ self._states[row]

    def nearest(self, row: int, count: int) -> tuple[Array, Array]:
        """Rows of the most similar other items, and their cosines."""
        found = self._states[1:] @ self._states[row]
        found[row - 1] = -np.inf
        count = min(count, len(found) - 1)
        if count < 1:
            return np.zeros(0, "int64"), np.zeros(0)
        some = np.argpartition(-found, count - 1)[:count]
        best = some[np.argsort(-found[some], kind="stable")]
        return best + 1, found[best]
