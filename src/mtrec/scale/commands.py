"""Commands of ``mtrec`` on several processes or the machines of a Ray cluster, of a core each.

They read and write the repository's folder, which all machines share. Each ends with the process
that began it: one that is lost is begun again elsewhere, and goes on with what its files of results
lack.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mtrec import progress
from mtrec.scale import engine
from mtrec.scale.processes import end_with_parent

Command = Sequence[str]
PROGRAM = "mtrec.cli"
LINES = 20  # of what a command that failed said last


def run(
    commands: Sequence[Command],
    root: Path,
    ray: str | None = None,
    workers: int | None = None,
    program: str = PROGRAM,
) -> list[int]:
    """Run commands side by side, and print of each how it ended.

    Args:
        commands: what follows ``mtrec``, such as ``("study", "video", "--part", "controls")``.
        root: root of the repository, the same on every machine.
        ray: address of a cluster; this machine's processes if None.
        workers: commands at a time; one, or what the cluster has, if None.
        program: module that they are commands of.

    Returns:
        The status of each; 128 and the signal's number where one was killed, as in a shell.

    Raises:
        OSError: nobody answers at the address.
        ValueError: the cluster cannot be used, or there are no workers.
    """
    statuses = [0] * len(commands)
    opens = partial(open_commands, [tuple(one) for one in commands], root, program)
    where = "cluster" if ray else "processes"
    with progress.task(where, len(commands), unit="command", lines=True) as bar:
        for number, found in engine.do(opens, range(len(commands)), workers, ray):
            statuses[number], said = json.loads(found)
            name = f"{program.partition('.')[0]} {' '.join(commands[number])}"
            if statuses[number]:
                print(f"{name}: failed", flush=True)
                print(said, file=sys.stderr, flush=True)
            else:
                print(f"{name}: done. {said.rpartition(chr(10))[2]}".rstrip(), flush=True)
            bar.advance()
    return statuses


def open_commands(
    commands: Sequence[Command], root: Path, program: str = PROGRAM
) -> Callable[[int], bytes]:
    """What runs a command by number; see :func:`mtrec.scale.engine.do`."""
    gently = partial(end_with_parent, signal.SIGTERM)  # it stops what it has started itself

    def work(number: int) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", program, *commands[number]], cwd=root, check=False,
            text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=gently,
        )  # fmt: skip
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return json.dumps([status, "\n".join(done.stdout.splitlines()[-LINES:])]).encode()

    return work
