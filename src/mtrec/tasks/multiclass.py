"""One of several classes: a softmax over the classes seen in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from keras import ops

from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import (
    Array,
    TaskType,
    as_shares,
    class_index,
    inside,
    log_frequencies,
    most_probable,
    soft_classes,
)


@dataclass(frozen=True)
class Multiclass(TaskType):
    r"""One class of many; loss :math:`-\log\mathrm{softmax}(z)_y`.

    A class that training never showed cannot be predicted; its rows are masked out.
    """

    metrics: ClassVar[str] = "multiclass"
    classes: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Collect the classes, sorted.

        Raises:
            ValueError: fewer than two classes.
        """
        TASK_TYPES.choose_head("multiclass", head)
        TASK_TYPES.choose_loss("multiclass", loss)
        classes = tuple(sorted(labels.unique()))
        if len(classes) < 2:
            raise ValueError(
                f"label '{labels.name}' of a multi-class task has {len(classes)} class in the "
                "training split; expected at least 2. Check the split or drop the task."
            )
        return cls(classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    @property
    def head(self) -> str:
        """A dense layer."""
        return "dense"

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.classes)

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Class indices ``(n,)`` and their mask."""
        return class_index(labels, self.classes)

    def loss(self, labels, logits):
        """Cross-entropy per row, ``(batch,)``."""
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    def soft_loss(self, taught, logits):
        """Cross-entropy of the teacher's probabilities, ``(batch,)``."""
        return soft_classes(taught, logits)

    def predict(self, logits):
        """Class probabilities, ``(batch, classes)``."""
        return ops.softmax(logits)

    def answers(self, predictions: Array) -> Array:
        """The most probable class, ``(n,)``."""
        return most_probable(self.classes, predictions)

    def from_means(self, means: Array) -> Array:
        """Shares of classes as probabilities."""
        return as_shares(means)

    def outcomes(self, labels: Array) -> Array:
        """One column per class."""
        return np.eye(self.outputs)[labels]

    def logits(self, means: Array) -> Array:
        """Logarithm of each class's probability."""
        return np.log(inside(means)).astype("float32")

    def base_logits(self, labels: Array) -> Array:
        """Log class frequencies."""
        return log_frequencies(labels, self.outputs)
