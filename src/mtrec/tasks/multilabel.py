"""Any number of labels at once: one sigmoid per label (binary relevance)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from keras import ops

from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import Array, TaskType, inside, smoothed_rate, soft_bits
from mtrec.tasks.focal import ASYMMETRIC, FOCAL
from mtrec.tasks.logistic import BitLoss, Logistic

LOSSES: dict[str, BitLoss] = {"logistic": Logistic(), "focal": FOCAL, "asymmetric": ASYMMETRIC}


@dataclass(frozen=True)
class Multilabel(TaskType):
    """A set of labels; loss is the mean over labels of the logistic, focal or asymmetric loss.

    Labels never seen in training cannot be predicted and are left out.
    """

    metrics: ClassVar[str] = "multilabel"
    classes: tuple[str, ...]
    head: str = "dense"
    loss_name: str = "logistic"

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Collect the labels, sorted.

        Raises:
            ValueError: no label at all.
        """
        classes = tuple(sorted(set(labels.explode().dropna())))
        if not classes:
            raise ValueError(
                f"label '{labels.name}' of a multi-label task is empty in every training row; "
                "expected lists of names. Check the domain's examples or drop the task."
            )
        return cls(
            classes,
            TASK_TYPES.choose_head("multilabel", head),
            TASK_TYPES.choose_loss("multilabel", loss),
        )

    @property
    def outputs(self) -> int:
        """One logit per label."""
        return len(self.classes)

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """0/1 matrix ``(n, classes)`` and the mask of rows with a (possibly empty) list."""
        return multi_hot(labels, self.classes), labels.notna().to_numpy()

    def loss(self, labels, logits):
        """Mean loss over labels per row, ``(batch,)``."""
        return ops.mean(LOSSES[self.loss_name].loss(labels, logits), axis=-1)

    def soft_loss(self, taught, logits):
        """Mean logistic loss of the teacher's sigmoids over labels, ``(batch,)``."""
        return ops.mean(soft_bits(taught, logits), axis=-1)

    def soft_type(self) -> TaskType:
        """With the logistic loss."""
        return replace(self, loss_name="logistic")

    def predict(self, logits):
        """Probability of each label, ``(batch, classes)``."""
        return LOSSES[self.loss_name].probability(logits)

    def answers(self, predictions: Array) -> list[list[str]]:
        """Labels with a probability of at least 0.5."""
        names = np.asarray(self.classes)
        return [list(names[row >= 0.5]) for row in predictions]

    def from_means(self, means: Array) -> Array:
        """They are probabilities."""
        return means

    def logits(self, means: Array) -> Array:
        """Logit of each label's probability."""
        return LOSSES[self.loss_name].logit(inside(means))

    def base_logits(self, labels: Array) -> Array:
        """Logit of each label's training rate, with one pseudo-count on either side."""
        return LOSSES[self.loss_name].logit(smoothed_rate(labels))


def multi_hot(lists: pd.Series, classes: tuple[str, ...]) -> Array:
    """0/1 matrix ``(n, classes)`` float32 of a column of lists; missing lists give zeros.

    Example:
        >>> multi_hot(pd.Series([["a", "c"], None]), ("a", "b", "c")).tolist()
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    matrix = np.zeros((len(lists), len(classes)), dtype="float32")
    long = lists.reset_index(drop=True).explode().dropna()
    codes = pd.Index(classes).get_indexer(long)
    matrix[long.index.to_numpy()[codes >= 0], codes[codes >= 0]] = 1.0
    return matrix
