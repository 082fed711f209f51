"""How far a long loop is, told to whoever watches; the loop itself never fails for it.

Under ``mtrec repro`` a stage runs in a notebook's kernel, which has no terminal: the loop keeps a
small file up to date, named by the environment variable ``MTREC_PROGRESS``, and the command shows
it. Without that variable a terminal gets a bar, and anything else (a notebook, a log) nothing.

Example:
    >>> with task("embedding", 1000, unit="text") as bar:
    ...     bar.advance(512)
    >>> for name in over(("joint", "like", "rating"), "training", "model"):
    ...     pass  # train it
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from mtrec.files import write_text

VARIABLE = "MTREC_PROGRESS"
WRITE_EVERY = 0.5  # seconds between two writes of the file
LINE_EVERY = 30.0  # seconds between two lines where there is no terminal
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """A loop as its file tells it."""

    name: str
    total: float
    done: float
    unit: str
    note: str
    started: float  # seconds since 1970

    def text(self) -> str:
        """One phrase: ``3 of 8 models (like)``.

        Example:
            >>> State("training", 8, 3, "model", "like", 0.0).text()
            '3 of 8 models (like)'
        """
        if self.unit == "B":
            return f"{self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"
        note = f" ({self.note})" if self.note else ""
        plural = "" if self.total == 1 else "s"
        return f"{self.done:,.0f} of {self.total:,.0f} {self.unit}{plural}{note}"


class Task:
    """A loop under way; :func:`task` makes it."""

    def __init__(self, name: str, total: float, unit: str, done: float, lines: bool):
        self._state = State(name, total, done, unit, "", time.time())
        self._file = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
        self._lines = lines and self._file is None and not sys.stderr.isatty()
        self._next = time.monotonic() + (LINE_EVERY if self._lines else 0.0)
        self._bar: tqdm | None = None
        if self._file is None and sys.stderr.isatty():
            self._bar = tqdm(
                total=total, initial=done, desc=name, unit=unit, unit_scale=unit == "B"
            )

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that so much more is done, and in a word or two what comes or came."""
        self._state = replace(self._state, done=self._state.done + amount, note=note)
        with contextlib.suppress(Exception):
            if self._bar is not None:
                self._bar.set_postfix_str(note, refresh=False)
                self._bar.update(amount)
            elif time.monotonic() >= self._next:
                self._tell()

    def _tell(self) -> None:
        if self._file is not None:
            write(self._file, asdict(self._state))
            self._next = time.monotonic() + WRITE_EVERY
        elif self._lines:
            print(f"{self._state.name}: {self._state.text()}", file=sys.stderr, flush=True)
            self._next = time.monotonic() + LINE_EVERY

    def _open(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._tell()

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            if self._bar is not None:
                self._bar.close()
            if self._file is not None:
                self._file.unlink(missing_ok=True)


@contextlib.contextmanager
def task(
    name: str, total: float, unit: str = "step", done: float = 0, lines: bool = False
) -> Iterator[Task]:
    """Show how far a loop is while the block runs.

    Args:
        name: what it does, one word.
        total: how much there is to do.
        unit: of what, in the singular; ``B`` for bytes.
        done: how much of it was there already.
        lines: print a line every half minute where there is neither terminal nor file; not for
            what runs in a notebook, whose output it would be.
    """
    running = Task(name, total, unit, done, lines)
    running._open()
    try:
        yield running
    finally:
        running._close()


def over(items: Sequence[T], name: str, unit: str) -> Iterator[T]:
    """Go over ``items`` and show how far that is; the note is the item at work."""
    with task(name, len(items), unit) as running:
        for item in items:
            running.advance(0, note=str(item))
            yield item
            running.advance(note=str(item))


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON, whole at any time."""
    write_text(file, json.dumps(content), shared=True)


def read(file: Path) -> State | None:
    """What a loop last said, or None if none is under way."""
    try:
        return State(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
