"""Which tasks are added to a trained model, with how many labels, and what is known of it."""

from __future__ import annotations

import pandas as pd

from mtrec.config import Experiment
from mtrec.settings import Domain, Task
from mtrec.studies import ledger

SEEDS = 3
LABELS = (10, 100, 1000)
LAYER = "task_conditioned"  # the only one that knows a task by its text
RATES = (0.002, 0.01)  # learning rates; which one is used is chosen on validation rows
FEW = {"batch_size": 128, "epochs": 100, "patience": 10}  # of a training on few labels
VERSION = 1  # raise it with a change of method: what is known is then trained anew


def donors(domain: Domain) -> dict[str, str]:
    """Tasks that could have been added to a model of those named before them, and their donor.

    A donor gives tower and head: it is of the same type, view, head, loss and candidates, and
    neither adds to an offset.
    """
    found, before = {}, dict[str, Task]()
    for name, task in domain.tasks.items():
        alike = [n for n, other in before.items() if _alike(task, other)]
        if alike and task.offset is None and task.when is None:
            found[name] = alike[0]
        before[name] = task
    return found


def _alike(one: Task, other: Task) -> bool:
    fields = ("type", "view", "head", "loss", "candidates", "offset")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def keys(run: Experiment, task: str) -> dict[int, str]:
    """What identifies the trainings of each seed: a change of any setting makes them new."""
    domain = run.domain.model_dump(mode="json", exclude={"raw", "module"})
    given = (run.model_building, run.training, run.task_embedding, run.evaluation)
    settings = [part.model_dump(mode="json") for part in given]
    own = [task, LAYER, LABELS, RATES, FEW, VERSION]
    seeds = range(run.seed, run.seed + SEEDS)
    return {s: ledger.key("new_task", run.name, s, *own, domain, *settings) for s in seeds}


def planned(run: Experiment) -> dict[str, list[str]]:
    """Keys of the present settings by new task."""
    return {task: list(keys(run, task).values()) for task in donors(run.domain)}


def results(run: Experiment) -> pd.DataFrame:
    """A row per new task, seed, system or difference and number of labels: the main metric.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    command = f"make study DOMAIN={run.name} PART=new_task"
    training = ["task", "seed", "system", "labels"]
    return ledger.known(run.paths.new_task, planned(run), training, command)
