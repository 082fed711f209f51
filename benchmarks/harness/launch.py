"""Run a command as a process of its own and know its wall time and its peak memory.

Linux hands the peak of the parent's memory down to a child, so that a small child of ours would
seem as big as we are. A small Python between the two starts the command and measures it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtrec.scale.processes import end_with_parent

BETWEEN = """
import ctypes, json, os, subprocess, sys, time
started = time.monotonic()
end_with_parent = (lambda: ctypes.CDLL(None).prctl(1, 9)) if sys.platform == "linux" else None
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)
_, status, usage = os.wait4(child.pid, 0)
found = [os.waitstatus_to_exitcode(status), time.monotonic() - started, usage.ru_maxrss]
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


@dataclass(frozen=True)
class Cost:
    """How a command ended and what it took.

    Attributes:
        status: exit status; negative: the signal that ended it.
        seconds: wall time.
        peak_mb: the largest peak of resident memory of the process and those it waited for,
            10^6 bytes.
        said: the end of what it wrote.
    """

    status: int
    seconds: float
    peak_mb: float
    said: str


def launch(words: Sequence[str], folder: Path, **environment: str) -> Cost:
    """Run a command to its end, without standard input; it ends with this process.

    Args:
        words: the command.
        folder: where it runs.
        environment: variables that it gets besides ours.
    """
    with tempfile.TemporaryDirectory() as temporary:
        report, log = Path(temporary) / "cost.json", Path(temporary) / "log"
        with log.open("wb") as handle:
            subprocess.run(
                [sys.executable, "-S", "-c", BETWEEN, str(report), *words], cwd=folder,
                env={**os.environ, **environment}, stdout=handle, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, check=True, preexec_fn=end_with_parent,
            )  # fmt: skip
        status, seconds, peak = json.loads(report.read_text(encoding="utf-8"))
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        return Cost(status, seconds, round(peak * unit / 1e6, 1), said)
