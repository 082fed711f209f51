"""How many rows the language model is tuned on, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator

from mtrec.config import Experiment
from mtrec.settings import Settings
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings

VERSION = 1  # raise it with a change of method: what is known is then trained anew


class Tuning(Settings):
    """What both trainings have, and the adapters of one."""

    sizes: tuple[int, ...] = (1500, 6000)  # training rows with a text; fewer are among the more
    validation: int = 1000  # rows that judge
    tokens: int = 128  # longer texts are cut
    below: int = 4  # blocks whose states are kept
    blocks: int = 4  # above these: adapted, or run once and kept
    rank: int = 8
    alpha: float = 16.0
    epochs: int = 6
    batch: int = 48  # texts
    reader_rate: float = 2e-3
    adapter_rate: float = 5e-4
    ema: float = 0.98  # of the averages over steps that are kept
    seeds: int = 2


TUNING = Tuning()


def trainings(run: Experiment, tuning: Tuning = TUNING) -> Iterator[Trainings]:
    """Every number of rows and seed, with its key."""
    shared = tuning.model_dump(mode="json", exclude={"sizes", "seeds"})
    tasks = {name: task.model_dump(mode="json", exclude={"peers"}, exclude_defaults=True)
             for name, task in run.domain.tasks.items()}  # fmt: skip
    for size in tuning.sizes:
        keys = {
            seed: ledger.key(
                "tuning", VERSION, run.name, run.seed, seed, size, shared, tasks,
                run.task_embedding.preset, run.domain.data.model_dump(mode="json")
                if run.domain.data is not None else None, run.evaluation.model_dump(),
            )
            for seed in range(run.seed, run.seed + tuning.seeds)
        }  # fmt: skip
        yield Trainings("tuning", f"{size} rows", keys, size)


PLAN = Plan("tuning", "_tuning", ("rows", "seed", "system", "task", "metric"), trainings)
