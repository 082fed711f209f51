"""What ``mtrec repro`` shows: lines that stay, and below them how far each domain is."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tqdm import tqdm

from mtrec.pipeline.stages import about, duration
from mtrec.progress import LINE_EVERY, State


@dataclass(frozen=True)
class Status:
    """A stage under way."""

    label: str  # [3/5] training video
    seconds: float  # since it began
    expected: float | None
    loop: State | None  # what its long loop says

    def text(self) -> str:
        """One line, with what is known.

        Example:
            >>> Status("[2/5] training video", 95, 840, None).text()
            '[2/5] training video: 1 min 35 s of about 14 min'
        """
        parts = [self.loop.text()] if self.loop else []
        whole = self.whole
        usual = f" of about {about(whole)}" if whole else ""
        return f"{self.label}: {', '.join([*parts, duration(self.seconds) + usual])}"

    @property
    def whole(self) -> float | None:
        """Seconds that it will take: as many as last time, or if these are over, as its loop tells.

        Example:
            >>> loop = State("embedding", 2000, 500, "text", "", 0.0)
            >>> Status("[2/5] task_embedding video", 60, 10, loop).whole
            240.0
        """
        if self.expected is None or self.seconds <= self.expected:
            return self.expected
        if self.loop and 0 < self.loop.done < self.loop.total:
            return self.seconds * self.loop.total / self.loop.done
        return None


class Screen:
    """Bars in a terminal, a line every half minute elsewhere."""

    def __init__(self) -> None:
        self._terminal = _terminal()
        self._bars: dict[str, tqdm] = {}
        self._said: dict[str, float] = {}

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        if self._terminal:
            tqdm.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    def show(self, running: Mapping[str, Status]) -> None:
        """Show how far each domain is; one that is not there any more disappears."""
        for domain in set(self._bars) - set(running):
            self._bars.pop(domain).close()
        for domain, status in running.items():
            if self._terminal:
                self._bar(domain).set_description_str(self._meter(status))
            elif status.seconds - self._said.get(status.label, 0.0) >= LINE_EVERY:
                self._said[status.label] = status.seconds
                self.line(status.text())

    def close(self) -> None:
        """Take the bars away."""
        self.show({})

    def _bar(self, domain: str) -> tqdm:
        if domain not in self._bars:
            self._bars[domain] = tqdm(
                bar_format="{desc}", file=sys.stdout, leave=False, dynamic_ncols=True
            )
        return self._bars[domain]

    def _meter(self, status: Status) -> str:
        if status.loop is None or not status.loop.total:
            return status.text()
        loop = status.loop
        note = f", {loop.note}" if loop.note else ""
        return tqdm.format_meter(
            loop.done, loop.total, time.time() - loop.started,
            ncols=shutil.get_terminal_size().columns - 1, prefix=f"{status.label}{note}",
            unit=loop.unit, unit_scale=loop.unit == "B",
        )  # fmt: skip


def _terminal() -> bool:
    """Whether there is a terminal with room for bars; some have no size at all."""
    try:
        return sys.stdout.isatty() and min(os.get_terminal_size(sys.stdout.fileno())) > 0
    except OSError:
        return False
