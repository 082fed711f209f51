"""A domain's examples as category codes and numbers, for peers that embed the former."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mtrec.data.encoder import usable_events
from mtrec.evaluation.peers.base import PeerTask
from mtrec.evaluation.peers.boosting import CATEGORIES, features
from mtrec.models.visibility import visible

Array = np.ndarray
EXTREME = 5.0  # standard deviations at which numbers are cut


def codes_and_numbers(task: PeerTask) -> tuple[Array, list[int], Array]:
    """What :func:`mtrec.evaluation.peers.boosting.features` finds, without label statistics.

    Args:
        task: whose visible features are read.

    Returns:
        Codes ``(n, fields)`` int64, 0 where unknown; the number of codes of each field; and
        standardised numbers ``(n, columns)`` float32, each followed by whether it was missing.
    """
    seen, encoder = visible(task.name, task.task, task.encoder), task.encoder
    examples = task.tables.examples
    last = encoder.inputs(examples, usable_events(task.tables, encoder))["history_items"][:, -1]
    sides = [
        ("user", encoder.user, seen.user, encoder.user.rows(examples["user_id"])),
        ("item", encoder.item, seen.item, encoder.item.rows(examples["item_id"])),
    ]
    if seen.history:
        sides.append(("last item", encoder.item, tuple(f.name for f in encoder.item.fields), last))
    frame, codes, sizes = features(task), [], []
    for prefix, side, names, rows in sides:
        for field in (side.field(name) for name in names):
            if field.kind != "categorical":
                continue
            codes.append(field.table[rows])
            sizes.append(field.size)
            name = f"{prefix} {field.name}"
            known = (
                [name] if field.size <= CATEGORIES else [f"{name} {k}" for k in range(field.size)]
            )
            frame = frame.drop(columns=[column for column in known if column in frame])
    training = task.rows("train")
    return np.stack(codes, axis=1).astype("int64"), sizes, _standardised(frame, training)


def _standardised(frame: pd.DataFrame, training: Array) -> Array:
    values = frame.to_numpy(dtype="float64")
    missing = np.isnan(values)
    mean, spread = np.nanmean(values[training], axis=0), np.nanstd(values[training], axis=0)
    scaled = np.clip((values - mean) / np.maximum(spread, 1e-9), -EXTREME, EXTREME)
    return np.hstack([np.where(missing, 0.0, scaled), missing]).astype("float32")


def targets(tasks: Mapping[str, PeerTask]) -> tuple[Array, Array, list[str]]:
    """Labels of several tasks side by side, a column per output.

    Returns:
        Labels and whether they are known, ``(n, outputs)`` float32 and bool, and of each column
        whether it is a ``classification`` or a ``regression``.
    """
    labels, masks, kinds = [], [], []
    for task in tasks.values():
        width, kind = task.kind.outputs, task.kind.metrics
        own = np.eye(width)[task.labels] if kind == "multiclass" else task.labels
        own = own.reshape(len(task.mask), width).astype("float32")
        labels.append(np.where(task.mask[:, None], own, 0.0))
        masks.append(np.repeat(task.mask[:, None], width, axis=1))
        kinds += ["regression" if kind == "regression" else "classification"] * width
    return np.hstack(labels), np.hstack(masks), kinds
