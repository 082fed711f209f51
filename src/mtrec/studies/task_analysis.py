"""Train what notebook 06 needs: one joint model that is watched, and models of sets of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from mtrec.config import Experiment
from mtrec.studies import runner, workbench
from mtrec.studies.gradients import watch_training
from mtrec.studies.grouping import suggest
from mtrec.studies.task_analysis_plan import GRADIENTS, TRANSFER, matrix, trainings, transfers
from mtrec.studies.transfer import gains, pair_matrix, small_sets
from mtrec.studies.workbench import Workbench

Sets = Sequence[tuple[str, ...]]


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Watch one training, then train sets of tasks; see :func:`mtrec.studies.runner.main`.

    The groupings that the first results suggest are trained last.
    """
    bench = workbench.prepare(run, run.analysis)
    tasks = list(bench.assembly.types)
    if not runner.resume(GRADIENTS, run, partial(_watch, bench, run.analysis.probes), minutes):
        return False
    if not train_sets(run, bench, small_sets(tasks), minutes):
        return False
    pairs = pair_matrix(gains(transfers(run)), tasks)
    affinity = matrix(GRADIENTS.results(run), "affinity", tasks)
    groups = [group for found in (affinity, pairs) for group in suggest(found)[0]]
    return train_sets(run, bench, list(dict.fromkeys(groups)), minutes)


def train_sets(run: Experiment, bench: Workbench, sets: Sets, minutes: float | None = None) -> bool:
    """Train a model for each set of tasks and seed; whether none is missing any more."""
    some = replace(TRANSFER, trainings=partial(trainings, sets=sets))
    return runner.resume(some, run, partial(_train, bench), minutes)


def _train(
    bench: Workbench, names: tuple[str, ...], seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    for seed, _, outcome in workbench.fit(bench, names, seeds):
        losses = workbench.validation_loss(outcome)
        rows = pd.DataFrame({"task": losses.keys(), "val_loss": losses.values()}).round(6)
        yield seed, rows.assign(tasks="+".join(names), seed=seed)


def _watch(
    bench: Workbench, probes: int, _: object, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    for seed in seeds:
        yield seed, watch_training(bench, probes, seed).table().round(6)
