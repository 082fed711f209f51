r"""Shift binary tasks so that validation rows come true as often as is said.

.. math:: z \leftarrow z + b, \qquad
    \frac1n \sum_i p(z_i + b) = \frac{1 + \sum_i y_i}{2 + n}

What a count or a mean says of a label changes with time: a model that learnt from early weeks is
too sure, or not sure enough, in later ones. Where the split is in time, the validation rows are the
latest that training may see. One number per task is learnt from them, the head's bias, so that no
order of predictions changes: AUC stays what it was.

Source: Steyerberg et al. 2004, "Validation and updating of predictive logistic regression models",
https://doi.org/10.1002/sim.1844: the intercept alone is updated. With the logistic loss :math:`b`
is that of the greatest likelihood but for the pseudo-counts, which keep it finite.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import brentq

from mtrec.features.dataset import Dataset
from mtrec.models.model import MultiTaskModel
from mtrec.models.predict import predict
from mtrec.registry import Form
from mtrec.tasks.base import TaskType, smoothed_rate

BEYOND = 20.0  # logits further than this from 0 stand for a rate that no number of rows has


def recalibrate(
    model: MultiTaskModel, tasks: Mapping[str, TaskType], validation: Dataset
) -> dict[str, float]:
    """Shift the heads of a trained model's binary tasks, in place.

    Args:
        model: model from index batches to logits by task.
        tasks: task types by name; others than binary ones are left alone.
        validation: validation rows.

    Returns:
        What was added to the logit, by binary task with validation labels.
    """
    shifts = {}
    for name, kind in tasks.items():
        rows = np.flatnonzero(validation.masks[name])
        if kind.form is not Form.BIT or not len(rows):
            continue
        logits = predict(model, validation.take(rows).inputs)[name].astype("float64")
        shifts[name] = shift(kind, validation.labels[name][rows], logits)
        bias = model.heads[name].bias
        bias.assign(bias + shifts[name])
    return shifts


def shift(kind: TaskType, labels: np.ndarray, logits: np.ndarray) -> float:
    """What to add to the logits so that their mean probability is the labels' smoothed rate.

    Args:
        kind: task type, which maps logits to probabilities.
        labels: 0 or 1, ``(n,)``.
        logits: ``(n, 1)``.
    """
    rate, end = float(smoothed_rate(labels)), BEYOND + float(np.abs(logits).max())
    return float(brentq(lambda bias: np.mean(kind.predict(logits + bias)) - rate, -end, end))
