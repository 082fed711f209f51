"""Examples as index arrays: what a training step slices by row number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtrec.features.encoder import Encoder, usable_events
from mtrec.registry import TASK_TYPES
from mtrec.tables.labels import relevant

if TYPE_CHECKING:
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables
    from mtrec.tasks.base import TaskType

Array = np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Rows of examples as arrays that share their first axis.

    Attributes:
        inputs: the model's inputs, see :meth:`mtrec.features.encoder.Encoder.inputs`.
        labels: encoded labels per task, ``(n, ...)``.
        masks: per task ``(n,)``, True where the label is known.
        taught: logits ``(n, outputs)`` of a teacher per task that has one, to learn beside labels.
    """

    inputs: dict[str, Array]
    labels: dict[str, Array]
    masks: dict[str, Array]
    taught: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs["user"])

    def take(self, rows: Array) -> Dataset:
        """The given rows (numbers or a boolean mask)."""
        return Dataset(
            {name: values[rows] for name, values in self.inputs.items()},
            {name: values[rows] for name, values in self.labels.items()},
            {name: values[rows] for name, values in self.masks.items()},
            {name: values[rows] for name, values in self.taught.items()},
        )

    def only(self, *tasks: str) -> Dataset:
        """The labels of some tasks, and the rows that carry any of them."""
        some = Dataset(
            self.inputs,
            {task: self.labels[task] for task in tasks},
            {task: self.masks[task] for task in tasks},
            {task: self.taught[task] for task in tasks if task in self.taught},
        )
        return some.take(np.any(list(some.masks.values()), axis=0))


Catalogues = Mapping[str, tuple[str, ...]]


def fit_types(
    examples: pd.DataFrame, tasks: Mapping[str, Task], catalogues: Catalogues
) -> dict[str, TaskType]:
    """Fit each task's type on its known training labels.

    Args:
        examples: the examples table.
        tasks: tasks by name.
        catalogues: ids of all ``items`` and all ``users``, in the order of their tables.

    Raises:
        KeyError: a label column is missing.
        ValueError: a task has no label in the training or the validation split, or its type
            refuses the labels.
    """
    training, held = (examples[examples["split"] == part] for part in ("train", "validation"))
    types = {}
    for name, task in tasks.items():
        if task.label not in examples:
            raise KeyError(
                f"task '{name}': the examples have no column '{task.label}' "
                f"(found: {', '.join(examples.columns)}). Mend label: in params.yaml."
            )
        labels = relevant(training, tasks, name).dropna()
        for part, known in (("training", labels), ("validation", relevant(held, tasks, name))):
            if known.notna().sum() == 0:
                raise ValueError(
                    f"task '{name}': column '{task.label}' is empty in the {part} split. "
                    "Check the split, or drop the task in params.yaml."
                )
        types[name] = fit_type(labels, task, catalogues)
    return types


def fit_type(labels: pd.Series, task: Task, catalogues: Catalogues) -> TaskType:
    """Fit the type of one task on known training labels; see :func:`fit_types`."""
    catalogue = catalogues.get(task.candidates, ())
    kind = TASK_TYPES[task.type].fit(labels, catalogue, task.head, task.loss)
    return kind.among(task.candidates)


def make_dataset(
    tables: Tables, encoder: Encoder, tasks: Mapping[str, Task], types: Mapping[str, TaskType]
) -> Dataset:
    """Encode all examples of ``tables``; a task with ``when:`` counts only where that task is 1."""
    inputs = encoder.inputs(tables.examples, usable_events(tables, encoder))
    return Dataset(inputs, *encode_labels(tables.examples, tasks, types))


def encode_labels(
    examples: pd.DataFrame, tasks: Mapping[str, Task], types: Mapping[str, TaskType]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Labels and masks by task, as :class:`Dataset` has them."""
    encoded = {name: kind.encode(relevant(examples, tasks, name)) for name, kind in types.items()}
    labels = {name: values for name, (values, _) in encoded.items()}
    return labels, {name: mask for name, (_, mask) in encoded.items()}
