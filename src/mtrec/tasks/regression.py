"""A number: a linear or ReLU head, and squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from keras import ops

from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import Array, TaskType, float_labels
from mtrec.tasks.lognormal import LogNormal


@dataclass(frozen=True)
class Regression(TaskType):
    r"""A number :math:`y` with training mean :math:`\mu` and deviation :math:`\sigma`.

    .. math:: \hat y = \sigma z + \mu \;\text{(linear)}, \qquad
        \hat y = \sigma \max(z, 0) \;\text{(relu)}, \qquad
        \text{loss} = \left(\frac{y - \hat y}{\sigma}\right)^2

    The ReLU head never predicts below 0. A row with :math:`z<0` has no gradient; so it starts at
    :math:`z = \mu/\sigma > 0` for every row.
    """

    metrics: ClassVar[str] = "regression"
    mean: float
    deviation: float
    head: str = "linear"

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Learn mean and standard deviation; with loss ``lognormal`` it becomes that type.

        Raises:
            ValueError: infinite labels, all labels equal, or negative ones under a ReLU head.
        """
        head = TASK_TYPES.choose_head("regression", head)
        if TASK_TYPES.choose_loss("regression", loss, head) == "lognormal":
            return LogNormal.fit(labels, catalogue)
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
        if head == "relu" and values.min() < 0:
            raise ValueError(
                f"label '{labels.name}' of a regression task holds {values.min():g}, which a ReLU "
                "head cannot predict; expected 0 or more. Use head: linear in params.yaml."
            )
        return cls(float(values.mean()), deviation, head)

    @property
    def outputs(self) -> int:
        """One standardised value."""
        return 1

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Float labels ``(n,)`` in their own units and their mask."""
        return float_labels(labels, self.mean)

    def loss(self, labels, logits):
        """Squared error per row in units of the training variance, ``(batch,)``."""
        labels = ops.convert_to_tensor(labels)
        return ops.square((labels - self._origin) / self.deviation - self._units(logits))

    def predict(self, logits):
        """Value in the label's units, ``(batch,)``."""
        return self._units(logits) * self.deviation + self._origin

    def logits(self, means: Array) -> Array:
        """Standardised value."""
        return ((means - self._origin) / self.deviation).astype("float32")

    def base_logits(self, labels: Array) -> Array:
        """The training mean: zero for a linear head."""
        return np.array([(self.mean - self._origin) / self.deviation], dtype="float32")

    @property
    def _origin(self) -> float:
        """Label at a standardised value of zero."""
        return 0.0 if self.head == "relu" else self.mean

    def _units(self, logits):
        """Standardised value, ``(batch,)``."""
        return ops.relu(logits[:, 0]) if self.head == "relu" else logits[:, 0]
