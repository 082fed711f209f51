"""Nash-MTL: the bargaining solution between the tasks."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.angles import unit_gram
from mtrec.balancing.base import Balancer
from mtrec.balancing.simplex import longest_step

STEPS = 15


class NashMTL(Balancer):
    r"""The direction that maximises the product of the tasks' improvements.

    .. math:: \max_{\|d\| \le \epsilon} \sum_t \log \langle g_t, d \rangle
              \;\Rightarrow\; d = \sum_t \alpha_t g_t, \quad G \alpha = 1 / \alpha, \quad
              \alpha > 0

    :math:`\alpha` minimises the convex :math:`\frac12 \alpha^\top G \alpha - \sum_t \log
    \alpha_t`. Primal-dual Newton steps on :math:`z = G \alpha,\ z_t \alpha_t = 1`, short enough to
    keep both positive, reach it to machine precision in 15 steps; this replaces the paper's
    sequence of convex programs. They run on the cosines, for :math:`\beta_t = \alpha_t \|g_t\|`,
    hence the same for losses of any scale. A small ridge bounds :math:`\beta` at Pareto-stationary
    points, where no solution exists. As in the paper the update's length is :math:`\sqrt T` at
    every step: with plain SGD, decrease the learning rate.

    Source: Navon et al. 2022, "Multi-Task Learning as a Bargaining Game",
    https://arxiv.org/abs/2202.01017 (eq. 2, claim 3.1).
    """

    needs = "gradients"
    weighs_heads = False

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Positive weights; 0 for a task without gradient, which has nothing to bargain for."""
        cosines, norms = unit_gram(gram)
        one = tf.ones_like(norms)
        beta = one * tf.sqrt(tf.reduce_sum(one) / tf.maximum(tf.reduce_sum(cosines), 1e-6))
        z = 1 / beta
        for _ in range(STEPS):
            right = 1 / beta - tf.linalg.matvec(cosines, beta)
            change = tf.linalg.solve(cosines + tf.linalg.diag(z / beta), right[:, None])[:, 0]
            dz = 1 / beta - z - z / beta * change
            beta, z = beta + longest_step(beta, change) * change, z + longest_step(z, dz) * dz
        return tf.cast(tf.math.divide_no_nan(beta, norms), gram.dtype)
