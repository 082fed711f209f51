"""What every task type provides: labels as arrays, a loss on logits, and predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from keras import ops

from mtrec.registry import TASK_TYPES, Form

Array = np.ndarray
TINY = 1e-4


@dataclass(frozen=True)
class TaskType(ABC):
    """A task type with what it learnt from the training labels (classes, mean, scale).

    Instances are values: :meth:`fit` makes one from training labels, ``to_config`` and
    ``from_config`` carry it into a saved model.

    Attributes:
        metrics: family of :data:`mtrec.registry.METRICS` that judges its predictions.
    """

    metrics: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Learn what the type needs from the known training labels.

        Args:
            labels: training labels without missing values.
            catalogue: ids of all candidates in the order of their table (ranking only).
            head: name of the head, see :mod:`mtrec.registry`; None for the type's default.
            loss: name of the loss; None for the type's default.
        """

    @property
    def form(self) -> Form:
        """What its labels are, as the registry says."""
        return TASK_TYPES.forms[TASK_TYPES.name_of(type(self))]

    @property
    def candidates(self) -> str | None:
        """What competes, ``items`` or ``users``, in a type that ranks; None in others."""
        return None

    def among(self, candidates: str) -> TaskType:
        """The same type where these compete."""
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of which each row has one; none in other types."""
        return ()

    @property
    @abstractmethod
    def head(self) -> str:
        """Name of the head, see :data:`mtrec.registry.HEADS`."""

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

    def validation_loss(self, labels: Any, logits: Any) -> Any:
        """Loss per row ``(batch,)`` that does not depend on which rows share a batch."""
        return self.loss(labels, logits)

    def soft_loss(self, taught: Any, logits: Any) -> Any:
        """Loss per row ``(batch,)`` of logits that should be a teacher's; smallest where they are.

        Both are ``(batch, outputs)``. Here: mean squared difference (Ba and Caruana 2014,
        https://arxiv.org/abs/1312.6184, eq. 1), of logits rather than of predictions, so that a
        row beyond the reach of a ReLU still learns.
        """
        return ops.mean(ops.square(logits - ops.cast(taught, logits.dtype)), axis=-1)

    def soft_type(self) -> TaskType:
        """The type whose :meth:`scale` is the unit of :meth:`soft_loss`: the one with its loss."""
        return self

    @abstractmethod
    def predict(self, logits: Any) -> Any:
        """Predictions in the label's units (probabilities, or values) from logits."""

    def answers(self, predictions: Array) -> Any:
        """Predictions as a user reads them, one per row: a value, a name or a list of names."""
        return predictions

    def in_units(self, labels: Array, predictions: Array) -> tuple[str, Array, Array]:
        """Labels and predictions in the label's own units, and the metrics that judge them."""
        return self.metrics, labels, predictions

    def absent(self, labels: Array) -> Array:
        """Candidates that do not compete whatever the user, ``(n, outputs)`` bool."""
        return np.zeros((len(labels), self.outputs), dtype=bool)

    def from_means(self, means: Array) -> Array:
        """Predictions from given means of :meth:`outcomes`."""
        return means[:, 0]

    def outcomes(self, labels: Array) -> Array:
        """Encoded labels as numbers whose mean is a prediction, ``(n, numbers)`` float64."""
        return labels.reshape(len(labels), -1).astype("float64")

    def logits(self, means: Array) -> Array:
        """Logits ``(n, outputs)`` that predict given means of :meth:`outcomes`.

        Raises:
            ValueError: the type's predictions are no means.
        """
        raise ValueError(
            f"a {type(self).__name__} task cannot start at running means; leave offset: out of "
            "its settings in params.yaml."
        )

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
        distinct, counts = np.unique(labels, axis=0, return_counts=True)  # few, in most tasks
        logits = np.broadcast_to(self.base_logits(labels), (len(distinct), self.outputs))
        total = 0.0
        for i in range(0, len(distinct), 4096):
            part = slice(i, i + 4096)
            loss = self.validation_loss(distinct[part], ops.convert_to_tensor(logits[part]))
            total += float(np.asarray(loss, dtype="float64") @ counts[part])
        return max(total / len(labels), 1e-6)

    def to_config(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Undo :meth:`to_config`."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})


def soft_bits(taught: Any, logits: Any) -> Any:
    """Logistic loss of each logit with the teacher's probability as its label, any shape.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2, temperature 1.
    """
    share = ops.sigmoid(ops.cast(taught, logits.dtype))
    return ops.binary_crossentropy(share, logits, from_logits=True)


def soft_classes(taught: Any, logits: Any) -> Any:
    """Cross-entropy per row ``(batch,)`` with the teacher's probabilities as labels.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2, temperature 1.
    """
    shares = ops.softmax(ops.cast(taught, logits.dtype))
    return ops.logsumexp(logits, axis=-1) - ops.sum(shares * logits, axis=-1)


def most_probable(names: Sequence[Any], predictions: Array) -> Array:
    """Name of the most probable class of each row."""
    return np.asarray(names)[predictions.argmax(axis=1)]


def as_shares(means: Array) -> Array:
    """Means of classes ``(n, classes)`` as probabilities: none is 0, and their sum is 1."""
    shares = np.maximum(means, 1e-6)
    return shares / shares.sum(axis=1, keepdims=True)


def class_index(labels: pd.Series, classes: tuple[str, ...]) -> tuple[Array, Array]:
    """Index of each label in ``classes`` (0 where unknown) and the mask of known ones."""
    codes = pd.Index(classes).get_indexer(labels.astype("object"))
    known = labels.notna().to_numpy() & (codes >= 0)
    return np.where(known, codes, 0).astype("int32"), known


def float_labels(labels: pd.Series, fill: float) -> tuple[Array, Array]:
    """Float labels ``(n,)``, ``fill`` where unknown, and the mask of known ones."""
    values = labels.to_numpy(dtype="float32", na_value=np.nan)
    known = ~np.isnan(values)
    return np.where(known, values, fill).astype("float32"), known


def inside(shares: Array) -> Array:
    """Shares kept off 0 and 1, where log-odds end."""
    return np.clip(shares, TINY, 1 - TINY)


def smoothed_rate(labels: Array) -> Array:
    """Share of ones along the first axis, with one pseudo-count on either side."""
    return (labels.sum(axis=0, dtype="float64") + 1) / (len(labels) + 2)


def log_frequencies(labels: Array, size: int) -> Array:
    """Logarithm of class frequencies, one pseudo-count each, ``(size,)`` float32."""
    counts = np.bincount(labels, minlength=size) + 1.0
    return np.log(counts / counts.sum()).astype("float32")
