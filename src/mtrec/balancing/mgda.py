"""MGDA: the shortest convex combination of the task gradients."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer, among_present
from mtrec.balancing.simplex import convex, minimise_on_simplex


class MGDA(Balancer):
    r"""The point of least norm in the convex hull of the gradients.

    .. math:: \min_w \Bigl\| \sum_t w_t g_t \Bigr\|^2 \;\text{ s.t. }\; w \ge 0,\ \sum_t w_t = 1

    The direction improves no task less than :math:`\|d\|^2` and is 0 exactly at Pareto-stationary
    points; so it is 0 as soon as one task's gradient is. Solved by an interior-point method on
    the Gram matrix instead of the paper's Frank-Wolfe steps, which approach the same point slowly.

    Source: Désidéri 2012, https://doi.org/10.1016/j.crma.2012.03.014; Sener & Koltun 2018,
    "Multi-Task Learning as Multi-Objective Optimization", https://arxiv.org/abs/1810.04650 (eq. 3).
    """

    needs = "gradients"
    weighs_heads = False

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights on the simplex."""
        return among_present(gram, present, _solve)


def _solve(gram: tf.Tensor) -> tf.Tensor:
    exact = convex(gram)
    w = minimise_on_simplex(
        value=lambda points: tf.reduce_sum(points @ exact * points, axis=1) / 2,
        derivatives=lambda w: (tf.linalg.matvec(exact, w), exact),
        size=tf.shape(gram)[0],
    )
    return tf.cast(w, gram.dtype)
