"""Requests that wait at the same moment, answered by one pass through the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

Array = np.ndarray
MOST = 32  # rows of a pass


class Batches:
    """Rows that are asked for one by one, and computed together.

    A row waits for no other: what has come when the loop is free again is one batch.

    Args:
        compute: from rows ``(n,)`` to results, one per row.
    """

    def __init__(self, compute: Callable[[Array], Array]):
        self._compute = compute
        self._waiting: list[tuple[int, asyncio.Future[Array]]] = []

    async def __call__(self, row: int) -> Array:
        """The result of one row."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Array] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((row, answer))
        return await answer

    def _flush(self) -> None:
        """Answer the rows that wait; some stay for the next time if they are many."""
        now, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        try:
            found = self._compute(np.array([row for row, _ in now]))
        except Exception as error:
            for _, answer in now:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(now, found, strict=True):
            if not answer.done():
                answer.set_result(result)
