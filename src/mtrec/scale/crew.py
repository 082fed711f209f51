"""Processes of this machine that work together: one that fails ends the others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mtrec import cores
from mtrec.scale.processes import end_with_parent

LOOPBACK = "127.0.0.1"
SAID = "mtrec train: "  # before the sentence that a process ends with


def side_by_side(command: Callable[[int], Sequence[str]], processes: int, root: Path) -> None:
    """Run processes on this machine until all have ended; one that fails ends the others.

    What process 0 prints is printed; of the others, what they say when they fail.

    Args:
        command: of a process by its number.
        processes: how many.
        root: folder that they run in.

    Raises:
        OSError: one was killed.
        ValueError: one failed, in its own words.
    """
    threads = str(max(1, cores.granted() // processes))
    environment = {
        "JAX_PLATFORMS": "cpu", **os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3",
        "NPROC": threads, "OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": "1",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / str(own) for own in range(processes)]
        crew = [
            subprocess.Popen(
                command(own), cwd=root, env=environment, stderr=said[own].open("wb"),
                stdout=None if own == 0 else subprocess.DEVNULL, preexec_fn=end_with_parent,
            )
            for own in range(processes)
        ]  # fmt: skip
        try:
            while any(one.poll() is None for one in crew):
                failed = [own for own, one in enumerate(crew) if one.poll()]
                if failed:
                    break
                time.sleep(0.05)
            failed = [own for own, one in enumerate(crew) if one.poll()]
        finally:
            for one in crew:
                one.kill()
                one.wait()
        if failed:
            _explain(failed[0], crew[failed[0]].returncode, said[failed[0]])


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _explain(number: int, status: int, file: Path) -> None:
    """Raise what a process that failed said last.

    Raises:
        OSError: it was killed.
        ValueError: its own sentence.
    """
    lines = [
        line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line
    ]
    own = [line.removeprefix(SAID) for line in lines if line.startswith(SAID)]
    if own:
        raise ValueError(own[-1])
    why = f"ended with status {status}"
    if status < 0:
        why = f"was killed ({signal.Signals(-status).name})"
    told = [line for line in lines if not line.lstrip().startswith(("@", "***"))]  # no stack
    fatal = [line for line in told if line.startswith(("F0", "E0"))] or told
    last = f"; it said last: {fatal[-1].strip():.300}" if fatal else ""
    raise OSError(
        f"process {number} {why}{last}. The same command goes on after the last full epoch."
    )
