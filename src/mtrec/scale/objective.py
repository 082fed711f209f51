"""From a batch to one scale-normalised loss per task, on whichever backend Keras runs.

The counterpart of :mod:`mtrec.training.objective`, which is written in TensorFlow: the same losses,
a task at a time, so that JAX differentiates each through its own tower and head alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from mtrec.features.dataset import Dataset
from mtrec.tasks.base import TaskType
from mtrec.tasks.dependent import entire_space_loss
from mtrec.training.objective import _entire_space_scale, _soft_scale  # units, in NumPy

Batch = Mapping[str, Mapping[str, Any]]  # inputs, labels, masks and what was taught, by task


@dataclass(frozen=True)
class Objective:
    """Losses of training and of validation, see :func:`objective`.

    Attributes:
        tasks: task types by name.
        scales: loss of the best constant prediction by task.
        factors: what a task's mean loss is multiplied by.
        agreeing: what a taught task's distance from its teacher is multiplied by.
        parents: parent of each dependent binary task.
        distillation: share of a taught task's loss that is to agree with its teacher.
    """

    tasks: Mapping[str, TaskType]
    scales: Mapping[str, float]
    factors: Mapping[str, float]
    agreeing: Mapping[str, float]
    parents: Mapping[str, str]
    distillation: float

    def reads(self, name: str) -> tuple[str, ...]:
        """Tasks whose logits the loss of a task reads: itself, and its parent if it has one."""
        return (name, self.parents[name]) if name in self.parents else (name,)

    def mean(self, name: str, batch: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """Mean training loss of a task over its known labels, 0 without any, and their count.

        Args:
            name: of the task.
            batch: the whole batch; ``taught`` may lack the task.
            logits: of the tasks that :meth:`reads` names, ``(batch, outputs)``.
        """
        label, known = batch["labels"][name], batch["masks"][name]
        kind, own, mask = self.tasks[name], ops.cast(logits[name], "float32"), known
        if name in self.parents:
            above = self.parents[name]
            before = batch["labels"][above]
            rows = entire_space_loss(label, before, own, ops.cast(logits[above], "float32"))
            mask = ops.maximum(known, batch["masks"][above] * (1.0 - before))
        else:
            rows = kind.loss(label, own)
        mean, count = _masked_mean(rows, mask)
        mean = mean * self.factors[name]
        if name in self.agreeing:
            agree, _ = _masked_mean(kind.soft_loss(batch["taught"][name], own), known)
            share = self.distillation
            mean = (1.0 - share) * mean + share * self.agreeing[name] * agree
        return mean, count

    def held(self, name: str, batch: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """Summed validation loss of a task in units of a constant prediction's, and its labels."""
        rows = self.tasks[name].validation_loss(
            batch["labels"][name], ops.cast(logits[name], "float32")
        )
        total, count = _masked_sum(rows, batch["masks"][name])
        return total / self.scales[name], count


def objective(
    tasks: Mapping[str, TaskType],
    scales: Mapping[str, float],
    weights: Mapping[str, float],
    parents: Mapping[str, str],
    training: Dataset,
    distillation: float = 0.0,
) -> Objective:
    """The losses of :func:`mtrec.training.objective.training_losses`, with its arguments."""
    units = {**scales, **{n: _entire_space_scale(training, n, p) for n, p in parents.items()}}
    agreeing = {
        name: weights[name] / _soft_scale(kind, scales[name], training, name)
        for name, kind in tasks.items()
        if distillation and name in training.taught
    }
    factors = {name: weights[name] / units[name] for name in tasks}
    return Objective(tasks, scales, factors, agreeing, parents, distillation)


def _masked_mean(rows: Any, mask: Any) -> tuple[Any, Any]:
    total, count = _masked_sum(rows, mask)
    return total / ops.maximum(count, 1.0), count


def _masked_sum(rows: Any, mask: Any) -> tuple[Any, Any]:
    """Sum over the rows with a label, whose missing labels' losses may be anything, and count."""
    return ops.sum(ops.where(mask > 0, rows, 0.0)), ops.sum(mask)
