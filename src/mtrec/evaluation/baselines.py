"""What a model must beat: running means of users and items, and popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

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


def smoothed_means(rows: Rows) -> Array:
    r"""Bias predictor: :math:`\mu + b_{item} + b_{user}`, shrunken running means of the label.

    .. math:: b = \frac{\sum (y - \mu)}{n + k}

    over the item's earlier rows, then over the user's with the item's part taken out; ``k`` is
    chosen on the validation rows. "Earlier" is strict; without a split in time only training
    rows count.

    Returns:
        ``(n, outputs)`` predictions of all rows, within the range of the training labels.

    Source: Koren 2010, "Factor in the Neighbors", §2.1, https://doi.org/10.1145/1644873.1644874.
    """
    training, validation = rows.split == "train", rows.split == "validation"
    labels = rows.labels.astype("float64")
    mean = labels[training].mean(axis=0)
    low, high = labels[training].min(axis=0), labels[training].max(axis=0)
    best, error = np.broadcast_to(mean, labels.shape), np.inf
    for item_k in SHRINKAGE if rows.item.any() else SHRINKAGE[:1]:
        item = _deviation(labels - mean, rows.item, rows, item_k)
        for user_k in SHRINKAGE if rows.user.any() else SHRINKAGE[:1]:
            user = _deviation(labels - mean - item, rows.user, rows, user_k)
            found = np.clip(mean + item + user, low, high)
            loss = float(((found - labels)[validation] ** 2).mean()) if validation.any() else 0.0
            if loss < error:
                best, error = found, loss
    return best


def popularity(labels: Array, split: Array, items: int) -> Array:
    """How often each item was the label of a training row, ``(items,)``."""
    return np.bincount(labels[split == "train"], minlength=items).astype("float64")


def _deviation(residual: Array, ids: Array, rows: Rows, shrinkage: float) -> Array:
    """Shrunken mean residual of each row's id over the rows known to it; 0 for id 0."""
    if not ids.any():
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
