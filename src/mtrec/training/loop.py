"""Train one model, joint or single-task, on index batches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mtrec.balancing import BALANCERS, Balancer
from mtrec.data.dataset import Dataset
from mtrec.tasks import TaskType
from mtrec.training import checkpoint

NO_LABEL = -1.0  # recorded for a batch without labels of a task; losses are never negative


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the task, the epoch and the mend."""


@dataclass(frozen=True)
class Outcome:
    """What training did.

    Attributes:
        curve: one row per epoch and task: ``epoch``, ``task``, ``loss``, ``val_loss``, both in
            units of the constant prediction's loss (1 = no better than a constant).
        best_epoch: the epoch whose weights the model now has.
        rows_per_second: training rows per second, median over epochs; 0 if nothing was left to do.
    """

    curve: pd.DataFrame
    best_epoch: int
    rows_per_second: float


def make_deterministic(seed: int, enabled: bool = True) -> None:
    """Seed Python, NumPy and TensorFlow, and ask TensorFlow for deterministic operations."""
    keras.utils.set_random_seed(seed)
    if enabled:
        tf.config.experimental.enable_op_determinism()


def device() -> str:
    """The accelerator that training runs on, or ``CPU``."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")


def train(
    model: keras.Model,
    tasks: Mapping[str, TaskType],
    scales: Mapping[str, float],
    weights: Mapping[str, float],
    training: Dataset,
    validation: Dataset,
    settings: Any,
    seed: int,
    steps: int,
    checkpoint_file: Path | None = None,
) -> Outcome:
    """Train ``model`` in place and leave it with the weights of its best epoch.

    An epoch is ``steps`` steps over a permutation drawn from ``(seed, epoch)``; a batch is as
    large as it takes to pass once over the rows. Stops when the mean normalised validation loss
    has not fallen for ``settings.patience`` epochs. With ``checkpoint_file``, a run that was
    interrupted goes on after its last full epoch and ends with the very weights of an
    uninterrupted one.

    Args:
        model: model from index batches to logits by task.
        tasks: task types by name, in the model's order.
        scales: loss of the best constant prediction by task.
        weights: static weight by task.
        training: training rows.
        validation: validation rows.
        settings: :class:`mtrec.config.Training`.
        seed: seed of the permutations.
        steps: steps per epoch.
        checkpoint_file: where to keep the state of the run.

    Raises:
        TrainingError: a loss is NaN or infinite.
    """
    names = list(tasks)
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer.build(model.trainable_variables)
    balancer = BALANCERS[settings.balancing]([weights[name] for name in names])
    losses = _task_losses(model, tasks, scales)
    step = _compile_step(model, optimizer, balancer, losses)
    evaluate = _compile_evaluation(losses)
    variables = [*model.variables, *optimizer.variables]
    batch = max(1, round(len(training) / steps))
    data, held_out = _tensors(training), _tensors(validation)
    run = checkpoint.fingerprint(
        settings.model_dump(), seed, steps, model.get_config(), dict(scales), dict(weights),
        training.inputs, training.labels, training.masks, validation.inputs, validation.masks,
        *map(np.asarray, model.variables),
    )  # fmt: skip
    saved = checkpoint.load(checkpoint_file, run, variables) if checkpoint_file else None
    state, best = saved or ({"epochs": 0, "best": None, "best_epoch": 0, "curve": []}, [])
    speeds = []
    while not _finished(state, settings):
        epoch = state["epochs"] + 1
        start = time.perf_counter()
        order = _order(seed, epoch, len(training), (steps, batch))
        per_step = np.stack([step(data, rows) for rows in order])
        speeds.append(steps * batch / (time.perf_counter() - start))
        val = _evaluate(evaluate, held_out, len(validation), 4096)
        _check_finite(per_step, val, names, epoch)
        state["curve"] += [
            [epoch, name, float(a), float(b)]
            for name, a, b in zip(names, _mean_loss(per_step), _mean_loss(val[None]), strict=True)
        ]
        score, state["epochs"] = float(np.mean(val[val != NO_LABEL])), epoch
        if state["best"] is None or score < state["best"]:
            state["best"], state["best_epoch"] = score, epoch
            best = [np.asarray(variable) for variable in model.variables]
        if checkpoint_file:
            checkpoint.save(checkpoint_file, run, state, variables, best)
    for variable, value in zip(model.variables, best, strict=True):
        variable.assign(value)
    curve = pd.DataFrame(state["curve"], columns=["epoch", "task", "loss", "val_loss"])
    return Outcome(curve, state["best_epoch"], float(np.median(speeds)) if speeds else 0.0)


def predict(model: keras.Model, inputs: Mapping[str, np.ndarray], batch: int = 4096) -> dict:
    """Logits by task for all rows, ``(n, outputs)`` each."""
    forward = tf.function(lambda part: model(part, training=False), reduce_retracing=True)
    rows = len(inputs["user"])
    parts = [
        forward({name: tf.constant(values[i : i + batch]) for name, values in inputs.items()})
        for i in range(0, rows, batch)
    ]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def _order(seed: int, epoch: int, rows: int, shape: tuple[int, int]) -> tf.Tensor:
    """Row numbers of an epoch's batches, ``(steps, batch)``, from ``(seed, epoch)`` alone."""
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return tf.constant(np.resize(order, shape).astype("int32"))


