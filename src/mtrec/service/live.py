"""A running service: what answers now, the log of events, and the next model when it comes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtrec.service.log import EventLog, NotStored
from mtrec.service.metrics import Metrics
from mtrec.service.schemas import Event
from mtrec.service.texts import Read

if TYPE_CHECKING:
    from mtrec.service.bundle import Bundle

GROUP = 2000  # events that are written together at most
AT_ONCE = 8  # events that are counted before requests have their turn
AHEAD = timedelta(days=1)  # that a clock may go before ours
Stored = dict[str, Any]


class Conflict(ValueError):
    """An event has the id of another one with other content."""


@dataclass(frozen=True)
class Outcome:
    """What became of events that were sent together.

    Attributes:
        accepted: how many are new.
        duplicates: how many had been accepted before.
        late: how many of the new ones were older than another of the same user or item.
    """

    accepted: int
    duplicates: int
    late: int


class Live:
    """A service between its start and its end.

    Args:
        bundle: what answers at first.
        log: of events.
        metrics: what is counted.
        look: loads the newest model, if there is a newer one than that of a version; called in a
            thread, now and then. None: models are not looked for.
    """

    def __init__(
        self,
        bundle: Bundle,
        log: EventLog,
        metrics: Metrics,
        look: Callable[[], Bundle | None] | None = None,
    ):
        self.bundle, self.log, self.metrics, self._look = bundle, log, metrics, look
        self.trouble: str | None = None  # with the next model
        self._known: dict[str, bytes] = {}
        self._waiting: asyncio.Queue[tuple[list[Stored], asyncio.Future[Outcome]] | None]
        self._writing = asyncio.Lock()
        self._since: list[Stored] | None = None  # events counted while a model is loaded
        self.replayed = self._replay(self.bundle, log.replay())

    def _replay(self, bundle: Bundle, events: Iterable[Stored]) -> int:
        """Count events in a new state: all that were accepted on its data, later ones of others."""
        end, counted = bundle.state.now - 1000, 0
        for event in events:
            self._known[event["event_id"]] = bytes.fromhex(event["digest"])
            if event["data"] == bundle.data or event["time"] > end:
                bundle.answers.note(event)
                counted += 1
        self._measure()
        return counted

    # -- events ------------------------------------------------------------------------------

    def check(self, events: Sequence[Event]) -> list[Stored]:
        """Events as they are stored, if all could be counted.

        Raises:
            ValueError: one could not; the message says which and why.
        """
        now, found = datetime.now(UTC), []
        for at, event in enumerate(events):
            plain = event.model_dump(exclude_defaults=True, mode="json")
            digest = hashlib.blake2b(
                json.dumps(plain, sort_keys=True).encode(), digest_size=8
            ).hexdigest()
            moment = event.timestamp or now
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            try:
                if not datetime(1970, 1, 1, tzinfo=UTC) <= moment <= now + AHEAD:
                    raise ValueError(
                        f"timestamp: {moment:%Y-%m-%d} is before 1970 or in the future; mend the "
                        "clock that made it"
                    )
                plain.pop("timestamp", None)
                stored = {**plain, "time": int(moment.timestamp() * 1000),
                          "digest": digest, "data": self.bundle.data}  # fmt: skip
                if event.item_id is None and not (event.labels or event.context):
                    raise ValueError("it has neither an item nor labels nor context")
                self.bundle.state.check(stored)
            except ValueError as error:
                raise ValueError(f"events.{at}: {error}.".replace("..", ".")) from None
            found.append(stored)
        return found

    async def accept(self, events: Sequence[Event]) -> Outcome:
        """Write events to the disk and count them; both are done when this returns.

        Raises:
            ValueError: one could not be counted, or is another one than its id says.
            NotStored: the disk refused them.
        """
        stored = self.check(events)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._waiting.put((stored, answer))
        return await answer

    async def _commit_all(self) -> None:
        """Write what waits, in groups, until the end."""
        ended = False
        while not ended:
            group = [await self._waiting.get()]
            while sum(len(one[0]) for one in group if one) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            ended = None in group
            told = [one for one in group if one is not None]
            try:
                async with self._writing:
                    await self._commit(told)
            except Exception as error:  # whoever waits must hear of it, and later events be taken
                for _, answer in told:
                    _fail(answer, error)

    async def _commit(self, group: list[tuple[list[Stored], asyncio.Future[Outcome]]]) -> None:
        """Write a group with one wait for the disk, then count it and tell who sent it."""
        fresh: dict[str, Stored] = {}
        told: list[tuple[list[Stored], int, asyncio.Future[Outcome]]] = []
        for events, answer in group:
            try:
                new, repeated = self._unknown(events, fresh)
            except Conflict as error:
                _fail(answer, error)
                continue
            fresh |= {event["event_id"]: event for event in new}
            told.append((new, repeated, answer))
        if fresh:
            try:
                await asyncio.to_thread(self.log.append, [*fresh.values()])
            except NotStored as error:
                for _, _, answer in told:
                    _fail(answer, NotStored(str(error), error.full))
                self.metrics.events.labels("refused").inc(len(fresh))
                return
        for new, repeated, answer in told:
            late = await self._count(new)
            self.metrics.events.labels("accepted").inc(len(new))
            self.metrics.events.labels("duplicate").inc(repeated)
            if not answer.done():
                answer.set_result(Outcome(len(new), repeated, late))

    def _unknown(self, events: list[Stored], fresh: dict[str, Stored]) -> tuple[list[Stored], int]:
        """Those of the events that are new, and how many are not.

        Raises:
            Conflict: one has the id of another with other content.
        """
        own: dict[str, Stored] = {}
        for event in events:
            name = event["event_id"]
            other = own.get(name) or fresh.get(name)
            digest = bytes.fromhex(other["digest"]) if other else self._known.get(name)
            if digest is None:
                own[name] = event
            elif digest.hex() != event["digest"]:
                raise Conflict(
                    f"event_id: '{name}' was accepted before with other content; give this event "
                    "an id of its own."
                )
        return [*own.values()], len(events) - len(own)

    async def _count(self, events: list[Stored]) -> int:
        """Let events change answers; requests have their turn in between."""
        late = 0
        for at, event in enumerate(events):
            late += self.bundle.answers.note(event)
            self._known[event["event_id"]] = bytes.fromhex(event["digest"])
            if self._since is not None:
                self._since.append(event)
            if at % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        self._measure()
        if self.bundle.answers.unread:
            self._to_read.set()
        return late

    def _measure(self) -> None:
        self.metrics.known.labels("user").set(len(self.bundle.state.users) - 1)
        self.metrics.known.labels("item").set(len(self.bundle.state.items) - 1)

    # -- models ------------------------------------------------------------------------------

    async def look_for_models(self, every: float) -> None:
        """Change to a newer model whenever there is one."""
        while self._look is not None:
            await asyncio.sleep(every)
            await self.reload()

    async def reload(self) -> bool:
        """Change to a newer model, if there is one; requests are answered all the while.

        Returns:
            Whether another model answers now.
        """
        assert self._look is not None
        try:
            found = await asyncio.to_thread(self._look)
        except Exception as error:  # whatever a file that is not ours makes of it: look again
            said = str(error.args[0] if isinstance(error, KeyError) else error)
            if said != self.trouble:
                self.metrics.reloads.labels("refused").inc()
            self.trouble = said
            return False
        self.trouble = None
        if found is None:
            return False
        async with self._writing:
            self.log.hold, self._since = True, []
            files = self.log.files()
        try:
            await asyncio.to_thread(self._replay_into, found, files)
            async with self._writing:
                for event in self._since:
                    found.answers.note(event)
                self.bundle = found
        finally:
            self.log.hold, self._since = False, None
        self.metrics.reloads.labels("changed").inc()
        self._measure()
        self._to_read.set()
        return True

    def _replay_into(self, bundle: Bundle, files: list[tuple[Path, int]]) -> None:
        end = bundle.state.now - 1000
        for event in self.log.read(files):
            if event["data"] == bundle.data or event["time"] > end:
                bundle.answers.note(event)

    # -- texts -------------------------------------------------------------------------------

    async def read(self, texts: Sequence[str]) -> dict[str, Read]:
        """What the language model makes of texts; requests are answered meanwhile.

        Raises:
            ValueError: one cannot be read, or the language model is not there.
        """
        reader, loop = self.bundle.answers.texts, asyncio.get_running_loop()
        if reader is None:
            return {}
        return {text: await loop.run_in_executor(reader.pool, reader.read, text) for text in texts}

    async def _read_all(self) -> None:
        """Read the texts of new items as they come, until the end."""
        while True:
            await self._to_read.wait()
            self._to_read.clear()
            while unread := self.bundle.answers.unread:
                answers, (item_id, text) = self.bundle.answers, next(iter(unread.items()))
                found: Read | str
                try:
                    found = (await self.read([text]))[text]
                except (ValueError, OSError) as error:
                    found = str(error)
                if answers.unread.get(item_id) == text:  # no newer one came meanwhile
                    answers.learn(item_id, found)

    # -- life --------------------------------------------------------------------------------

    async def start(self, every: float = 2.0) -> None:
        """Begin to accept events and to look for models."""
        self.since = time.time()
        self._waiting = asyncio.Queue()
        self._to_read = asyncio.Event()
        self._to_read.set()
        self._tasks = [asyncio.create_task(each) for each in (self._commit_all(), self._read_all())]
        if self._look is not None:
            self._tasks.append(asyncio.create_task(self.look_for_models(every)))

    async def stop(self) -> None:
        """Write what waits, and let go of the log."""
        for task in self._tasks[1:]:
            task.cancel()
        await self._waiting.put(None)
        await self._tasks[0]
        self.log.close()


def _fail(answer: asyncio.Future, error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
