"""Which tasks are added to a trained model, with how many labels, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mtrec.config import Experiment
from mtrec.settings import Domain, Task
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

SEEDS = 3
LABELS = (10, 100, 1000)
LAYER = "task_conditioned"  # the only one that knows a task by its text
RATES = (0.002, 0.01)  # learning rates; which one is used is chosen on validation rows
FEW = {"batch_size": 128, "epochs": 100, "patience": 10}  # of a training on few labels
ALL: dict[str, Any] = {"model_building": None, "training": None}  # settings count
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


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every new task and seed, with its key."""
    settings = (*learnt_from(run, ALL), run.evaluation.model_dump())
    for task in donors(run.domain):
        for seed in range(run.seed, run.seed + SEEDS):
            key = ledger.key("new_task", VERSION, seed, task, LAYER, LABELS, RATES, FEW, *settings)
            yield Trainings("new_task", f"{task}, seed {seed}", {seed: key}, task)


PLAN = Plan("new_task", "_new_task", ("task", "seed", "system", "labels"), trainings)
