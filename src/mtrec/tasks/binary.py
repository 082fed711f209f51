"""Yes or no: one logit, a sigmoid, and the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from keras import ops

from mtrec.tasks.base import Array, TaskType


@dataclass(frozen=True)
class Binary(TaskType):
    r"""Binary label; loss :math:`-y\log\sigma(z) - (1-y)\log(1-\sigma(z))`."""

    @classmethod
    def fit(cls, labels: pd.Series, catalogue: tuple[str, ...]) -> Self:
        """Check that labels are 0 and 1.

        Raises:
            ValueError: another value occurs.
        """
        odd = sorted(set(labels.astype(float)) - {0.0, 1.0})
        if odd:
            raise ValueError(
                f"label '{labels.name}' of a binary task holds {odd[0]:g}; expected 0, 1 or "
                "missing. Mend the domain's examples or choose another type: in params.yaml."
            )
        return cls()

    @property
    def outputs(self) -> int:
        """One logit."""
        return 1

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Float labels ``(n,)`` and their mask."""
        values = labels.to_numpy(dtype="float32", na_value=np.nan)
        known = ~np.isnan(values)
        return np.where(known, values, 0.0).astype("float32"), known

    def loss(self, labels, logits):
        """Logistic loss per row, ``(batch,)``."""
        return ops.binary_crossentropy(labels, logits[:, 0], from_logits=True)

    def predict(self, logits):
        """Probability of 1, ``(batch,)``."""
        return ops.sigmoid(logits[:, 0])

    def base_logits(self, labels: Array) -> Array:
        """Log-odds of the training rate, with one pseudo-count on either side."""
        ones = float(labels.sum())
        return np.array([np.log((ones + 1) / (len(labels) - ones + 1))], dtype="float32")
