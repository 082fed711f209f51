"""Which trainings joint training and its controls take, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator

from mtrec.config import Experiment
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

VERSION = 1
SEEDS = 3
ALL: dict[str, None] = {"model_building": None, "training": None}  # settings count


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every seed, with its key; each gives the main metric of every task, system and difference."""
    peers = {name: task.peers for name, task in run.domain.tasks.items()}
    settings = (*learnt_from(run, ALL), peers, run.evaluation.model_dump())
    for seed in range(run.seed, run.seed + SEEDS):
        key = ledger.key("controls", VERSION, seed, *settings)
        yield Trainings("controls", f"seed {seed}", {seed: key}, key)


PLAN = Plan("controls", "_controls", ("seed", "task", "system"), trainings)
