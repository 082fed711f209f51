"""Directions of task gradients apart from their lengths."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SHORTEST = 1e-15  # a gradient whose square float32 no longer resolves counts as zero
RIDGE = 1e-6  # times the number of tasks: above the rounding of a float32 Gram matrix


def unit_gram(gram: Any) -> tuple[Any, Any]:
    """Split a Gram matrix into cosines and lengths.

    Args:
        gram: ``(tasks, tasks)``.

    Returns:
        Gram matrix of the unit gradients ``(tasks, tasks)`` and lengths ``(tasks,)``, float64. A
        zero gradient has length 0 and is orthogonal to all others. A small ridge on the diagonal
        keeps the matrix invertible where gradients are parallel or opposite.
    """
    gram = tf.cast(gram, tf.float64)
    norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))
    norms = tf.where(norms > SHORTEST, norms, 0.0)
    cosines = tf.math.divide_no_nan(gram, norms[:, None] * norms[None, :])
    diagonal = tf.ones_like(norms) * (1 + RIDGE * gram.shape[0])
    return tf.linalg.set_diag(tf.clip_by_value(cosines, -1.0, 1.0), diagonal), norms
