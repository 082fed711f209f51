"""One of the processes that train a joint model together, on Keras' JAX backend."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from mtrec.config import Experiment
from mtrec.features import assemble
from mtrec.features.dataset import Dataset
from mtrec.files import save_arrays
from mtrec.lock import only_run
from mtrec.models.store import load_model, save_model
from mtrec.models.twins import JOINT
from mtrec.scale.crew import SAID
from mtrec.scale.trainer import ParallelTrainer, require_known
from mtrec.tables import schema
from mtrec.training.checkpoint import fingerprint
from mtrec.training.distillation import teach
from mtrec.training.domain import FITTED
from mtrec.training.loop import Outcome, TrainingError
from mtrec.training.objective import dependent
from mtrec.training.recalibration import recalibrate

PATIENCE = 120  # seconds for the first process to open its address, and for all to come there
SILENCE = 100  # seconds after which a process that says nothing is given up; busy machines pause
LAST = 300  # seconds that the first at the end waits for the last


def work(run: Experiment, processes: int, coordinator: str, number: int) -> None:
    """Be one of the processes; what goes wrong is one sentence, and ends this process at once.

    An ordinary end would wait for the others, which wait for this one.
    """
    hush()
    try:
        connect(coordinator, processes, number)
        train(run)
        jax.distributed.shutdown()
    except (ValueError, OSError, KeyError, TrainingError, jax.errors.JaxRuntimeError) as error:
        print(f"{SAID}{_sentence(error)}", file=sys.stderr, flush=True)
        os._exit(1)


def hush() -> None:
    """Let Python alone print: Gloo says on standard output whom it has met."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = os.fdopen(own, "w", encoding="utf-8")


def connect(coordinator: str, processes: int, number: int, patience: float = PATIENCE) -> None:
    """Meet the other processes.

    Args:
        coordinator: ``host:port`` of the first.
        processes: in all.
        number: of this one.
        patience: seconds to wait.

    Raises:
        OSError: nobody answers, or not all processes come.
    """
    if number:
        knock(coordinator, patience)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator, processes, number, initialization_timeout=int(patience),
            heartbeat_timeout_seconds=SILENCE, shutdown_timeout_seconds=LAST,
        )  # fmt: skip
    except RuntimeError as error:
        raise OSError(
            f"the {processes} processes did not meet at {coordinator} "
            f"({' '.join(str(error).split()):.120}). Start every --process-id from 0 to "
            f"{processes - 1}, with an address that all machines reach."
        ) from None


def knock(coordinator: str, patience: float) -> None:
    """Wait until somebody listens at an address.

    Raises:
        OSError: nobody does in time.
    """
    host, _, port = coordinator.rpartition(":")
    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
            return
        except OSError as error:
            if time.monotonic() >= end:
                raise OSError(
                    f"no coordinator answers at {coordinator} ({error}). Start --process-id 0 on "
                    "that machine, and see that this one reaches the port."
                ) from None
        time.sleep(min(0.2, patience))


def train(run: Experiment) -> Outcome:
    """Train the joint model of a domain as one of the processes; the first writes what there is.

    Raises:
        ValueError: processes have other data, or the settings ask for what is not built here.
        TrainingError: a loss is NaN or infinite, or a batch has no label at all.
    """
    first = jax.process_index() == 0
    folder = run.paths.artifacts / "parallel"
    folder.mkdir(parents=True, exist_ok=True)
    with only_run(folder.with_suffix(".lock")) if first else nullcontext():
        assembly = assemble.load(run.paths.model)
        tables = schema.read(run.paths.tables)
        data = assemble.dataset(assembly, tables, run.domain.tasks)
        split = tables.examples["split"]
        training, validation = (data.take((split == part).to_numpy()) for part in FITTED)
        model = load_model(run.paths.model / f"{JOINT}.keras")
        require_known(model, run.training)
        if run.training.distillation:
            lessons = learn(run.paths.trained, [*assembly.types], training, folder)
            training = replace(training, taught=lessons)
        weights = {task: run.domain.tasks[task].weight for task in assembly.types}
        trainer = ParallelTrainer(
            model, assembly.types, assembly.scales, weights, training, validation, run.training,
            dependent(assembly.types, run.domain.tasks),
        )  # fmt: skip
        outcome = trainer.run(run.seed, folder / f"{JOINT}.npz", report=_tell if first else None)
        if first:
            if run.training.recalibrate:
                recalibrate(model, assembly.types, validation)
            save_model(model, folder / f"{JOINT}.keras")
            for left in (folder / f"{JOINT}.npz", *folder.glob("*.taught.npz")):
                left.unlink()
            _tell_end(outcome, folder / f"{JOINT}.keras", run.paths.root)
    multihost_utils.sync_global_devices("written")  # who leaves early is taken for lost
    return outcome


def learn(twins: Path, tasks: list[str], training: Dataset, folder: Path) -> dict[str, np.ndarray]:
    """What trained twins say of the training rows; each process asks its share of them.

    Args:
        twins: folder of their files.
        tasks: of the domain.
        training: training rows.
        folder: that all processes see, for what they are told.
    """
    rows = fingerprint(training.inputs, training.masks)
    for task in tasks[jax.process_index() :: jax.process_count()]:
        file = folder / f"{task}.taught.npz"
        said = fingerprint(rows, (twins / f"{task}.keras").read_bytes().hex())
        if not (file.is_file() and _read(file)[0] == said):
            found = teach(load_model(twins / f"{task}.keras"), task, training)
            save_arrays(file, {"of": np.array(said), **found})
    multihost_utils.sync_global_devices("taught")
    told = (_read(folder / f"{task}.taught.npz")[1] for task in tasks)
    return {task: logits for one in told for task, logits in one.items()}


def _read(file: Path) -> tuple[str, dict[str, np.ndarray]]:
    """What twins of which rows are told of, and what they said."""
    with np.load(file, allow_pickle=False) as found:
        return str(found["of"]), {name: found[name] for name in found.files if name != "of"}


def _tell(epoch: int, loss: float) -> None:
    print(f"epoch {epoch}: validation loss {loss:.5f}", flush=True)


def _tell_end(outcome: Outcome, file: Path, root: Path) -> None:
    """Print the losses of the best epoch, and where the model lies."""
    best = outcome.curve[outcome.curve["epoch"] == outcome.best_epoch]
    for task, loss in zip(best["task"], best["val_loss"], strict=True):
        print(f"  {task}: {loss:.5f}")
    print(
        f"{file.relative_to(root)}: epoch {outcome.best_epoch}, {jax.process_count()} processes, "
        f"{outcome.rows_per_second:,.0f} rows a second",
        flush=True,
    )


def _sentence(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())
    if isinstance(error, jax.errors.JaxRuntimeError):
        return (
            f"another process was lost ({text:.160}). Start all of them again: they go on after "
            "the last full epoch."
        )
    return text
