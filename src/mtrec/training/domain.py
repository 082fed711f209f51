"""Train all models of a domain on the same data with the same budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtrec import progress
from mtrec.features.assemble import Assembly
from mtrec.features.dataset import Dataset
from mtrec.files import write_text
from mtrec.models.model import MultiTaskModel
from mtrec.models.store import load_model, save_model
from mtrec.models.twins import JOINT
from mtrec.training import together
from mtrec.training.distillation import teach
from mtrec.training.loop import Outcome, Trainer
from mtrec.training.objective import dependent
from mtrec.training.reading import Library
from mtrec.training.recalibration import recalibrate

if TYPE_CHECKING:
    from mtrec.settings import Task, Training
    from mtrec.text.states import Texts

FITTED = ("train", "validation")  # splits that a training reads


@dataclass(frozen=True)
class Budget:
    """What all trainings of a domain have alike: rows, steps per epoch, rule of stopping.

    Attributes:
        assembly: task types, scales and visibilities.
        tasks: task settings by name (weights, parents).
        settings: how models are trained.
        seed: of the batches and the balancer.
        training: training rows, perhaps with what teachers say of them.
        validation: validation rows.
        checkpoints: folder for the state of an interrupted run.
        library: texts for models that read them.
    """

    assembly: Assembly
    tasks: Mapping[str, Task]
    settings: Training
    seed: int
    training: Dataset
    validation: Dataset
    checkpoints: Path
    library: Library

    def fit(
        self, name: str, model: MultiTaskModel, tasks: Sequence[str], watch: Callable[[int], None]
    ) -> Outcome:
        """Train a model of one task or of all; several threads may call this at a time.

        A twin's batch holds as many rows of its task as the joint model's does, so that every
        model takes the same number of steps per epoch and passes over its rows equally often.

        Args:
            name: of its checkpoint.
            model: trained in place.
            tasks: of the model.
            watch: called with the number of each epoch.
        """
        own = {task: self.assembly.types[task] for task in tasks}
        rows = self.training, self.validation
        if len(own) == 1:
            rows = self.training.only(*own), self.validation.only(*own)
        steps = max(1, len(self.training) // self.settings.batch_size)
        with together.one_at_a_time:
            trainer = Trainer(
                model, own, self.assembly.scales, {task: self.tasks[task].weight for task in own},
                *rows, self.settings, steps, dependent(own, self.tasks), self.library,
            )  # fmt: skip
        return trainer.run(self.seed, self.checkpoints / f"{name}.npz", watch)

    def taught_by(self, lessons: Iterable[Mapping[str, np.ndarray]]) -> Budget:
        """The same with what teachers say of the training rows, see :func:`teach`."""
        taught = {task: logits for lesson in lessons for task, logits in lesson.items()}
        return replace(self, training=replace(self.training, taught=taught))


def train_models(
    assembly: Assembly,
    data: Dataset,
    split: pd.Series,
    tasks: Mapping[str, Task],
    settings: Training,
    seed: int,
    untrained: Path,
    trained: Path,
    checkpoints: Path,
    texts: Mapping[str, Texts] | None = None,
) -> dict[str, Outcome]:
    """Train the twins and then the joint model; write each when it is done.

    With ``settings.distillation`` the twins teach the joint model
    (:mod:`mtrec.training.distillation`). With ``settings.recalibrate`` each model is shifted
    before it is written (:mod:`mtrec.training.recalibration`); what it teaches is of the training
    rows' time and is not. Twins are trained side by side, see :mod:`mtrec.training.together`, and
    come out the same as one by one.

    Args:
        assembly: task types, scales and visibilities.
        data: all examples.
        split: split of each example.
        tasks: task settings by name (weights).
        settings: how models are trained.
        seed: seed of the batches.
        untrained: folder of the models from notebook 03.
        trained: folder to write to.
        checkpoints: folder for the state of an interrupted run.
        texts: those that readers read (:func:`mtrec.text.states.read_sides`).

    Returns:
        Outcomes by model: the joint one, the twins.
    """
    training, validation = (data.take((split == part).to_numpy()) for part in FITTED)
    library = Library(texts or {}, training.inputs, seed)
    budget = Budget(assembly, tasks, settings, seed, training, validation, checkpoints, library)
    groups = {name: (name,) for name in longest_first(assembly)} | {JOINT: tuple(assembly.types)}

    def train(name: str, watch: Callable[[int], None]) -> tuple[Outcome, dict]:
        with together.one_at_a_time:
            model, own = load_model(untrained / f"{name}.keras"), groups[name]
        outcome = budget.fit(name, model, own, watch)
        taught = {}
        if name != JOINT and settings.distillation:
            taught = teach(model, name, training)
        if settings.recalibrate:
            recalibrate(model, {task: assembly.types[task] for task in own}, validation)
        with together.one_at_a_time:
            save_model(model, trained / f"{name}.keras")
        return outcome, taught

    *twins, joint = groups
    with progress.task("training", len(groups), unit="model") as bar:
        found = together.run(train, twins, bar)
        budget = budget.taught_by(found[name][1] for name in twins)
        found |= together.run(train, (joint,), bar)
    return {name: found[name][0] for name in (joint, *assembly.types)}


def longest_first(assembly: Assembly) -> list[str]:
    """Tasks in the order in which their twins should begin, so that no core waits at the end."""
    return sorted(assembly.types, key=lambda name: -assembly.types[name].outputs)


def curves(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Learning curves: ``model`` (a twin is ``single``), ``task``, ``epoch``, losses."""
    frames = [
        outcome.curve.assign(model=JOINT if name == JOINT else "single")
        for name, outcome in outcomes.items()
    ]
    return pd.concat(frames, ignore_index=True)[["model", "task", "epoch", "loss", "val_loss"]]


def write_curves(frame: pd.DataFrame, file: Path) -> None:
    """Write the curves as CSV, for DVC's plots."""
    write_text(file, frame.round(6).to_csv(index=False))


def write_speed(outcomes: Mapping[str, Outcome], file: Path) -> None:
    """Keep the training speed of each model in rows per second; not part of any hash."""
    found = {name: round(o.rows_per_second) for name, o in outcomes.items() if o.rows_per_second}
    if not found:  # everything came from checkpoints: keep what was measured
        return
    write_text(file, json.dumps({"rows_per_second": found}, indent=2))


def clear_checkpoints(folder: Path) -> None:
    """Delete the states of finished runs."""
    for file in folder.glob("*.npz"):
        file.unlink()


def summary(outcomes: Mapping[str, Outcome], settings: Training) -> pd.DataFrame:
    """Epochs run, what ended them, best epoch and its mean validation loss, per model."""
    rows = []
    for name, outcome in outcomes.items():
        best = outcome.curve[outcome.curve["epoch"] == outcome.best_epoch]
        ran = int(outcome.curve["epoch"].max())
        waited = ran - outcome.best_epoch >= settings.patience
        rows.append((name, ran, "patience" if waited else "epochs",
                     outcome.best_epoch, float(np.nanmean(best["val_loss"]))))  # fmt: skip
    columns = ["model", "epochs", "ended by", "best epoch", "validation loss"]
    return pd.DataFrame(rows, columns=columns)
