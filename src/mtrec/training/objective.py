"""From a batch to one scale-normalised loss per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mtrec.data.dataset import Dataset
from mtrec.tasks import Binary, TaskType
from mtrec.tasks.dependent import entire_space_loss
from mtrec.training.tops import Known

NO_LABEL = -1.0  # recorded for a batch without labels of a task; losses are never negative
Losses = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[list, list]]


def training_losses(
    tasks: Mapping[str, TaskType],
    scales: Mapping[str, float],
    weights: Mapping[str, float],
    parents: Mapping[str, str],
    training: Dataset,
    distillation: float = 0.0,
) -> Losses:
    r"""Function from a batch and its logits to mean losses and label counts, a list each.

    A binary task with a parent (``when:``) is trained on the entire space: on every row whose
    parent label is known, the product of both probabilities must say whether both happened.

    Args:
        tasks: task types by name.
        scales: loss of the best constant prediction by task.
        weights: static weight by task.
        parents: parent of each dependent binary task; both are among ``tasks``.
        training: training rows, for the unit of the entire-space losses, and whether a task is
            taught.
        distillation: share of a taught task's loss that is to agree with its teacher.

    Source: Ma et al. 2018, "Entire Space Multi-Task Model", https://arxiv.org/abs/1804.07931;
    teachers: Clark et al. 2019, https://arxiv.org/abs/1907.04829, eq. 2.
    """
    units = {**scales, **{n: _entire_space_scale(training, n, p) for n, p in parents.items()}}
    factors = {name: weights[name] / units[name] for name in tasks}
    agreeing = {
        name: weights[name] / _soft_scale(kind, scales[name], training, name)
        for name, kind in tasks.items()
        if distillation and name in training.taught
    }

    def losses(batch: Mapping[str, Any], logits: Mapping[str, Any]) -> tuple[list, list]:
        labels, masks = batch["labels"], batch["masks"]
        means, counts = [], []
        for name, kind in tasks.items():
            own, label, known, taught = _aligned(name, batch, logits)
            mask = known
            if name in parents:
                above = parents[name]
                rows = entire_space_loss(
                    label, labels[above], own, tf.cast(logits[above], tf.float32)
                )
                mask = tf.maximum(known, masks[above] * (1.0 - labels[above]))
            else:
                rows = kind.loss(label, own)
            mean, count = _masked_mean(rows, mask)
            mean *= factors[name]
            if name in agreeing:
                agree, _ = _masked_mean(kind.soft_loss(taught, own), known)
                mean = (1.0 - distillation) * mean + distillation * agreeing[name] * agree
            means.append(mean)
            counts.append(count)
        return means, counts

    return losses


def dependent(types: Mapping[str, TaskType], tasks: Mapping[str, Any]) -> dict[str, str]:
    """Binary tasks with a parent in the same model: they are trained on the entire space."""
    return {
        name: tasks[name].when
        for name, kind in types.items()
        if isinstance(kind, Binary) and tasks[name].when in types
    }


def validation_losses(tasks: Mapping[str, TaskType], scales: Mapping[str, float]) -> Losses:
    """Function from a batch and its logits to summed validation losses and label counts."""

    def losses(batch: Mapping[str, Any], logits: Mapping[str, Any]) -> tuple[list, list]:
        sums, counts = [], []
        for name, kind in tasks.items():
            own, label, known, _ = _aligned(name, batch, logits)
            total, count = _masked_sum(kind.validation_loss(label, own), known)
            sums.append(total / scales[name])
            counts.append(count)
        return sums, counts

    return losses


def _aligned(name: str, batch: Mapping[str, Any], logits: Mapping[str, Any]) -> tuple:
    """Logits in float32, labels, mask and the teacher's logits (None without one), row by row."""
    own = logits[name]
    given = [batch["labels"][name], batch["masks"][name], batch.get("taught", {}).get(name)]
    if isinstance(own, Known):
        given = [None if values is None else tf.gather(values, own.rows) for values in given]
        own = own.logits
    return tf.cast(own, tf.float32), *given


def _masked_mean(rows: Any, mask: Any) -> tuple[Any, Any]:
    """Mean over the rows with a label, 0 without any, and their count."""
    total, count = _masked_sum(rows, mask)
    return total / tf.maximum(count, 1.0), count


def _masked_sum(rows: Any, mask: Any) -> tuple[Any, Any]:
    """Sum over the rows with a label, whose missing labels' losses may be anything, and count."""
    return tf.reduce_sum(tf.where(mask > 0, rows, 0.0)), tf.reduce_sum(mask)


def _soft_scale(kind: TaskType, scale: float, training: Dataset, name: str) -> float:
    """Loss of the best constant prediction by the loss that a teacher is followed by."""
    soft = kind.soft_type()
    return scale if soft == kind else soft.scale(training.labels[name][training.masks[name]])


def _entire_space_scale(training: Dataset, name: str, parent: str) -> float:
    """Entropy of "both happened" over the training rows whose parent label is known."""
    above = training.labels[parent] * training.masks[parent]
    known = training.masks[parent] & ((above == 0) | training.masks[name])
    both = (above * training.labels[name])[known]
    rate = (both.sum() + 1) / (len(both) + 2)
    return float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))
