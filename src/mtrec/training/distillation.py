r"""Teach the joint model by the single-task twins: they are trained first, and it learns both.

.. math:: \text{loss} = (1-\lambda)\,\text{loss}(y, z) + \lambda\,\text{loss}(z_\text{twin}, z)

What a twin says of a training row is a softer label than the row's own: it holds what the twin has
learnt of all the other rows. It is also what the twin learnt at *its* best epoch, so that the joint
model, which stops at one epoch for all tasks, need not overshoot one task to reach another.

Source: Clark et al. 2019, "BAM! Born-Again Multi-Task Networks for Natural Language
Understanding", https://arxiv.org/abs/1907.04829, eq. 2, with a constant share :math:`\lambda`
instead of one that falls ("teacher annealing").
"""

from __future__ import annotations

import keras
import numpy as np

from mtrec.features.dataset import Dataset
from mtrec.models.predict import predict

LARGEST = 2**28  # logits per task that are kept, at two bytes each


def teach(twin: keras.Model, name: str, training: Dataset) -> dict[str, np.ndarray]:
    """Logits of a trained twin on training rows, for ``taught`` of :class:`Dataset`.

    Args:
        twin: the model of task ``name`` alone.
        name: of the task.
        training: training rows.

    Returns:
        ``(n, outputs)`` float16 by ``name``, zeros where the label is unknown; nothing if that
        would be more than half a gigabyte (while it is made, five times as much), as for a large
        catalogue: such a task is not taught.
    """
    (outputs,) = twin.output[name].shape[1:]
    if len(training) * outputs > LARGEST:
        return {}
    rows = np.flatnonzero(training.masks[name])
    logits = np.zeros((len(training), outputs), dtype="float16")
    logits[rows] = predict(twin, training.take(rows).inputs)[name]
    return {name: logits}
