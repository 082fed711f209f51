"""Directions of task gradients apart from their lengths."""

from __future__ import annotations

import tensorflow as tf

SHORTEST = 1e-15  # a gradient whose square float32 no longer resolves counts as zero
RIDGE = 1e-6  # times the number of tasks: above the rounding of a float32 Gram matrix


def cosines_of(gram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split a Gram matrix into cosines ``(tasks, tasks)`` and lengths ``(tasks,)``, float64.

    A zero gradient has length 0 and cosines of 0, with itself, too.

    Args:
        gram: ``(tasks, tasks)``.
    """
    gram = tf.cast(gram, tf.float64)
    norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))
    norms = tf.where(norms > SHORTEST, norms, 0.0)
    cosines = tf.math.divide_no_nan(gram, norms[:, None] * norms[None, :])
    return tf.clip_by_value(cosines, -1.0, 1.0), norms


def unit_gram(gram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split a Gram matrix into one that can be inverted and lengths.

    Args:
        gram: ``(tasks, tasks)``.

    Returns:
        Gram matrix of the unit gradients ``(tasks, tasks)`` and lengths ``(tasks,)``, float64. A
        zero gradient has length 0 and is orthogonal to all others. A small ridge on the diagonal
        keeps the matrix invertible where gradients are parallel or opposite.
    """
    cosines, norms = cosines_of(gram)
    diagonal = tf.ones_like(norms) * (1 + RIDGE * gram.shape[0])
    return tf.linalg.set_diag(cosines, diagonal), norms
