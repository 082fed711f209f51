"""Which trainings tell what changing batches at random is worth; nothing trains here."""

from __future__ import annotations

from collections.abc import Iterator

from mtrec.config import Experiment
from mtrec.search.space import Chosen
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

VERSION = 1
SEEDS = 5
SHARE = 0.3  # of the training rows
EPOCHS = 12  # at most, per training
FEWEST = 30  # rows of a group that is judged
PLAIN = "plain"  # the training that the others are compared with
KIND = "training.augmentation"
VARIANTS: dict[str, dict[str, float]] = {
    PLAIN: {},
    "drop ids": {"drop_ids": 0.2},
    "drop texts": {"drop_texts": 0.2},
    "drop histories": {"drop_histories": 0.2},
    "crop": {"crop": 0.3},
    "mask": {"mask": 0.2},
    "reorder": {"reorder": 0.3},
    "mixup": {"mixup": 0.2},
    "noise": {"noise": 0.1},
}


def chosen(variant: str) -> Chosen:
    """The settings of a variant by dotted path, with all that it leaves out switched off."""
    off = {name: 0.0 for found in VARIANTS.values() for name in found}
    return {f"{KIND}.{name}": value for name, value in (off | VARIANTS[variant]).items()}


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every variant with every seed, the plain one first."""
    training = {"epochs": True, "distillation": True, "recalibrate": True, "augmentation": True}
    settings = learnt_from(run, {"model_building": None, "training": training})
    for variant, changes in VARIANTS.items():
        if changes.get("mixup") and run.model_building.reader is not None:
            continue  # texts that are read token by token have no mean
        keys = {
            seed: ledger.key(
                "augmentation", VERSION, seed, changes, SHARE, EPOCHS, *settings,
                run.evaluation.model_dump(),
            )
            for seed in range(run.seed, run.seed + SEEDS)
        }  # fmt: skip
        yield Trainings("augmentation", variant, keys, variant)


PLAN = Plan("augmentation", "_augmentation", ("variant", "seed", "task", "rows", "system"),
            trainings)  # fmt: skip
