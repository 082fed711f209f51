"""Which trainings tell what one model learns of the fused answer; nothing trains here."""

from __future__ import annotations

from collections.abc import Iterator

from mtrec.config import Experiment
from mtrec.registry import PEERS
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

VERSION = 1
SEEDS = 3
FOLDS = 3  # of training rows; specialists that teach one have learnt from the others
ALL: dict[str, None] = {"model_building": None, "training": None}  # settings count


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every seed, with its key; each gives the main metric of every task, system and difference."""
    peers = [*PEERS.members, {name: task.peers for name, task in run.domain.tasks.items()}]
    settings = (*learnt_from(run, ALL), peers, FOLDS, run.evaluation.model_dump())
    for seed in range(run.seed, run.seed + SEEDS):
        key = ledger.key("distillation", VERSION, seed, *settings)
        yield Trainings("distillation", f"seed {seed}", {seed: key}, key)


PLAN = Plan("distillation", "_distillation", ("seed", "task", "system"), trainings)
