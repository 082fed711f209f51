"""What a model must beat: running means of users and items, and popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtrec.features import offsets
from mtrec.features.dataset import Dataset
from mtrec.features.events import milliseconds
from mtrec.peers.base import Array, PeerTask


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


def training_means(asked: PeerTask) -> Array:
    """Means and popularity of training rows alone, of all examples; zeros without a label.

    Of an entity that training rows lack nothing is known: a new item has the mean of all, and a
    popularity of zero.
    """
    kind, known = asked.kind, np.flatnonzero(asked.mask)
    labels, split = asked.labels[known], asked.tables.examples["split"].to_numpy()[known]
    if kind.candidates:
        scores = popularity(labels, split, kind.outputs)
        return np.broadcast_to(scores, (len(asked.mask), kind.outputs))
    user, item = (_ids(asked, side)[known] for side in ("user", "item"))
    time = milliseconds(asked.tables.examples["timestamp"])[known]
    rows = offsets.Rows(kind.outcomes(labels), user, item, time, split, in_time=False)
    return asked.placed(known, kind.from_means(offsets.fit(rows).predict(rows)))


def _ids(asked: PeerTask, side: str) -> Array:
    """Rows of a side, 0 where the task may not see it."""
    ids = asked.entities[side]
    return ids if asked.task.view in (side, "joint") else np.zeros_like(ids)


def popularity(labels: Array, split: Array, items: int) -> Array:
    """How often each item was the label of a training row, ``(items,)``."""
    return np.bincount(labels[split == "train"], minlength=items).astype("float64")
