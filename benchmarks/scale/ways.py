"""Ways of doing the same work: a plain loop, processes of this machine, a Ray cluster.

Each way is a program of its own, which says nothing and leaves files. Seconds of the processor are
said beside those of the clock, which other work on the machine prolongs; both include loading
TensorFlow and models, once per process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtrec.files import write_text
from mtrec.scale.processes import ONE_CORE

WORKERS = (1, 2)


@dataclass(frozen=True)
class Way:
    """How the work is done.

    Attributes:
        workers: processes; 0 for all that a cluster has, None for a plain loop in one process.
        ray: address of a cluster.
    """

    workers: int | None = None
    ray: str | None = None

    def __str__(self) -> str:
        if self.workers is None:
            return "loop"
        return "ray" if self.ray else f"{self.workers} processes"

    def run(self, loop: str, command: str, *arguments: object) -> dict[str, Any]:
        """Run a program with these arguments; seconds of the clock and of processors.

        Args:
            loop: code of the plain loop.
            command: code of the other ways, which gets workers and address after its arguments.
            arguments: of both.

        Raises:
            OSError: it failed; the message has the end of what it said.
        """
        code = loop if self.workers is None else command
        given = [*map(str, arguments), str(self.workers or 0), self.ray or ""]
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *given], check=False, env=os.environ | ONE_CORE,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        seconds, after = time.perf_counter() - start, os.times()
        if done.returncode:
            raise OSError(f"{self}: ended with status {done.returncode}: {done.stderr[-2000:]}")
        used = after.children_user + after.children_system
        used -= before.children_user + before.children_system
        return {
            "seconds": round(seconds, 1),
            "processor_seconds": None if self.ray else round(used, 1),  # others' are not ours
        }


def parser(doc: str, out: Path, workers: Sequence[int] = WORKERS) -> argparse.ArgumentParser:
    """The options that all comparisons have."""
    found = argparse.ArgumentParser(description=doc.partition("\n")[0])
    found.add_argument("--domain", default="video")
    found.add_argument("--workers", type=int, nargs="+", default=[*workers], metavar="N")
    found.add_argument("--ray", help="address of a cluster to measure, too")
    found.add_argument("--out", type=Path, default=out)
    return found


def compare(chosen: argparse.Namespace, measure: Callable[[Way], dict[str, Any]]) -> None:
    """Measure one way after the other, print each, and write those that are known so far."""
    ways = [Way(), *map(Way, chosen.workers), *([Way(0, chosen.ray)] if chosen.ray else [])]
    rows = []
    for way in ways:
        rows.append(measure(way))
        print(rows[-1], flush=True)
        write_text(chosen.out, json.dumps(rows, indent=1) + "\n")


def digest(files: Iterable[Path]) -> str:
    """A hash of files with their names, in the order of these."""
    found = sha256()
    for file in sorted(files):
        found.update(f"{file.name} {file.stat().st_size}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:16]
