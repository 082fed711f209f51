"""Yes or no: one logit, a sigmoid, and the logistic or focal loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import Array, TaskType, float_labels, inside, smoothed_rate, soft_bits
from mtrec.tasks.focal import FOCAL
from mtrec.tasks.logistic import BitLoss, Logistic

LOSSES: dict[str, BitLoss] = {"logistic": Logistic(), "focal": FOCAL}


@dataclass(frozen=True)
class Binary(TaskType):
    """Binary label; loss :class:`mtrec.tasks.logistic.Logistic` or focal."""

    metrics: ClassVar[str] = "binary"
    loss_name: str = "logistic"

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Check that labels are 0 and 1.

        Raises:
            ValueError: another value occurs, or only one of them.
        """
        TASK_TYPES.choose_head("binary", head)
        found = set(labels.astype(float))
        odd = sorted(found - {0.0, 1.0})
        if odd:
            raise ValueError(
                f"label '{labels.name}' of a binary task holds {odd[0]:g}; expected 0, 1 or "
                "missing. Mend the domain's examples or choose another type: in params.yaml."
            )
        if len(found) == 1:
            raise ValueError(
                f"label '{labels.name}' of a binary task is always {found.pop():g} in the training "
                "split: a task with one class. Check the split or drop the task."
            )
        return cls(TASK_TYPES.choose_loss("binary", loss))

    @property
    def class_names(self) -> tuple[str, ...]:
        """No, then yes."""
        return ("no", "yes")

    @property
    def head(self) -> str:
        """A dense layer."""
        return "dense"

    @property
    def outputs(self) -> int:
        """One logit."""
        return 1

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Float labels ``(n,)`` and their mask."""
        return float_labels(labels, 0.0)

    def loss(self, labels, logits):
        """Loss per row, ``(batch,)``."""
        return LOSSES[self.loss_name].loss(labels, logits[:, 0])

    def soft_loss(self, taught, logits):
        """Logistic loss of the teacher's sigmoid, ``(batch,)``."""
        return soft_bits(taught, logits)[:, 0]

    def soft_type(self) -> TaskType:
        """With the logistic loss."""
        return replace(self, loss_name="logistic")

    def predict(self, logits):
        """Probability of 1, ``(batch,)``."""
        return LOSSES[self.loss_name].probability(logits[:, 0])

    def logits(self, means: Array) -> Array:
        """Logit of each probability."""
        return LOSSES[self.loss_name].logit(inside(means))

    def base_logits(self, labels: Array) -> Array:
        """Logit of the training rate, with one pseudo-count on either side."""
        return LOSSES[self.loss_name].logit(np.atleast_1d(smoothed_rate(labels)))
