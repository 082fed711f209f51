"""The pipeline's models, joint and single-task, trained over several seeds on all of a domain.

Settings, rows and features are the pipeline's. Its models are not among these: the first seed is
its own, but other units are dropped, because models are built in another order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from benchmarks.harness.frozen import sha256_of
from mtrec.config import experiment
from mtrec.evaluation.ranks import left_out, ranks
from mtrec.models.assemble import JOINT
from mtrec.tasks import Ranking
from mtrec.training.distillation import teach
from mtrec.training.loop import make_deterministic, predict
from mtrec.training.recalibration import recalibrate
from mtrec.training.workbench import Workbench, fit, whole

Array = np.ndarray
SEEDS = (42, 43, 44)
PARTS = ("validation", "test")


@dataclass(frozen=True)
class Trained:
    """What one training answers and took.

    Attributes:
        answers: predictions (ranks of the truth for ranking) by part and task, on the rows with a
            known label; shifted where ``training.recalibrate`` says so.
        seconds: of the training, compilation apart where the step was compiled before; of a model
            that is taught, with those of its teachers.
    """

    answers: dict[str, dict[str, Array]]
    seconds: float


@dataclass(frozen=True)
class Domain:
    """A domain with its trained models: a list over seeds by name of the model."""

    bench: Workbench
    models: dict[str, list[Trained]]

    def rows(self, part: str, task: str) -> Array:
        """Positions of a part's examples whose label of a task is known."""
        split = (self.bench.tables.examples["split"] == part).to_numpy()
        return np.flatnonzero(split & self.bench.data.masks[task])


def split_sha256(domain: Domain) -> str:
    """SHA-256 of the pipeline's split: users, items and parts of all examples."""
    return sha256_of(domain.bench.tables.examples[["user_id", "item_id", "split"]])


@cache
def trained(domain: str, root: Path, seeds: Sequence[int] = SEEDS) -> Domain:
    """Train the twins of a domain and its joint model, each once per seed.

    A joint model is taught by the twins of its own seed, as in the pipeline; their seconds are
    among its own.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    run = experiment(domain, root)
    make_deterministic(run.seed, run.training.deterministic)
    bench = whole(run)
    names, found = tuple(bench.assembly.types), Domain(bench, {})
    taught: dict[int, dict[str, Array]] = {seed: {} for seed in seeds}
    for name in names:
        found.models[name] = []
        for seed, lessons, one in _fit(found, (name,), seeds):
            found.models[name].append(one)
            taught[seed] |= lessons
    found.models[JOINT] = []
    for number, seed in enumerate(seeds):
        pupil = replace(bench, training=replace(bench.training, taught=taught.pop(seed)))
        teachers = sum(found.models[name][number].seconds for name in pupil.training.taught)
        for _, _, one in _fit(replace(found, bench=pupil), names, (seed,)):
            found.models[JOINT].append(replace(one, seconds=one.seconds + teachers))
    return found


def _fit(
    domain: Domain, tasks: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[int, dict[str, Array], Trained]]:
    """Train a model of some tasks once per seed; yields the seed, what a twin teaches, answers."""
    bench, started = domain.bench, time.monotonic()
    kinds = {task: bench.assembly.types[task] for task in tasks}
    for seed, network, _ in fit(bench, tasks, seeds):
        seconds, lessons = time.monotonic() - started, {}
        if bench.settings.distillation and len(tasks) == 1:
            lessons = teach(network, tasks[0], bench.training)
        if bench.settings.recalibrate:
            recalibrate(network, kinds, bench.validation)
        answers = {part: _answers(domain, network, tasks, part) for part in PARTS}
        yield seed, lessons, Trained(answers, seconds)
        started = time.monotonic()


def _answers(domain: Domain, model: Any, tasks: Sequence[str], part: str) -> dict[str, Array]:
    bench, found = domain.bench, {}
    for task in tasks:
        kind, rows = bench.assembly.types[task], domain.rows(part, task)
        given = bench.data.take(rows)
        found[task] = ops.convert_to_numpy(kind.predict(predict(model, given.inputs)[task]))
        if isinstance(kind, Ranking):
            label = bench.domain.tasks[task].label
            out = left_out(kind, bench.assembly.encoder, bench.tables, label, rows)
            found[task] = ranks(found[task], given.labels[task], out)
    return found
