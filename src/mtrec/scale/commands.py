"""Commands of ``mtrec`` side by side, each with a core: here, or on the machines of a Ray cluster.

They read and write the repository's folder, which all machines share. Each ends with the process
that runs it: one that is lost is begun again, and goes on with what its files of results lack.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mtrec import progress
from mtrec.scale import engine

Command = Sequence[str]
LINES = 20  # of what a command that failed said last


def run(
    commands: Sequence[Command], root: Path, ray: str | None = None, workers: int | None = None
) -> int:
    """Run commands side by side, and print of each how it ended.

    Args:
        commands: what follows ``mtrec``, such as ``("study", "video", "--part", "controls")``.
        root: root of the repository, the same on every machine.
        ray: address of a cluster; this machine's processes if None.
        workers: commands at a time; 1, or as many as the cluster has cores, if None.

    Returns:
        0, or the status of the last that failed.

    Raises:
        OSError: nobody answers at the address.
        ValueError: the cluster cannot be used.
    """
    status = 0
    opens = partial(open_commands, [tuple(one) for one in commands], root)
    with progress.task("commands", len(commands), unit="command", lines=True) as bar:
        for number, found in engine.do(opens, range(len(commands)), workers, ray):
            ended, said = json.loads(found)
            print(
                f"mtrec {' '.join(commands[number])}: {'failed' if ended else 'done'}", flush=True
            )
            if ended:
                print(said, file=sys.stderr, flush=True)
                status = ended
            bar.advance()
    return status


def open_commands(commands: Sequence[Command], root: Path) -> Callable[[int], bytes]:
    """What runs a command by number; see :func:`mtrec.scale.engine.do`."""

    def work(number: int) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "mtrec.cli", *commands[number]], cwd=root, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=end_with_parent,
            check=False,
        )  # fmt: skip
        return json.dumps([done.returncode, "\n".join(done.stdout.splitlines()[-LINES:])]).encode()

    return work


def end_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends, however that ends."""
    if sys.platform == "linux":
        set_signal_of_parents_death = 1
        ctypes.CDLL(None).prctl(set_signal_of_parents_death, signal.SIGKILL)
