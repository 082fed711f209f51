"""``mtrec train``: the joint model in several processes, of this machine or of several.

It needs JAX, which comes with ``make scale``. The processes are those of this command again, each
with the number it has; they meet at the address of the first.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from mtrec import cores
from mtrec.config import Experiment, experiment
from mtrec.scale.commands import end_with_parent

LOOPBACK = "127.0.0.1"
SAID = "mtrec train: "  # before the sentence that a process ends with
MOST = 1024  # processes: more are a slip


def train(
    domain: str,
    processes: int = 1,
    coordinator: str | None = None,
    number: int | None = None,
    root: Path | None = None,
) -> None:
    """Train the joint model of a domain; ``artifacts/<domain>/parallel/joint.keras``.

    Args:
        domain: its tables and untrained model are there, and its twins if they teach.
        processes: in all.
        coordinator: ``host:port`` where the processes of several machines meet, which process 0
            opens; None to start all of them on this machine.
        number: of this process, from 0; given with ``coordinator``.
        root: a folder of the repository; the present one if None.

    Raises:
        OSError: nobody answers at the address, or processes were killed.
        ValueError: options that do not fit, no JAX, an unknown domain, or a training that failed.
    """
    require(processes, coordinator, number)
    run = experiment(domain, root)
    require_made(run)
    if coordinator is not None and number is not None:
        os.environ["KERAS_BACKEND"] = "jax"  # before anything imports Keras
        from mtrec.scale.process import work

        work(run, processes, coordinator, number)
        return
    address = f"{LOOPBACK}:{free_port()}"
    command = [sys.executable, "-m", "mtrec.cli", "train", domain, "--processes", str(processes),
               "--coordinator", address, "--process-id"]  # fmt: skip
    side_by_side(lambda own: [*command, str(own)], processes, run.paths.root)


def require(processes: int, coordinator: str | None, number: int | None) -> None:
    """Raise a ValueError if options do not fit together, or there is no JAX."""
    if not 1 <= processes <= MOST:
        raise ValueError(f"--processes is {processes}; it has to be 1 to {MOST}.")
    if (coordinator is None) != (number is None):
        raise ValueError(
            "--coordinator and --process-id go together: give both to be one process of several "
            "machines, or none to start all on this one."
        )
    if number is not None and not 0 <= number < processes:
        raise ValueError(f"--process-id is {number}; with --processes {processes} it has to be 0 "
                         f"to {processes - 1}.")  # fmt: skip
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"--coordinator {coordinator}: no address; give host:port.")
    if find_spec("jax") is None:
        raise ValueError(
            "training in several processes needs JAX, which is not installed here: `make scale` "
            "adds it to .venv."
        )


def require_made(run: Experiment) -> None:
    """Raise a FileNotFoundError if the pipeline has not made what a training reads."""
    needed = [run.paths.tables, run.paths.model / "joint.keras"]
    if run.training.distillation:
        needed += [run.paths.trained / f"{task}.keras" for task in run.domain.tasks]
    for path in needed:
        if not path.exists():
            raise FileNotFoundError(
                f"{path.relative_to(run.paths.root)}: not there yet. Run "
                f"`make repro DOMAIN={run.name}` first."
            )


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
    last = f"; it said last: {lines[-1].strip():.300}" if lines else ""
    raise OSError(
        f"process {number} {why}{last}. The same command goes on after the last full epoch."
    )
