r"""Running means of a label: a baseline, and what a head may start from.

.. math:: \mu + b_{item} + b_{user}, \qquad b = \frac{\sum (y - \mu)}{n + k}

over the item's earlier rows, then over the user's with the item's part taken out. "Earlier" is
strict; without a split in time only training rows count, and not the row itself.

Source: Koren 2010, "Factor in the Neighbors", §2.1, https://doi.org/10.1145/1644873.1644874. A term
that a model adds with a coefficient of one is the *offset* of generalised linear models, McCullagh
and Nelder 1989, "Generalized Linear Models", §6.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtrec.features.events import milliseconds, training_events

if TYPE_CHECKING:
    from mtrec.features.dataset import Dataset
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables
    from mtrec.tasks.base import TaskType

Array = np.ndarray
SHRINKAGE = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Rows:
    """Rows of one task, all splits.

    Attributes:
        labels: ``(n, outputs)`` float; one-hot for classes, 0/1 for sets.
        user: user of each row, 0 where the head may not see it, ``(n,)``.
        item: item of each row, 0 where the head may not see it, ``(n,)``.
        time: milliseconds, ``(n,)``.
        split: ``train``, ``validation`` or ``test``, ``(n,)``.
        in_time: whether the split respects time, so that earlier held-out rows are known.
    """

    labels: Array
    user: Array
    item: Array
    time: Array
    split: Array
    in_time: bool


@dataclass(frozen=True)
class RunningMean:
    """What the running means of a task learnt from its training and validation rows.

    Attributes:
        mean: of the training labels, by output.
        low: their least value, by output.
        high: their greatest, by output.
        item_k: pseudo-rows of an item, chosen on validation; None where no item is seen.
        user_k: pseudo-rows of a user.
    """

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    item_k: float | None
    user_k: float | None

    def predict(self, rows: Rows) -> Array:
        """Predictions ``(n, outputs)`` within the range of the training labels."""
        return self.total(*self._parts(rows))

    def total(self, item: Array, user: Array) -> Array:
        """Predictions ``(n, outputs)`` from what items and users add, ``(n, outputs)`` each."""
        return np.clip(np.array(self.mean) + item + user, self.low, self.high)

    def latest(self, rows: Rows, users: int, items: int) -> tuple[Array, Array]:
        """What each user and each item adds after all known rows.

        Args:
            rows: all rows.
            users: greatest number of a user.
            items: greatest number of an item.

        Returns:
            ``(users + 1, outputs)`` and ``(items + 1, outputs)``; zeros in row 0, the unknown one.
        """
        residual = rows.labels - np.array(self.mean)
        counts = np.ones(len(residual), bool) if rows.in_time else rows.split == "train"
        item, _ = self._parts(rows)
        found = []
        for ids, size, k, values in (
            (rows.user, users, self.user_k, residual - item),
            (rows.item, items, self.item_k, residual),
        ):
            total = np.zeros((size + 1, len(self.mean)))
            if k is not None:
                np.add.at(total, ids[counts], values[counts])
                total /= np.bincount(ids[counts], minlength=size + 1)[:, None] + k
                total[0] = 0.0
            found.append(total)
        return found[0], found[1]

    def _parts(self, rows: Rows) -> tuple[Array, Array]:
        residual = rows.labels - np.array(self.mean)
        item = deviation(residual, rows.item, rows, self.item_k)
        return item, deviation(residual - item, rows.user, rows, self.user_k)


def fit(rows: Rows) -> RunningMean:
    """Learn the mean from the training rows; the pseudo-rows have the least error on validation."""
    training, held = rows.split == "train", rows.split == "validation"
    labels = rows.labels.astype("float64")[training]
    mean, low, high = (
        tuple(float(v) for v in part) for part in (labels.mean(0), labels.min(0), labels.max(0))
    )
    trials = [
        RunningMean(mean, low, high, item_k, user_k)
        for item_k in (SHRINKAGE if rows.item.any() else (None,))
        for user_k in (SHRINKAGE if rows.user.any() else (None,))
    ]
    if not held.any():
        return trials[0]
    return min(trials, key=lambda one: float(((one.predict(rows) - rows.labels)[held] ** 2).mean()))


def deviation(residual: Array, ids: Array, rows: Rows, shrinkage: float | None) -> Array:
    """Shrunken mean residual of each row's id over the rows known to it; 0 for id 0.

    Args:
        residual: ``(n, outputs)``.
        ids: of users or items, ``(n,)``.
        rows: the rows.
        shrinkage: pseudo-rows of a mean of zero; None for zeros.
    """
    if shrinkage is None or not ids.any():
        return np.zeros_like(residual)
    if rows.in_time:
        total, count = _earlier(residual, ids, rows.time)
    else:
        known = (rows.split == "train")[:, None]
        frame = pd.DataFrame(np.hstack([residual * known, known]))
        summed = frame.groupby(ids).transform("sum").to_numpy() - frame.to_numpy()
        total, count = summed[:, :-1], summed[:, -1:]
    return np.where(ids[:, None] > 0, total / (count + shrinkage), 0.0)


def _earlier(values: Array, ids: Array, time: Array) -> tuple[Array, Array]:
    """Sum and count of an id's values strictly before each row's time."""
    order = np.lexsort((time, ids))
    sorted_ids, sorted_time = ids[order], time[order]
    total = np.vstack([np.zeros(values.shape[1]), np.cumsum(values[order], axis=0)])
    new_id = np.r_[True, sorted_ids[1:] != sorted_ids[:-1]]
    new_time = new_id | np.r_[True, sorted_time[1:] != sorted_time[:-1]]
    position = np.arange(len(ids))
    start = np.maximum.accumulate(np.where(new_id, position, 0))
    stop = np.maximum.accumulate(np.where(new_time, position, 0))
    back = np.empty_like(order)
    back[order] = position
    return (total[stop] - total[start])[back], (stop - start)[back][:, None].astype("float64")


def label_rows(
    name: str, kind: TaskType, view: str, data: Dataset, tables: Tables
) -> tuple[Rows, Array]:
    """The rows of a task whose label is known, and their positions among the examples.

    Args:
        name: of the task.
        kind: its fitted type.
        view: of its head.
        data: all examples.
        tables: the four tables.
    """
    known = np.flatnonzero(data.masks[name])
    labels = kind.outcomes(data.labels[name][known])
    zeros = np.zeros(len(known), dtype="int32")
    rows = Rows(
        labels,
        zeros if view == "item" else data.inputs["user"][known],
        zeros if view == "user" else data.inputs["item"][known],
        milliseconds(tables.examples["timestamp"])[known],
        tables.examples["split"].to_numpy()[known],
        held_out_is_known(tables),
    )
    return rows, known


def held_out_is_known(tables: Tables) -> bool:
    """Whether earlier held-out rows are known at the moment of prediction, as to histories."""
    _, in_time = training_events(tables.events, tables.examples)
    held = tables.examples[tables.examples["split"] != "train"]
    later = tables.events[tables.events["timestamp"] >= held["timestamp"].min()]
    return in_time and bool(later["user_id"].isin(held["user_id"].unique()).any())


def add_inputs(
    data: Dataset, offsets: Mapping[str, RunningMean], types: Mapping[str, TaskType],
    tasks: Mapping[str, Task], tables: Tables,
) -> dict[str, Array]:  # fmt: skip
    """The model's inputs with each offset's logits ``<task>_offset``, 0 where no label is known."""
    inputs = dict(data.inputs)
    for name, means in offsets.items():
        rows, known = label_rows(name, types[name], tasks[name].view, data, tables)
        logits = np.zeros((len(data), types[name].outputs), dtype="float32")
        logits[known] = types[name].logits(means.predict(rows))
        inputs[input_name(name)] = logits
    return inputs


def input_name(task: str) -> str:
    """Name of the model's input that holds a task's offset."""
    return f"{task}_offset"
