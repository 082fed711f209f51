"""What a peer gets to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrec.features.encoder import Encoder
from mtrec.registry import TASK_TYPES, Form
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

    def require(
        self, peer: str, forms: Collection[Form], also: bool = True, what: str = ""
    ) -> None:
        """Check that a peer predicts such a task.

        Args:
            peer: its name.
            forms: what labels it learns.
            also: whether the task is what the peer needs besides.
            what: that in words, "that see user and item".

        Raises:
            ValueError: it does not.
        """
        if self.kind.form in forms and also:
            return
        known = [name for name in TASK_TYPES.settable() if TASK_TYPES.forms[name] in forms]
        names = " and ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
        raise ValueError(
            f"task '{self.name}': peer {peer} predicts {names} tasks{what and ' ' + what} "
            f"(found: {TASK_TYPES.name_of(type(self.kind))}). Take it out of peers: in params.yaml."
        )

    def rows(self, split: str) -> Array:
        """Positions of the labelled examples of a split."""
        return np.flatnonzero((self.tables.examples["split"] == split).to_numpy() & self.mask)
