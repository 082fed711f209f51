"""Any number of labels at once: one sigmoid per label (binary relevance)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from keras import ops

from mtrec.tasks.base import Array, TaskType


@dataclass(frozen=True)
class Multilabel(TaskType):
    r"""A set of labels; loss is the mean over labels of the logistic loss.

    Labels never seen in training cannot be predicted and are left out.
    """

    classes: tuple[str, ...]

    @classmethod
    def fit(cls, labels: pd.Series, catalogue: tuple[str, ...]) -> Self:
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
        return cls(classes)

    @property
    def outputs(self) -> int:
        """One logit per label."""
        return len(self.classes)

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """0/1 matrix ``(n, classes)`` and the mask of rows with a (possibly empty) list."""
        return multi_hot(labels, self.classes), labels.notna().to_numpy()

    def loss(self, labels, logits):
        """Mean logistic loss over labels per row, ``(batch,)``."""
        return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)

    def predict(self, logits):
        """Probability of each label, ``(batch, classes)``."""
        return ops.sigmoid(logits)

    def base_logits(self, labels: Array) -> Array:
        """Log-odds of each label's training rate, with one pseudo-count on either side."""
        ones = labels.sum(axis=0)
        return np.log((ones + 1) / (len(labels) - ones + 1)).astype("float32")


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
