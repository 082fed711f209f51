"""PCGrad: cut away what conflicts with the other tasks."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer


class PCGrad(Balancer):
    r"""Each task's gradient is projected onto the normal plane of those it conflicts with.

    For every task :math:`i`, and the other tasks :math:`j` in a random order of its own,

    .. math:: g'_i \leftarrow g'_i - \frac{\min(\langle g'_i, g_j \rangle, 0)}{\|g_j\|^2}\, g_j,
              \qquad d = \sum_i g'_i

    starting at :math:`g'_i = g_i`. Row :math:`i` of ``parts`` holds the coefficients of
    :math:`g'_i`, whose inner products are ``parts @ gram``. The scale is the paper's: without
    conflicts the update is the static sum.

    Args:
        tasks: number of tasks.
        seed: of the random orders.

    Source: Yu et al. 2020, "Gradient Surgery for Multi-Task Learning",
    https://arxiv.org/abs/2001.06782 (algorithm 1).
    """

    needs = "gradients"
    weighs_heads = False

    def __init__(self, tasks: int, seed: int = 0):
        super().__init__(tasks, seed)
        self.random = tf.random.Generator.from_seed(seed)
        self.variables = (self.random.state,)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Column sums of the projected gradients' coefficients."""
        parts, squares = tf.eye(self.tasks), tf.linalg.diag_part(gram)
        for other in tf.unstack(random_orders(self.random, self.tasks), axis=1):
            inner = tf.gather(parts @ gram, other, axis=1, batch_dims=1)
            cut = tf.math.divide_no_nan(tf.minimum(inner, 0.0), tf.gather(squares, other))
            parts -= cut[:, None] * tf.one_hot(other, self.tasks)
        return tf.reduce_sum(parts, axis=0)


def random_orders(generator: tf.random.Generator, tasks: int) -> tf.Tensor:
    """For each task the other tasks in random order, ``(tasks, tasks - 1)``."""
    keys = generator.uniform([tasks, tasks]) + 2 * tf.eye(tasks)  # oneself comes last
    return tf.argsort(keys, axis=1)[:, :-1]
