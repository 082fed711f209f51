"""What every task type provides: labels as arrays, a loss on logits, and predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from keras import ops

Array = np.ndarray


@dataclass(frozen=True)
class TaskType(ABC):
    """A task type with what it learnt from the training labels (classes, mean, scale).

    Instances are values: :meth:`fit` makes one from training labels, ``to_config`` and
    ``from_config`` carry it into a saved model.
    """

    @classmethod
    @abstractmethod
    def fit(cls, labels: pd.Series, catalogue: tuple[str, ...]) -> Self:
        """Learn what the type needs from the known training labels.

        Args:
            labels: training labels without missing values.
            catalogue: all item ids in the order of the items table (ranking only).
        """

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of logits the head returns per row."""

    @abstractmethod
    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Return label values ``(n, ...)`` and a mask ``(n,)`` that is False where unknown."""

    @abstractmethod
    def loss(self, labels: Any, logits: Any) -> Any:
        """Loss per row ``(batch,)`` from labels ``(batch, ...)``, logits ``(batch, outputs)``."""

    @abstractmethod
    def predict(self, logits: Any) -> Any:
        """Predictions in the label's units (probabilities, or values) from logits."""

    @abstractmethod
    def base_logits(self, labels: Array) -> Array:
        """Logits ``(outputs,)`` of the best constant prediction for encoded training labels."""

    def scale(self, labels: Array) -> float:
        """Mean loss of the best constant prediction: the unit in which the task's loss is measured.

        Dividing by it makes tasks comparable, so that a static weight of 1 is a fair start
        (Kurin et al. 2022, https://arxiv.org/abs/2201.04122).
        """
        if not len(labels):
            return 1.0
        logits = np.broadcast_to(self.base_logits(labels), (len(labels), self.outputs))
        rows = [
            float(
                ops.sum(
                    self.loss(labels[i : i + 4096], ops.convert_to_tensor(logits[i : i + 4096]))
                )
            )
            for i in range(0, len(labels), 4096)
        ]
        return max(sum(rows) / len(labels), 1e-6)

    def to_config(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Undo :meth:`to_config`."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})


def class_index(labels: pd.Series, classes: tuple[str, ...]) -> tuple[Array, Array]:
    """Index of each label in ``classes`` (0 where unknown) and the mask of known ones."""
    codes = pd.Index(classes).get_indexer(labels.astype("object"))
    known = labels.notna().to_numpy() & (codes >= 0)
    return np.where(known, codes, 0).astype("int32"), known


def log_frequencies(labels: Array, size: int) -> Array:
    """Logarithm of class frequencies, one pseudo-count each, ``(size,)`` float32."""
    counts = np.bincount(labels, minlength=size) + 1.0
    return np.log(counts / counts.sum()).astype("float32")
