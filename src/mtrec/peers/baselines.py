"""What a model must beat: running means of users and items, and popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtrec.features import offsets
from mtrec.features.dataset import Dataset

Array = np.ndarray


def baseline(
    name: str, types: Mapping[str, Any], data: Dataset, tables: Any, tasks: Mapping[str, Any]
) -> Array:
    """Baseline predictions of all examples, in the form of the type's; zeros without a label.

    Running means, see :mod:`mtrec.features.offsets`; popularity for a task that ranks.

    Args:
        name: of the task.
        types: fitted task types by name.
        data: all examples.
        tables: the four tables.
        tasks: task settings by name.
    """
    kind, known = types[name], data.masks[name]
    if kind.candidates:
        split = tables.examples["split"].to_numpy()[known]
        scores = popularity(data.labels[name][known], split, kind.outputs)
        return np.broadcast_to(scores, (len(known), kind.outputs))
    rows, _ = offsets.label_rows(name, kind, tasks[name].view, data, tables)
    found = kind.from_means(offsets.fit(rows).predict(rows))
    result = np.zeros((len(known), *found.shape[1:]))
    result[known] = found
    return result


def popularity(labels: Array, split: Array, items: int) -> Array:
    """How often each item was the label of a training row, ``(items,)``."""
    return np.bincount(labels[split == "train"], minlength=items).astype("float64")
