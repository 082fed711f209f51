"""A number: a linear head on the standardised label, and squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from keras import ops

from mtrec.tasks.base import Array, TaskType


@dataclass(frozen=True)
class Regression(TaskType):
    r"""A number :math:`y`; loss :math:`((y-\mu)/\sigma - z)^2` with training mean and deviation."""

    mean: float
    deviation: float

    @classmethod
    def fit(cls, labels: pd.Series, catalogue: tuple[str, ...]) -> Self:
        """Learn mean and standard deviation.

        Raises:
            ValueError: infinite labels, or all labels equal.
        """
        values = labels.to_numpy(dtype="float64")
        if not np.isfinite(values).all():
            raise ValueError(
                f"label '{labels.name}' of a regression task holds an infinite value; "
                "expected finite numbers or missing. Mend the domain's examples."
            )
        deviation = float(values.std()) if len(values) else 0.0
        if deviation == 0.0:
            raise ValueError(
                f"label '{labels.name}' of a regression task is constant in the training split; "
                "there is nothing to learn. Check the split or drop the task."
            )
        return cls(float(values.mean()), deviation)

    @property
    def outputs(self) -> int:
        """One standardised value."""
        return 1

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Float labels ``(n,)`` in their own units and their mask."""
        values = labels.to_numpy(dtype="float32", na_value=np.nan)
        known = ~np.isnan(values)
        return np.where(known, values, self.mean).astype("float32"), known

    def loss(self, labels, logits):
        """Squared error per row in units of the training variance, ``(batch,)``."""
        labels = ops.convert_to_tensor(labels)
        return ops.square((labels - self.mean) / self.deviation - logits[:, 0])

    def predict(self, logits):
        """Value in the label's units, ``(batch,)``."""
        return logits[:, 0] * self.deviation + self.mean

    def base_logits(self, labels: Array) -> Array:
        """Zero: the training mean."""
        return np.zeros(1, dtype="float32")
