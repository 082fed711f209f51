"""A positive, skewed number such as an amount spent: a log-normal distribution per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from keras import ops

from mtrec.tasks.base import Array, TaskType, float_labels

LIMIT = 0.9  # of |log| of sigma over the training deviation; below log sqrt(2 pi) = 0.92


@dataclass(frozen=True)
class LogNormal(TaskType):
    r""":math:`\log y` is normal with mean and deviation of its own in each row.

    With :math:`m, s` the training mean and deviation of :math:`\log y`,

    .. math:: \mu = m + s\,z_1, \qquad \sigma = s\,e^{0.9\tanh(z_2/0.9)}, \qquad
        \text{loss} = -\log \mathcal N\!\left(\tfrac{\log y - m}{s};
        \tfrac{\mu - m}{s}, \tfrac{\sigma}{s}\right), \qquad
        \hat y = e^{\mu + \sigma^2/2}

    The loss is the negative log-likelihood but for terms without parameters, so that it does not
    depend on the label's unit. The bound keeps it positive, and one odd row from a prediction of
    :math:`e^{100}`. The prediction is the mean, the best one for squared error, not the median.

    Source: Aitchison and Brown 1957, "The Lognormal Distribution", ch. 2; two outputs per row:
    Nix and Weigend 1994, https://doi.org/10.1109/ICNN.1994.374138, eq. 4.
    """

    metrics: ClassVar[str] = "regression"
    mean: float
    deviation: float

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Learn mean and standard deviation of the logarithm.

        Raises:
            ValueError: labels that are not positive and finite, or all labels equal.
        """
        values = np.log(_positive(labels))
        deviation = float(values.std())
        if deviation == 0.0:
            raise ValueError(
                f"label '{labels.name}' of a regression task is constant in the training split; "
                "there is nothing to learn. Check the split or drop the task."
            )
        return cls(float(values.mean()), deviation)

    @property
    def head(self) -> str:
        """A linear layer."""
        return "linear"

    @property
    def outputs(self) -> int:
        """Standardised mean and log deviation of the logarithm."""
        return 2

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Float labels ``(n,)`` in their own units and their mask.

        Raises:
            ValueError: labels that are not positive and finite.
        """
        _positive(labels.dropna())
        return float_labels(labels, float(np.exp(self.mean)))

    def parameters(self, logits):
        """Mean and deviation of the label's logarithm, ``(batch,)`` each."""
        z, spread = self._standard(logits)
        return self.mean + self.deviation * z, self.deviation * ops.exp(spread)

    def loss(self, labels, logits):
        """Negative log-likelihood per row, ``(batch,)``."""
        z, spread = self._standard(logits)
        target = (ops.log(ops.convert_to_tensor(labels)) - self.mean) / self.deviation
        error = (target - z) * ops.exp(-spread)
        return 0.5 * ops.square(error) + spread + 0.5 * float(np.log(2 * np.pi))

    def predict(self, logits):
        """Mean of the distribution in the label's units, ``(batch,)``."""
        mean, deviation = self.parameters(logits)
        return ops.exp(mean + 0.5 * ops.square(deviation))

    def base_logits(self, labels: Array) -> Array:
        """Zeros: the distribution of the training labels."""
        return np.zeros(2, dtype="float32")

    def _standard(self, logits):
        """Standardised mean, and log of the deviation over the training one, ``(batch,)`` each."""
        return logits[:, 0], LIMIT * ops.tanh(logits[:, 1] / LIMIT)


def _positive(labels: pd.Series) -> Array:
    """Labels as float64 ``(n,)``, checked."""
    values = labels.to_numpy(dtype="float64")
    bad = values[~(np.isfinite(values) & (values > 0))]
    if len(bad):
        raise ValueError(
            f"label '{labels.name}' of a regression task with loss lognormal holds {bad[0]:g}; "
            "expected positive numbers or missing. Leave zeros out with when: in params.yaml, or "
            "use loss: squared."
        )
    return values
