"""How strong the penalty on weights is beside losses that a balancer scales."""

from __future__ import annotations

import tensorflow as tf

MOST = 10.0  # times the growth of the gradients that the penalty stands beside


def penalty_scale(weights: tf.Tensor, gram: tf.Tensor) -> tf.Tensor:
    r"""Factor of the penalty of one step: the tasks' mean weight, within bounds.

    .. math:: \min\Bigl( \tfrac1T \sum_t |c_t|,\quad
              10\, \frac{\sum_t |c_t|\, \|g_t\|}{\sum_t \|g_t\|} \Bigr)

    A balancer may scale all losses alike, or turn one against its own gradient, so the penalty
    counts in units of the mean absolute weight. A method that makes gradients equal gives a task
    with a tiny gradient a huge weight, and the mean follows that task alone, although the
    gradients together have not grown. The second term is their growth: the lengths after
    weighing by those before. It is at most the mean's own size where lengths are alike, and a
    task without gradient has no part in it.

    Args:
        weights: of the tasks, ``(tasks,)``.
        gram: inner products of their gradients ``(tasks, tasks)``, or None for a method that does
            not read them, whose weights have bounds of their own.
    """
    sizes = tf.abs(weights)
    mean = tf.reduce_mean(sizes)
    if gram is None:
        return mean
    lengths = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))
    grown = tf.math.divide_no_nan(tf.reduce_sum(sizes * lengths), tf.reduce_sum(lengths))
    return tf.minimum(mean, MOST * grown)
