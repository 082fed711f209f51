"""Requests that wait for each other are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Together(Generic[Asked, Answer]):
    """A queue of requests, of which a few are answered in one go.

    A request that comes alone is answered at once. Those that came while others were answered share
    what costs the same for one as for several: the longer the queue, the faster it gets shorter.

    Args:
        answer: from requests to an answer of each, or the error of those that cannot be answered.
        most: requests that are answered in one go.
    """

    def __init__(
        self, answer: Callable[[Sequence[Asked]], Sequence[Answer | Exception]], most: int
    ):
        self._answer, self._most = answer, most
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []

    async def ask(self, asked: Asked) -> Answer:
        """The answer to a request.

        Args:
            asked: the request.

        Raises:
            Exception: what ``answer`` said of it, or raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._turn)
        self._waiting.append((asked, future))
        return await future

    def _turn(self) -> None:
        """Answer those that came first, and let the loop send the answers before the next ones."""
        now, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        now = [(asked, future) for asked, future in now if not future.done()]  # who waits still
        try:
            found = self._answer([asked for asked, _ in now])
        except Exception as error:
            found = [error] * len(now)
        for (_, future), answer in zip(now, found, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
