"""What a step of the joint model costs, against its twins', in every domain: ``step_cost``.

The pipeline's joint model and its twins take ``STEPS`` training steps each, in turns, in one
process; a ratio is of one turn, the figure the median over turns. All take the same number of
steps per epoch, so these are also the ratios of a pass, without validation. ``cost_ratio`` is in
units of the mean twin, ``cost_ratio_all`` of all twins together. A twin's batch holds only the rows
with its label, the joint model's those of all tasks: ``cost_ratio_per_row`` compares the time per
row. Where twins teach the joint model (:mod:`mtrec.training.distillation`), its step reads their
answers, but their training comes on top.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.harness.results import Row
from benchmarks.harness.timing import median
from benchmarks.protocols.joint import DOMAINS
from mtrec.config import experiment
from mtrec.models.assemble import JOINT, build_some
from mtrec.training.distillation import teach
from mtrec.training.loop import Trainer, make_deterministic
from mtrec.training.workbench import Workbench, trainer_of, whole

Array = np.ndarray
STEPS, TURNS, SEED = 20, 9, 42


def run(root: Path, domains: Sequence[str] = DOMAINS, turns: int = TURNS) -> list[Row]:
    """Rows ``<domain> <ratio>``.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    return [row for domain in domains for row in rows_of(domain, root, turns)]


def rows_of(domain: str, root: Path, turns: int) -> list[Row]:
    """Rows of one domain."""
    one = experiment(domain, root)
    make_deterministic(one.seed, one.training.deterministic)
    trainers = all_trainers(whole(one))
    batches = {name: trainer.batch for name, trainer in trainers.items()}
    found = ratios(timed(trainers, turns), batches)
    rows = []
    for metric, values in found.items():
        value, low, high = median(values.tolist())
        rows.append(Row("step_cost", "", "mtrec joint", "", f"{domain} {metric}", value, low, high,
                        1, float("nan"), float("nan"), f"median of {turns} turns"))  # fmt: skip
    return rows


def all_trainers(bench: Workbench) -> dict[str, Trainer]:
    """Trainers of the twins and of the joint model, none trained.

    If the settings say so, the joint model has teachers, who need not know anything to be read.
    """
    names = tuple(bench.assembly.types)
    trainers: dict[str, Trainer] = {}
    taught: dict[str, Array] = {}
    for name in names:
        model = build_some(bench.assembly, (name,), bench.vectors["tasks"], bench.sizes, SEED)
        trainers[name] = trainer_of(bench, model, (name,))
        if bench.settings.distillation:
            taught |= teach(model, name, bench.training)
    pupil = replace(bench, training=replace(bench.training, taught=taught))
    model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, SEED)
    return trainers | {JOINT: trainer_of(pupil, model, names)}


def timed(trainers: Mapping[str, Trainer], turns: int) -> dict[str, Array]:
    """Seconds ``(turns,)`` that ``STEPS`` steps take by model, after a turn that is not kept."""
    found: dict[str, list[float]] = {name: [] for name in trainers}
    draw = np.random.default_rng(SEED)
    for _ in range(turns + 1):
        for name, trainer in trainers.items():
            rows = draw.integers(0, trainer.rows, (STEPS, trainer.batch)).astype("int32")
            start = time.perf_counter()
            for batch in rows:
                trainer.step(tf.constant(batch)).numpy()
            found[name].append(time.perf_counter() - start)
    return {name: np.array(seconds[1:]) for name, seconds in found.items()}


def ratios(seconds: Mapping[str, Array], batches: Mapping[str, int]) -> dict[str, Array]:
    """Ratios ``(turns,)`` by metric.

    Args:
        seconds: ``(turns,)`` by model.
        batches: rows of a step by model.
    """
    twins = [name for name in seconds if name != JOINT]
    alone = np.stack([seconds[name] for name in twins])
    per_row = np.stack([seconds[name] / batches[name] for name in twins])
    return {
        "cost_ratio": seconds[JOINT] / alone.mean(axis=0),
        "cost_ratio_all": seconds[JOINT] / alone.sum(axis=0),
        "cost_ratio_per_row": seconds[JOINT] / batches[JOINT] / per_row.mean(axis=0),
    }


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {"step_cost": run}
