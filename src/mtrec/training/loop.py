"""Train one model, joint or single-task, on index batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.features.dataset import Dataset
from mtrec.models.model import MultiTaskModel
from mtrec.registry import OPTIMIZERS
from mtrec.tasks.base import TaskType
from mtrec.training import checkpoint
from mtrec.training.augmentation import Augmenter
from mtrec.training.objective import NO_LABEL, training_losses, validation_losses
from mtrec.training.parts import divide
from mtrec.training.reading import Library
from mtrec.training.step import compile_evaluation, compile_step, compile_steps

if TYPE_CHECKING:
    from mtrec.settings import Augmentation, Training

UNBROKEN = 100  # steps that TensorFlow takes before Python hears of a keyboard interrupt


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the task, the epoch and the mend."""


@dataclass(frozen=True)
class Outcome:
    """What training did.

    Attributes:
        curve: one row per epoch and task: ``epoch``, ``task``, ``loss``, ``val_loss``, both in
            units of the constant prediction's loss (1 = no better than a constant). The loss of a
            taught task is partly its distance from the teacher; the validation loss never is.
        best_epoch: the epoch whose weights the model now has.
        rows_per_second: training rows per second, median over epochs; 0 if nothing was left to do.
    """

    curve: pd.DataFrame
    best_epoch: int
    rows_per_second: float


