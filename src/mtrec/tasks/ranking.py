"""The one item, or the one other user, out of all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from keras import ops

from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import Array, TaskType, class_index, log_frequencies, soft_classes
from mtrec.tasks.pairwise import pairwise_loss
from mtrec.tasks.sampled_softmax import sampled_softmax_loss


@dataclass(frozen=True)
class Ranking(TaskType):
    r"""The relevant item of a catalogue; loss :math:`-\log\mathrm{softmax}(z)_{item}`.

    Every item of the catalogue competes, also those that training never showed. The catalogue may
    also be all users (``candidates``), which the head then knows by the encoder of users.

    Other losses: :func:`mtrec.tasks.sampled_softmax.sampled_softmax_loss`, which is validated and
    scaled by the full softmax that it estimates, and :func:`mtrec.tasks.pairwise.pairwise_loss`.
    Log popularity is the best constant prediction under all three.
    """

    metrics: ClassVar[str] = "ranking"
    catalogue: tuple[str, ...]
    loss_name: str = "softmax"
    log_popularity: tuple[float, ...] = ()  # sampled_softmax only
    candidates: str = "items"
    head_name: str = "catalogue"

    @classmethod
    def fit(
        cls,
        labels: pd.Series,
        catalogue: tuple[str, ...],
        head: str | None = None,
        loss: str | None = None,
    ) -> TaskType:
        """Keep the catalogue, and its popularity if the loss needs it.

        Raises:
            ValueError: a label is not in the catalogue.
        """
        head = TASK_TYPES.choose_head("ranking", head)
        loss = TASK_TYPES.choose_loss("ranking", loss)
        unknown = labels[~labels.isin(catalogue)]
        if len(unknown):
            raise ValueError(
                f"label '{labels.name}' of a ranking task names '{unknown.iloc[0]}', which the "
                f"table of its candidates lacks. Add it there, drop the example, or mend "
                "candidates: in params.yaml."
            )
        if loss != "sampled_softmax":
            return cls(tuple(catalogue), loss, head_name=head)
        item, _ = class_index(labels, catalogue)
        log_popularity = log_frequencies(item, len(catalogue))
        popularity = tuple(float(value) for value in log_popularity)
        return cls(tuple(catalogue), loss, popularity, head_name=head)

    def among(self, candidates: str) -> TaskType:
        """The same type where ``items`` or ``users`` compete."""
        return replace(self, candidates=candidates)

    @property
    def head(self) -> str:
        """A score per item, from states alone or also from the links among users."""
        return self.head_name

    @property
    def outputs(self) -> int:
        """One logit per item."""
        return len(self.catalogue)

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Position in the catalogue ``(n,)`` and its mask.

        Unknown items are -1 for the sampled softmax, which must not draw them, and 0 otherwise.
        """
        item, known = class_index(labels, self.catalogue)
        if self.loss_name == "sampled_softmax":
            item = np.where(known, item, -1).astype("int32")
        return item, known

    def loss(self, labels, logits):
        """Loss per row, ``(batch,)``."""
        if self.loss_name == "sampled_softmax":
            return sampled_softmax_loss(labels, logits, self.log_popularity)
        return self.validation_loss(labels, logits)

    def validation_loss(self, labels, logits):
        """Loss over the whole catalogue per row, ``(batch,)``."""
        if self.loss_name == "pairwise":
            return pairwise_loss(labels, logits)
        item = ops.maximum(labels, 0)  # an unknown item is masked later, and must not be NaN
        own = ops.sum(ops.one_hot(item, self.outputs, dtype=logits.dtype) * logits, axis=1)
        return ops.logsumexp(logits, axis=1) - own

    def soft_loss(self, taught, logits):
        """Cross-entropy of the teacher's softmax over the whole catalogue, ``(batch,)``."""
        return soft_classes(taught, logits)

    def soft_type(self) -> TaskType:
        """With the softmax over the whole catalogue."""
        return replace(self, loss_name="softmax")

    def predict(self, logits):
        """Scores ``(batch, items)``; their order is the recommendation."""
        return logits

    def base_logits(self, labels: Array) -> Array:
        """Log popularity."""
        return log_frequencies(labels, self.outputs)
