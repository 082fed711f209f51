"""Train all models of a domain on the same data with the same budget."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec import progress
from mtrec.data.dataset import Dataset
from mtrec.models.assemble import ABLATIONS, JOINT, Assembly, ablations
from mtrec.models.store import load_model, save_model
from mtrec.training import together
from mtrec.training.distillation import teach
from mtrec.training.loop import Outcome, Trainer
from mtrec.training.objective import dependent
from mtrec.training.recalibration import recalibrate


def train_models(
    assembly: Assembly,
    data: Dataset,
    split: pd.Series,
    tasks: Mapping[str, Any],
    settings: Any,
    seed: int,
    untrained: Path,
    trained: Path,
    checkpoints: Path,
) -> dict[str, Outcome]:
    """Train the joint model, its ablations and the twins; write each when it is done.

    All models take the same number of steps per epoch, may use the same number of epochs and
    stop by the same rule. A twin's batch holds as many rows of its task as the joint model's
    does, so that every model passes over its rows equally often. The twins come first: with
    ``settings.distillation`` they teach the joint model and its ablations
    (:mod:`mtrec.training.distillation`). With ``settings.recalibrate`` each model is shifted
    before it is written (:mod:`mtrec.training.recalibration`); what it teaches is of the training
    rows' time and is not. Models that need nothing of each other are trained at the same time,
    see :mod:`mtrec.training.together`, and come out the same as one by one.

    Args:
        assembly: task types, scales and visibilities.
        data: all examples.
        split: split of each example.
        tasks: task settings by name (weights).
        settings: :class:`mtrec.settings.Training`.
        seed: seed of the batches.
        untrained: folder of the models from notebook 03.
        trained: folder to write to.
        checkpoints: folder for the state of an interrupted run.

    Returns:
        Outcomes by model: the joint one, its ablations, the twins.
    """
    training = data.take((split == "train").to_numpy())
    validation = data.take((split == "validation").to_numpy())
    steps = max(1, len(training) // settings.batch_size)
    joint = (JOINT, *ablations(assembly))
    longest_first = sorted(assembly.types, key=lambda name: -assembly.types[name].outputs)
    # A model that is loaded draws the seeds of its dropout from a stream of the whole process.
    models = {
        name: load_model(untrained / f"{name}.keras") for name in (*longest_first, *joint)
    }  # fmt: skip

    def train(name: str, watch: Callable[[int], None]) -> tuple[Outcome, dict]:
        twin = name in assembly.types
        own = {name: assembly.types[name]} if twin else assembly.types
        with together.one_at_a_time:
            model = models.pop(name)
            trainer = Trainer(
                model, own, assembly.scales, {task: tasks[task].weight for task in own},
                training.only(name) if twin else training,
                validation.only(name) if twin else validation,
                settings, steps, dependent(own, tasks),
            )  # fmt: skip
        outcome = trainer.run(seed, checkpoints / f"{name}.npz", watch)
        taught = teach(model, name, training) if twin and settings.distillation else {}
        if settings.recalibrate:
            recalibrate(model, own, validation)
        with together.one_at_a_time:
            save_model(model, trained / f"{name}.keras")
        return outcome, taught

    with progress.task("training", len(assembly.types) + len(joint), unit="model") as bar:
        found = together.run(train, longest_first, bar)
        for _, taught in found.values():
            training = replace(training, taught=training.taught | taught)
        found |= together.run(train, joint, bar)
    return {name: found[name][0] for name in (*joint, *assembly.types)}


def curves(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Learning curves: ``model`` (a twin is ``single``), ``task``, ``epoch``, losses."""
    frames = [
        outcome.curve.assign(model=name if name in (JOINT, *ABLATIONS) else "single")
        for name, outcome in outcomes.items()
    ]
    return pd.concat(frames, ignore_index=True)[["model", "task", "epoch", "loss", "val_loss"]]


def write_curves(frame: pd.DataFrame, file: Path) -> None:
    """Write the curves as CSV, for DVC's plots."""
    temporary = file.with_suffix(".partial")
    frame.round(6).to_csv(temporary, index=False)
    os.replace(temporary, file)


def write_speed(outcomes: Mapping[str, Outcome], file: Path) -> None:
    """Keep the training speed of each model in rows per second; not part of any hash."""
    found = {name: round(o.rows_per_second) for name, o in outcomes.items() if o.rows_per_second}
    if not found:  # everything came from checkpoints: keep what was measured
        return
    temporary = file.with_suffix(".partial")
    temporary.write_text(json.dumps({"rows_per_second": found}, indent=2), encoding="utf-8")
    os.replace(temporary, file)


def clear_checkpoints(folder: Path) -> None:
    """Delete the states of finished runs."""
    for file in folder.glob("*.npz"):
        file.unlink()


def summary(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Epochs run, best epoch and its mean validation loss, per model."""
    rows = []
    for name, outcome in outcomes.items():
        best = outcome.curve[outcome.curve["epoch"] == outcome.best_epoch]
        rows.append((name, int(outcome.curve["epoch"].max()), outcome.best_epoch,
                     float(np.nanmean(best["val_loss"]))))  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "epochs", "best epoch", "validation loss"])
