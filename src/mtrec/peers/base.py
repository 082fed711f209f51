"""What a peer gets to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtrec.features.encoder import Encoder
from mtrec.features.fields import Side
from mtrec.features.visibility import Visible, visible
from mtrec.metrics.ranks import ranks
from mtrec.registry import METRICS, TASK_TYPES, Form
from mtrec.tasks.base import TaskType

Array = np.ndarray


class NoAnswer(ValueError):
    """A peer does not learn such a task; the message says which ones it learns."""


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
        cold: ``item`` or ``user`` where the entities of that side are held out; else None.
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
    cold: str | None = None

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
            NoAnswer: it does not.
        """
        if self.kind.form in forms and also:
            return
        known = [name for name in TASK_TYPES.settable() if TASK_TYPES.forms[name] in forms]
        names = " and ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
        raise NoAnswer(
            f"task '{self.name}': peer {peer} predicts {names} tasks{what and ' ' + what} "
            f"(found: {TASK_TYPES.name_of(type(self.kind))}). Take it out of peers: in params.yaml."
        )

    def rows(self, split: str) -> Array:
        """Positions of the labelled examples of a split."""
        return np.flatnonzero((self.tables.examples["split"] == split).to_numpy() & self.mask)

    def placed(self, rows: Array, found: Array) -> Array:
        """Predictions of some rows among all examples; zero where a peer was not asked."""
        result = np.zeros((len(self.labels), *found.shape[1:]), dtype=found.dtype)
        result[rows] = found
        return result

    @cached_property
    def seen(self) -> Visible:
        """The features that the models' head sees."""
        return visible(self.name, self.task, self.encoder)

    @cached_property
    def entities(self) -> dict[str, Array]:
        """Rows of ``user`` and ``item`` in the encoder, of all examples, ``(n,)`` each."""
        return self.encoder.entities(self.tables.examples)

    @property
    def candidates(self) -> Side:
        """Users or items, whichever a ranking task has compete."""
        return self.encoder.user if self.kind.candidates == "users" else self.encoder.item

    def out(self, split: str) -> Array:
        """Candidates that do not compete whatever the user, ``(rows of the split, n)`` bool."""
        return self.kind.absent(self.labels[self.rows(split)])

    def without_ids(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of features but for the ids of the cold side, which held-out rows lack."""
        return tuple(name for name in names if name != f"{self.cold}_id")

    def judge(self, found: Array) -> float:
        """The main metric of predictions of the validation rows, negative if lower is better."""
        family, labels = METRICS[self.kind.metrics], self.labels[self.rows("validation")]
        if self.kind.candidates:
            found = ranks(found, labels, self.out("validation"))
        value = family.values(labels, found)[family.main]
        return value if family.higher_is_better[family.main] else -value
