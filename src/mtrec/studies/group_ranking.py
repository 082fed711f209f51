"""Ranking when some candidates are held out: each competes with the candidates of its own split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from mtrec.tasks.ranking import Ranking

Array = np.ndarray
ABSENT = -1e9


@dataclass(frozen=True)
class GroupRanking(Ranking):
    r"""Softmax over the candidates in the group of the relevant one.

    .. math:: -\log \frac{\exp z_i}{\sum_{j:\, g_j = g_i} \exp z_j}

    Held-out candidates so have no gradient in training, not even as wrong answers, or a model
    would learn to rank everything new last.
    """

    groups: tuple[int, ...] = ()

    @classmethod
    def of(cls, kind: Ranking, groups: Array) -> GroupRanking:
        """The same task with groups ``(candidates,)``."""
        numbers = tuple(int(group) for group in groups)
        return cls(kind.catalogue, candidates=kind.candidates, groups=numbers)

    def validation_loss(self, labels, logits):
        """Loss over the label's group per row, ``(batch,)``; also that of training."""
        groups = ops.convert_to_tensor(self.groups, "int32")
        own = ops.take(groups, ops.maximum(labels, 0), axis=0)
        return super().validation_loss(
            labels, ops.where(own[:, None] == groups[None], logits, ABSENT)
        )

    def absent(self, labels: Array) -> Array:
        """Candidates of other groups than the label's, ``(n, candidates)`` bool."""
        groups = np.asarray(self.groups)
        return groups[labels][:, None] != groups[None]
