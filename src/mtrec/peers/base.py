"""What a peer gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrec.features.encoder import Encoder
from mtrec.tasks.base import TaskType

Array = np.ndarray


@dataclass(frozen=True)
class PeerTask:
    """One task with everything the models had: tables, features, labels and split.

    Attributes:
        name: of the task.
        task: its settings (:class:`mtrec.settings.Task`).
        kind: fitted task type.
        tables: the four tables.
        encoder: features, fitted on the training split.
        labels: encoded labels of all examples, ``(n, ...)``.
        mask: True where the label is known, ``(n,)``.
        seed: for peers that draw.
        running_mean: of the label before each row, ``(n,)`` or ``(n, outputs)``, where the models'
            heads start from it (``offset`` of the task); else None.
    """

    name: str
    task: Any
    kind: TaskType
    tables: Any
    encoder: Encoder
    labels: Array
    mask: Array
    seed: int
    running_mean: Array | None = None

    def rows(self, split: str) -> Array:
        """Positions of the labelled examples of a split."""
        return np.flatnonzero((self.tables.examples["split"] == split).to_numpy() & self.mask)
