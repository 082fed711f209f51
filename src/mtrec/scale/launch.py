"""``mtrec train``: the joint model in several processes, of this machine or of several.

It needs JAX, which comes with ``make scale``. The processes are those of this command again, each
with the number it has; they meet at the address of the first.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from mtrec.config import Experiment, experiment
from mtrec.scale.crew import LOOPBACK, free_port, side_by_side

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
