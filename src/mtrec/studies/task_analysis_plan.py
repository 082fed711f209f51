"""What notebook 06 reads: results of `make study PART=task_analysis`; no TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from mtrec.config import Experiment
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

VERSION = 1


def watched(run: Experiment) -> Iterator[Trainings]:
    """The training whose gradients are watched."""
    key = ledger.key(*_identity(run), "gradients", run.analysis.probes)
    yield Trainings("gradients", "gradients", {run.seed: key})


def trainings(
    run: Experiment, sets: Iterable[tuple[str, ...]] | None = None
) -> Iterator[Trainings]:
    """A model for each set of tasks; without ``sets``, all that may be asked for."""
    identity = _identity(run)
    for names in _subsets(list(run.domain.tasks)) if sets is None else sets:
        seeds = [run.seed + n for n in range(run.analysis.seeds)]
        keys = {seed: ledger.key(*identity, names, seed) for seed in seeds}
        yield Trainings("sets", "+".join(names), keys, names)


GRADIENTS = Plan("task_analysis", "_gradients", ("epoch", "probe", "task", "other"), watched)
TRANSFER = Plan("task_analysis", "_transfer", ("tasks", "seed", "task"), trainings)


def transfers(run: Experiment) -> pd.DataFrame:
    """Losses of the present settings or else the last known ones, by seed and set of tasks.

    Returns:
        ``tasks`` (names joined by ``+``), ``seed``, ``task``, ``val_loss`` (normalised).

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    found = TRANSFER.results(run).drop(columns="key")
    return found.sort_values(["seed", "tasks"], kind="stable", ignore_index=True)


def state(run: Experiment) -> str:
    """A sentence on whether the results are those of the present settings."""
    (watching,) = watched(run)
    if set(watching.keys.values()) <= set(ledger.read(GRADIENTS.file(run))["key"]):
        return "These are trainings with the present settings."
    command = GRADIENTS.command(run)
    return f"These are trainings with earlier settings; `{command}` makes new ones."


def matrix(found: pd.DataFrame, column: str, tasks: Sequence[str]) -> pd.DataFrame:
    """Mean of ``cosine`` or ``affinity`` over epochs and batches, ``(tasks, tasks)``."""
    means = found.pivot_table(index="task", columns="other", values=column)
    return means.reindex(index=list(tasks), columns=list(tasks))


def _identity(run: Experiment) -> list[Any]:
    """Everything that the trainings depend on, but tasks and seed."""
    short = run.analysis.model_dump(exclude={"seeds", "probes"})
    return ["task_analysis", VERSION, *learnt_from(run), short]


def _subsets(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    return [some for size in range(1, len(tasks) + 1) for some in combinations(tasks, size)]
