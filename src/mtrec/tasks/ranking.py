"""The next item out of the whole catalogue: a full softmax, never sampled negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pandas as pd
from keras import ops

from mtrec.tasks.base import Array, TaskType, class_index, log_frequencies


@dataclass(frozen=True)
class Ranking(TaskType):
    r"""The relevant item of a catalogue; loss :math:`-\log\mathrm{softmax}(z)_{item}`.

    Every item of the catalogue competes, also those that training never showed.
    """

    catalogue: tuple[str, ...]

    @classmethod
    def fit(cls, labels: pd.Series, catalogue: tuple[str, ...]) -> Self:
        """Keep the catalogue.

        Raises:
            ValueError: a label is not in the catalogue.
        """
        unknown = labels[~labels.isin(catalogue)]
        if len(unknown):
            raise ValueError(
                f"label '{labels.name}' of a ranking task names item '{unknown.iloc[0]}', which "
                "the items table lacks. Add the item or drop the example."
            )
        return cls(tuple(catalogue))

    @property
    def outputs(self) -> int:
        """One logit per item."""
        return len(self.catalogue)

    def encode(self, labels: pd.Series) -> tuple[Array, Array]:
        """Position in the catalogue ``(n,)`` and its mask."""
        return class_index(labels, self.catalogue)

    def loss(self, labels, logits):
        """Cross-entropy over the catalogue per row, ``(batch,)``."""
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    def predict(self, logits):
        """Scores ``(batch, items)``; their order is the recommendation."""
        return logits

    def base_logits(self, labels: Array) -> Array:
        """Log popularity."""
        return log_frequencies(labels, self.outputs)
