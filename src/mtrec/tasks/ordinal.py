"""One of several ordered levels, such as stars: a logit per threshold between two levels."""

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
    inside,
    most_probable,
    smoothed_rate,
    soft_bits,
)


@dataclass(frozen=True)
class Ordinal(TaskType):
    r"""Levels :math:`0 \dots K-1`; :math:`\sigma(z_k)` is the probability of more than level k.

    .. math:: \text{loss} = -\sum_{k=0}^{K-2} \left( [y>k] \log\sigma(z_k)
        + [y \le k] \log(1-\sigma(z_k)) \right)

    The head (:class:`mtrec.models.heads.CoralHead`) has one weight vector for all thresholds and a
    bias each, so the order of the thresholds is the same in every row. Nothing forces the biases
    into order before training ends; :meth:`predict` sorts, which is never further from the truth.
    A level that training never showed is masked out.

    Source: Cao et al. 2020, "Rank consistent ordinal regression", https://arxiv.org/abs/1901.07884,
    section 3.3, with equal weights; sorting: Chernozhukov et al. 2009,
    https://doi.org/10.1093/biomet/asp030.
    """

    metrics: ClassVar[str] = "ordinal"
    levels: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Collect the levels, sorted.

        Raises:
            ValueError: a label is not a finite number, or fewer than two levels.
        """
        TASK_TYPES.choose_head("ordinal", head)
        TASK_TYPES.choose_loss("ordinal", loss)
        values = pd.to_numeric(labels, errors="coerce").to_numpy(dtype="float64")
        odd = labels[~np.isfinite(values)]
        if len(odd):
            raise ValueError(
                f"label '{labels.name}' of an ordinal task holds '{odd.iloc[0]}'; expected finite "
                "numbers or missing. Number the levels in the domain's examples."
            )
        levels = tuple(float(value) for value in np.unique(values))
        if len(levels) < 2:
            raise ValueError(
                f"label '{labels.name}' of an ordinal task has {len(levels)} level in the training "
                "split; expected at least 2. Check the split or drop the task."
            )
        return cls(levels)

    @property
    def head(self) -> str:
        """One weight vector, a bias per threshold."""
        return "coral"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the levels, in order."""
        return tuple(f"{level:g}" for level in self.levels)

    @property
    def outputs(self) -> int:
        """One logit per threshold: one less than levels."""
        return len(self.levels) - 1

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Positions among the levels ``(n,)`` and their mask."""
        codes = pd.Index(self.levels).get_indexer(labels.to_numpy("float64", na_value=np.nan))
        return np.maximum(codes, 0).astype("int32"), codes >= 0

    def loss(self, labels, logits):
        """Logistic losses summed over thresholds per row, ``(batch,)``."""
        above = ops.cast(self._above(ops.convert_to_tensor(labels)), "float32")
        return ops.sum(ops.binary_crossentropy(above, logits, from_logits=True), axis=-1)

    def soft_loss(self, taught, logits):
        """Logistic losses of the teacher's sigmoids, summed over thresholds, ``(batch,)``."""
        return ops.sum(soft_bits(taught, logits), axis=-1)

    def predict(self, logits):
        """Probability of each level, ``(batch, levels)``; not negative and with sum 1."""
        above = ops.sigmoid(ops.flip(ops.sort(logits, axis=-1), axis=-1))
        upper = ops.pad(above, [[0, 0], [1, 0]], constant_values=1.0)
        lower = ops.pad(above, [[0, 0], [0, 1]], constant_values=0.0)
        return upper - lower

    def answers(self, predictions: Array) -> Array:
        """The most probable level, ``(n,)``."""
        return most_probable(self.levels, predictions)

    def in_units(self, labels: Array, predictions: Array) -> tuple[str, Array, Array]:
        """Levels and expected levels, as numbers."""
        levels = np.asarray(self.levels)
        return "regression", levels[labels], predictions @ levels

    def from_means(self, means: Array) -> Array:
        """Shares of levels as probabilities."""
        return as_shares(means)

    def outcomes(self, labels: Array) -> Array:
        """One column per level."""
        return np.eye(len(self.levels))[labels]

    def logits(self, means: Array) -> Array:
        """Log-odds of lying above each threshold."""
        above = inside(1 - np.cumsum(means, axis=1)[:, :-1])
        return np.log(above / (1 - above)).astype("float32")

    def base_logits(self, labels: Array) -> Array:
        """Log-odds of lying above each threshold, with one pseudo-count on either side."""
        rate = smoothed_rate(self._above(labels))
        return np.log(rate / (1 - rate)).astype("float32")

    def _above(self, labels):
        """Whether each label lies above each threshold, ``(batch, levels - 1)``."""
        return labels[:, None] > np.arange(self.outputs, dtype="int32")
