"""Train one model in several processes, each with its share of every batch.

Rows, order, losses, balancers, optimiser, averages and the rule of stopping are those of
:mod:`mtrec.training.loop`; only the step is another, see :mod:`mtrec.scale.steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import pandas as pd
import tensorflow as tf
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from mtrec.balancing import Balancer, make_balancer
from mtrec.features.dataset import Dataset
from mtrec.models.model import MultiTaskModel
from mtrec.scale.objective import objective
from mtrec.scale.steps import ROWS, State, Steps
from mtrec.tasks.base import TaskType
from mtrec.training import checkpoint
from mtrec.training.loop import Outcome, Trainer, _finished, fading, make_optimizer
from mtrec.training.objective import NO_LABEL
from mtrec.training.parts import divide
from mtrec.training.penalty import penalty_scale

if TYPE_CHECKING:
    from mtrec.settings import Training

HELD = 4096  # validation rows at a time


class ParallelTrainer(Trainer):
    """A model with its steps on the devices of all processes.

    Every process makes the same trainer and calls the same methods.

    Args:
        model: model from index batches to logits by task; trained in place, in each process.
        tasks: task types by name, in the model's order.
        scales: loss of the best constant prediction by task.
        weights: static weight by task; the balancer's weights come on top.
        training: training rows, the same in every process.
        validation: validation rows.
        settings: how the model is trained.
        parents: parent of each binary task that is trained on the entire space.

    Raises:
        ValueError: a batch has fewer rows than there are devices, processes have other data, or
            the settings ask for what is not built here.
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
        parents: Mapping[str, str] | None = None,
    ):
        require_known(model, settings)
        steps = max(1, len(training) // settings.batch_size)
        self.model, self.names, self.settings, self.steps = model, list(tasks), settings, steps
        self.library = self._augmenter = None
        self.rows, self.held_rows = len(training), len(validation)
        self.batch = max(1, round(len(training) / steps))
        require_rows(self.batch, jax.device_count())
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
        self._weigh = _weigher(self.balancer, settings.l2)
        losses = objective(tasks, scales, weights, parents or {}, training, settings.distillation)
        reads = settings.gradients_on if self.balancer.needs == "gradients" else None
        mesh = Mesh(np.array(jax.devices()), (ROWS,))
        self.compiled = Steps(model, self.optimizer, losses, mesh, self.batch, reads)
        self._fixed = self.compiled.spread(self.compiled.fixed)
        self._data, self._held_out = _arrays(training), _arrays(validation)
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
        """Train, see :meth:`mtrec.training.loop.Trainer.run`; the first process writes the file.

        Raises:
            TrainingError: a loss is NaN or infinite, or a batch has no label at all.
            ValueError: processes have other data, or see another checkpoint.
        """
        self._reset(seed)
        variables = [*self.model.variables, *self.optimizer.variables, *self.balancer.variables]
        run = checkpoint.fingerprint(self._identity, seed, *map(np.asarray, self.model.variables))
        saved = checkpoint.load(checkpoint_file, run, variables) if checkpoint_file else None
        state, best = saved or ({"epochs": 0, "best": None, "best_epoch": 0, "curve": []}, [])
        require_alike(run, state["epochs"])
        speeds = []
        while not _finished(state, self.settings):
            epoch = state["epochs"] + 1
            per_step, speed = self._pass(seed, epoch)
            with self._averaged():
                score, curve = self._judge(per_step, epoch)
                if state["best"] is None or score < state["best"]:
                    state["best"], state["best_epoch"] = score, epoch
                    best = [np.asarray(variable) for variable in self.model.variables]
                if report:
                    report(epoch, score)
            speeds.append(speed)
            state["curve"] += curve
            state["epochs"] = epoch
            if checkpoint_file and jax.process_index() == 0:
                checkpoint.save(checkpoint_file, run, state, variables, best)
            if watch:
                watch(epoch)
        for variable, value in zip(self.model.variables, best, strict=True):
            variable.assign(value)
        curve = pd.DataFrame(state["curve"], columns=["epoch", "task", "loss", "val_loss"])
        return Outcome(curve, state["best_epoch"], float(np.median(speeds)) if speeds else 0.0)

    def step(self, rows: np.ndarray) -> np.ndarray:
        """Update on the given training rows; their loss per task, ``(tasks,)``."""
        return self.take(np.asarray(rows)[None])[0]

    def take(self, order: np.ndarray) -> np.ndarray:
        """Update on training rows, ``(n, batch)`` numbers; losses ``(n, tasks)``."""
        state, losses = self.compiled.state(), []
        for rows in order:
            batch = self.compiled.batch(self._data, rows, self.compiled.padded)
            means, counts, gram, found, seeds = self.compiled.forward(
                state.trained, state.seeds, self._fixed, batch
            )
            means, present = np.asarray(means), np.asarray(counts) > 0
            if self.balancer.needs == "losses":
                gram = None
            weights, penalties = self._weigh(means, gram, present)
            on_heads = weights if self.balancer.weighs_heads else np.ones_like(weights)
            trained, optimizer = self.compiled.update(
                state.trained, state.optimizer, found, weights, on_heads, penalties
            )
            if self.balancer.observes:
                after, seeds = self.compiled.again(trained, seeds, self._fixed, batch)
                self.balancer.observe(tf.constant(np.asarray(after)), tf.constant(present))
            state = State(trained, optimizer, seeds)
            losses.append(np.where(present, means, NO_LABEL))
        self.compiled.keep(state)
        return np.stack(losses)

    def _judge(self, per_step: np.ndarray, epoch: int) -> tuple[float, list]:
        """Mean validation loss and rows of the curve; the balancer hears of the epoch."""
        state, length = self.compiled.state(), -(-HELD // jax.device_count()) * jax.device_count()

        def evaluate(data: Mapping, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = self.compiled.batch(data, rows.numpy(), length)
            sums, counts = self.compiled.judge(state.trained, state.seeds, self._fixed, batch)
            return tf.constant(np.asarray(sums)), tf.constant(np.asarray(counts))

        self._evaluate = evaluate
        return super()._judge(per_step, epoch)


def require_known(model: MultiTaskModel, settings: Training) -> None:
    """Raise a ValueError if a training needs what TensorFlow alone does here."""
    if model.readers:
        raise ValueError(
            "model_building.reader is set: token states are read by TensorFlow alone. Train this "
            "domain with `make repro`, or set reader: null in params.yaml."
        )
    if any(settings.augmentation.model_dump().values()):
        raise ValueError(
            "training.augmentation is set: batches are changed by TensorFlow alone. Train this "
            "domain with `make repro`, or leave augmentation out of params.yaml."
        )
    if settings.optimizer == "lazy_adamw":
        raise ValueError(
            "training.optimizer is lazy_adamw, whose sparse updates are TensorFlow's. Set "
            "optimizer: adamw in params.yaml."
        )


def require_rows(batch: int, devices: int) -> None:
    """Raise a ValueError if some device would have no row of a batch."""
    if batch < devices:
        raise ValueError(
            f"--processes asks for {devices} devices, and a batch has {batch} rows. Ask for fewer "
            "processes, or raise training.batch_size in params.yaml."
        )


def require_alike(run: str, epochs: int) -> None:
    """Raise a ValueError if another process has other data, or goes on from another epoch."""
    mine = np.array([*bytes.fromhex(run), epochs], "int32")
    found = np.atleast_2d(multihost_utils.process_allgather(mine))
    for number, other in enumerate(found):
        if (other != mine).any():
            what = "other data or settings" if (other[:-1] != mine[:-1]).any() else "another epoch"
            raise ValueError(
                f"process {number} starts from {what} than process {jax.process_index()}. Give all "
                "processes the same repository folder, as a shared disk does."
            )


def _weigher(balancer: Balancer, l2: float) -> Callable:
    """From losses, Gram matrix and mask to the tasks' weights and factors of the penalty.

    TensorFlow computes the same in every process, from numbers that are the same in all.
    """

    @tf.function(autograph=False)
    def weigh(losses: tf.Tensor, gram: tf.Tensor | None, present: tf.Tensor) -> tuple:
        weights = balancer.weigh(losses, gram, present)
        scale = l2 * penalty_scale(weights, gram)
        return weights, tf.stack([scale, scale if balancer.weighs_heads else l2])

    def numbers(losses: np.ndarray, gram: jax.Array | None, present: np.ndarray) -> tuple:
        given = None if gram is None else tf.constant(np.asarray(gram))
        found = weigh(tf.constant(losses), given, tf.constant(present))
        return tuple(one.numpy() for one in found)

    return numbers


def _arrays(data: Dataset) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of all rows, as batches are taken from them."""
    masks = {name: mask.astype("float32") for name, mask in data.masks.items()}
    return {"inputs": data.inputs, "labels": data.labels, "masks": masks, "taught": data.taught}