class Trainer:
    """A model with its compiled steps, which can be trained again from other weights.

    Args:
        model: model from index batches to logits by task; trained in place.
        tasks: task types by name, in the model's order.
        scales: loss of the best constant prediction by task.
        weights: static weight by task; the balancer's weights come on top.
        training: training rows.
        validation: validation rows.
        settings: how the model is trained.
        steps: steps per epoch; a batch is as large as it takes to pass once over the rows.
        parents: parent of each binary task that is trained on the entire space.
        library: texts for the model's readers.

    Raises:
        ValueError: unknown optimiser or balancer, or rows are to be mixed that read texts.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, TaskType],
        scales: Mapping[str, float],
        weights: Mapping[str, float],
        training: Dataset,
        validation: Dataset,
        settings: Training,
        steps: int,
        parents: Mapping[str, str] | None = None,
        library: Library | None = None,
    ):
        self.model, self.names, self.settings, self.steps = model, list(tasks), settings, steps
        self.library = library
        self.rows, self.held_rows = len(training), len(validation)
        self.batch = max(1, round(len(training) / steps))
        self.optimizer = make_optimizer(
            settings.optimizer, settings.learning_rate, settings.weight_decay,
            fading(settings.ema_momentum, steps * settings.epochs),
        )  # fmt: skip
        variables = divide(model)
        self._trained = [*variables.shared, *variables.owned]
        self.optimizer.build(self._trained)
        self._optimizer_start = [np.asarray(variable) for variable in self.optimizer.variables]
        self.balancing = settings.balancing if len(tasks) > 1 else "static"
        self.balancer = make_balancer(self.balancing, len(tasks))
        losses = training_losses(
            tasks, scales, weights, parents or {}, training, settings.distillation
        )
        self._augmenter = make_augmenter(settings.augmentation, model)
        self._step = compile_step(
            model, self.optimizer, self.balancer, losses, settings.gradients_on, settings.l2,
            self._augmenter,
        )  # fmt: skip
        self._evaluate = compile_evaluation(model, validation_losses(tasks, scales))
        self._data, self._held_out = _tensors(training), _tensors(validation)
        self._steps = compile_steps(self._step, len(tasks), self._data, self.batch)
        self._share = np.array([weights[name] for name in tasks])
        self._identity = checkpoint.fingerprint(
            settings.model_dump(), steps, model.get_config(), dict(scales), dict(weights),
            dict(parents or {}), training.inputs, training.labels, training.masks,
            training.taught, validation.inputs, validation.labels, validation.masks,
        )  # fmt: skip

    def run(
        self,
        seed: int,
        checkpoint_file: Path | None = None,
        watch: Callable[[int], None] | None = None,
        report: Callable[[int, float], None] | None = None,
    ) -> Outcome:
        """Train from the model's present weights, and leave it with those of its best epoch.

        With ``settings.ema_momentum`` these, and those that are validated, are averages over the
        steps so far (Polyak and Juditsky 1992, https://doi.org/10.1137/0330046).

        An epoch passes over a permutation drawn from ``(seed, epoch)``. Stops when the mean
        normalised validation loss has not fallen for ``settings.patience`` epochs. With
        ``checkpoint_file``, a run that was interrupted goes on after its last full epoch and ends
        with the very weights of an uninterrupted one.

        Args:
            seed: seed of the permutations and of the balancer.
            checkpoint_file: where to keep the state of the run.
            watch: called with the epoch's number after each epoch, while the model has the weights
                that the epoch is judged by.
            report: called with the epoch's number and its mean validation loss; an error that it
                raises ends the run.

        Raises:
            TrainingError: a loss is NaN or infinite, or a batch has no label at all.
        """
        self._reset(seed)
        if self.library:
            self.library.open(self.model)
        variables = [*self.model.variables, *self.optimizer.variables, *self.balancer.variables]
        run = checkpoint.fingerprint(self._identity, seed, *map(np.asarray, self.model.variables))
        saved = checkpoint.load(checkpoint_file, run, variables) if checkpoint_file else None
        state, best = saved or ({"epochs": 0, "best": None, "best_epoch": 0, "curve": []}, [])
        speeds = []
        while not _finished(state, self.settings):
            epoch = state["epochs"] + 1
            per_step, speed = self._pass(seed, epoch)
            with self._averaged():
                score, curve = self._judge(per_step, epoch)
                if state["best"] is None or score < state["best"]:
                    state["best"], state["best_epoch"] = score, epoch
                    best = [np.asarray(variable) for variable in self.model.variables]
                if watch:
                    watch(epoch)
                if report:
                    report(epoch, score)
            speeds.append(speed)
            state["curve"] += curve
            state["epochs"] = epoch
            if checkpoint_file:
                checkpoint.save(checkpoint_file, run, state, variables, best)
        for variable, value in zip(self.model.variables, best, strict=True):
            variable.assign(value)
        if self.library:
            self.library.close(self.model)
        curve = pd.DataFrame(state["curve"], columns=["epoch", "task", "loss", "val_loss"])
        return Outcome(curve, state["best_epoch"], float(np.median(speeds)) if speeds else 0.0)

    def step(self, rows: tf.Tensor) -> tf.Tensor:
        """Update on the given training rows; their loss per task, ``(tasks,)``."""
        return self._step(self._data, rows)

    def take(self, order: np.ndarray) -> np.ndarray:
        """Update on training rows, ``(n, batch)`` numbers as int32; losses ``(n, tasks)``."""
        parts = range(0, len(order), UNBROKEN)
        return np.concatenate([self._steps(self._data, order[i : i + UNBROKEN]) for i in parts])

    def _pass(self, seed: int, epoch: int) -> tuple[np.ndarray, float]:
        """Losses by step and task of one pass over the rows, and rows per second."""
        start = time.perf_counter()
        per_step = self.take(_order(seed, epoch, self.rows, (self.steps, self.batch)))
        return per_step, self.steps * self.batch / (time.perf_counter() - start)

    def _judge(self, per_step: np.ndarray, epoch: int) -> tuple[float, list]:
        """Mean validation loss and rows of the curve; the balancer hears of the epoch."""
        val = _evaluate(self._evaluate, self._held_out, self.held_rows, 4096)
        _check(per_step, val, self.names, epoch)
        mean = _mean_loss(per_step)
        self.balancer.end_epoch(tf.constant(mean, tf.float32))
        losses = mean / self._share  # in units of a constant prediction, whatever its weight
        curve = [
            [epoch, name, float(a), float(b)]
            for name, a, b in zip(self.names, losses, _mean_loss(val[None]), strict=True)
        ]
        return float(np.mean(val[val != NO_LABEL])), curve

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the average of its weights over the steps, if one is kept."""
        if not self.optimizer.use_ema:
            yield
            return
        last = [np.asarray(variable) for variable in self._trained]
        self.optimizer.finalize_variable_values(self._trained)
        try:
            yield
        finally:
            for variable, value in zip(self._trained, last, strict=True):
                variable.assign(value)

    def _reset(self, seed: int) -> None:
        """Optimiser and balancer as they were before any step."""
        for variable, value in zip(self.optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)
        fresh = make_balancer(self.balancing, len(self.names), seed)
        for variable, value in zip(self.balancer.variables, fresh.variables, strict=True):
            variable.assign(value)
        if self._augmenter is not None:
            self._augmenter.seed.assign(seed)


def fading(momentum: float, steps: int) -> float:
    """Momentum of an average that has forgotten its first step after all ``steps``.

    Of a short training's first weights at most exp(-5) would be left in the last average.

    Example:
        >>> fading(0.99, 1000), fading(0.99, 50), fading(0.99, 1)
        (0.99, 0.9, 0.0)
    """
    return min(momentum, max(0.0, 1 - 5 / steps))


def make_augmenter(settings: Augmentation, model: MultiTaskModel) -> Augmenter | None:
    """What changes the batches of a model's training; None where nothing is set.

    Raises:
        ValueError: rows are to be mixed, and tasks read texts, which have no mean.
    """
    if settings.mixup and model.readers:
        raise ValueError(
            "training.augmentation.mixup: tasks read texts token by token, which cannot be mixed. "
            "Set mixup: 0, or model_building.reader: null."
        )
    changes = any(settings.model_dump().values())
    return Augmenter(settings) if changes else None


def make_optimizer(
    name: str, learning_rate: float, weight_decay: float, ema_momentum: float = 0.0
) -> keras.optimizers.Optimizer:
    """A Keras optimiser by its name in ``params.yaml``.

    Raises:
        ValueError: unknown name.
    """
    return OPTIMIZERS[name](
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        use_ema=ema_momentum > 0,
        ema_momentum=ema_momentum,
    )


def _order(seed: int, epoch: int, rows: int, shape: tuple[int, int]) -> np.ndarray:
    """Row numbers of an epoch's batches, ``(steps, batch)``, from ``(seed, epoch)`` alone."""
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return np.resize(order, shape).astype("int32")


def _finished(state: dict, settings: Training) -> bool:
    waited = state["epochs"] - state["best_epoch"]
    return state["epochs"] >= settings.epochs or waited >= settings.patience


def _tensors(data: Dataset) -> dict[str, dict[str, tf.Tensor]]:
    masks = {name: mask.astype("float32") for name, mask in data.masks.items()}
    groups = {
        "inputs": data.inputs, "labels": data.labels, "masks": masks, "taught": data.taught,
    }  # fmt: skip
    return {
        group: {name: tf.constant(values) for name, values in arrays.items()}
        for group, arrays in groups.items()
    }


def _evaluate(
    evaluate: Callable[[dict, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    data: dict[str, dict[str, tf.Tensor]],
    rows: int,
    batch: int,
) -> np.ndarray:
    """Mean normalised loss per task, ``NO_LABEL`` for a task without labels."""
    sums = counts = np.zeros(1)
    for start in range(0, rows, batch):
        part = evaluate(data, tf.range(start, min(start + batch, rows)))
        sums, counts = sums + part[0].numpy(), counts + part[1].numpy()
    return np.where(np.asarray(counts) > 0, sums / np.maximum(counts, 1.0), NO_LABEL)


def _mean_loss(per_step: np.ndarray) -> np.ndarray:
    """Mean over steps ``(steps, tasks)`` with labels, NaN for a task without any."""
    known = per_step != NO_LABEL
    total = np.where(known, per_step, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _check(per_step: np.ndarray, val: np.ndarray, names: list[str], epoch: int) -> None:
    bad = ~np.isfinite(np.vstack([per_step, np.where(val == NO_LABEL, 0.0, val)]))
    if bad.any():
        name = names[int(np.argwhere(bad)[0, 1])]
        raise TrainingError(
            f"task '{name}': the training loss became NaN or infinite in epoch {epoch}. Lower "
            "training.learning_rate in params.yaml, or look for extreme values in its label."
        )
    empty = (per_step == NO_LABEL).all(axis=1)
    if empty.any():
        raise TrainingError(
            f"step {int(empty.argmax()) + 1} of epoch {epoch}: no row of the batch has a label of "
            f"any task ({', '.join(names)}). Raise training.batch_size in params.yaml, or drop "
            "examples without labels in the domain's make_tables."
        )