def _finished(state: dict, settings: Any) -> bool:
    waited = state["epochs"] - state["best_epoch"]
    return state["epochs"] >= settings.epochs or waited >= settings.patience


def _tensors(data: Dataset) -> dict[str, dict[str, tf.Tensor]]:
    masks = {name: mask.astype("float32") for name, mask in data.masks.items()}
    groups = {"inputs": data.inputs, "labels": data.labels, "masks": masks}
    return {
        group: {name: tf.constant(values) for name, values in arrays.items()}
        for group, arrays in groups.items()
    }


def _task_losses(model: keras.Model, tasks: Mapping[str, TaskType], scales: Mapping) -> Any:
    """Function from a batch to summed normalised losses and label counts, ``(tasks,)`` each."""

    def losses(batch: dict, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(batch["inputs"], training=training)
        sums, counts = [], []
        for name, kind in tasks.items():
            mask = batch["masks"][name]
            rows = kind.loss(batch["labels"][name], tf.cast(logits[name], tf.float32))
            known = tf.where(mask > 0, rows, 0.0)  # a missing label's loss may be anything
            sums.append(tf.reduce_sum(known) / scales[name])
            counts.append(tf.reduce_sum(mask))
        return tf.stack(sums), tf.stack(counts)

    return losses


def _compile_step(model: keras.Model, optimizer: Any, balancer: Balancer, losses: Any) -> Any:
    variables = model.trainable_variables

    @tf.function
    def step(data: dict, rows: tf.Tensor) -> tf.Tensor:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        with tf.GradientTape() as tape:
            sums, counts = losses(batch, True)
            means = sums / tf.maximum(counts, 1.0)
        optimizer.apply(balancer.gradients(tape, means, variables), variables)
        return tf.where(counts > 0, means, NO_LABEL)

    return step


def _compile_evaluation(losses: Any) -> Any:
    @tf.function(reduce_retracing=True)
    def evaluate(data: dict, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return losses(tf.nest.map_structure(lambda values: tf.gather(values, rows), data), False)

    return evaluate


def _evaluate(evaluate: Any, data: dict, rows: int, batch: int) -> np.ndarray:
    """Mean normalised loss per task, ``NO_LABEL`` for a task without labels."""
    sums, counts = 0.0, 0.0
    for start in range(0, rows, batch):
        part = evaluate(data, tf.range(start, min(start + batch, rows)))
        sums, counts = sums + part[0].numpy(), counts + part[1].numpy()
    return np.where(np.asarray(counts) > 0, sums / np.maximum(counts, 1.0), NO_LABEL)


def _mean_loss(per_step: np.ndarray) -> np.ndarray:
    """Mean over steps ``(steps, tasks)`` with labels, NaN for a task without any."""
    known = per_step != NO_LABEL
    total = np.where(known, per_step, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _check_finite(per_step: np.ndarray, val: np.ndarray, names: list[str], epoch: int) -> None:
    bad = ~np.isfinite(np.vstack([per_step, np.where(val == NO_LABEL, 0.0, val)]))
    if bad.any():
        name = names[int(np.argwhere(bad)[0, 1])]
        raise TrainingError(
            f"task '{name}': the training loss became NaN or infinite in epoch {epoch}. Lower "
            "training.learning_rate in params.yaml, or look for extreme values in its label."
        )
