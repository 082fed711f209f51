"""CAGrad: the best worst-case improvement near the mean gradient."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer, among_present
from mtrec.balancing.simplex import convex, minimise_on_simplex

SHORTEST = 1e-3  # of a combination, in longest gradients: above a float32 Gram matrix's rounding
STIFF = 0.9  # share of the Hessian's negative part: with all of it, Newton steps overshoot


class CAGrad(Balancer):
    r"""Maximise the least improvement of any task within a ball around the mean gradient.

    .. math:: \max_d \min_t \langle g_t, d \rangle \;\text{ s.t. }\; \|d - g_0\| \le c \|g_0\|,
              \qquad g_0 = \tfrac1T \sum_t g_t

    solved through its dual over the simplex,

    .. math:: \min_w \langle g_w, g_0 \rangle + c \|g_0\| \|g_w\|, \quad g_w = \sum_t w_t g_t,
              \qquad d = g_0 + \frac{c \|g_0\|}{\|g_w\|}\, g_w

    by an interior-point method on the Gram matrix. The scale is the paper's: the mean of the
    gradients where :math:`c = 0`, without the later rescaling of its code.

    Where some combination of the gradients vanishes (opposed tasks, a task without gradient), no
    direction improves all tasks and the paper's second term is 0 by 0. Here it is divided by
    :math:`10^{-3}` of the longest gradient's length at least, so that it fades as :math:`g_w` does
    and the mean gradient alone is left. The mean loss never rises, whatever :math:`w` is.

    Args:
        tasks: number of tasks.
        seed: not used.
        c: radius of the ball, in lengths of the mean gradient; below 1 the method converges to a
            minimum of the mean loss.

    Source: Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning",
    https://arxiv.org/abs/2110.14048 (eq. 3-5, algorithm 1).
    """

    needs = "gradients"
    weighs_heads = False

    def __init__(self, tasks: int, seed: int = 0, c: float = 0.4):
        super().__init__(tasks, seed)
        self.c = c

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Coefficients of the mean gradient plus those of the dual solution."""
        return among_present(gram, present, self._solve)

    def _solve(self, gram: tf.Tensor) -> tf.Tensor:
        exact = convex(gram)
        to_mean = tf.reduce_mean(exact, axis=1)
        radius = self.c * tf.sqrt(tf.maximum(tf.reduce_mean(to_mean), 0.0))

        def length(points: tf.Tensor) -> tf.Tensor:  # 1e-12 smooths the norm at 0
            squares = tf.reduce_sum(points @ exact * points, axis=1)
            return tf.sqrt(tf.maximum(squares, 0.0) + 1e-12)

        def derivatives(w: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pull, size = tf.linalg.matvec(exact, w), length(w[None])
            bend = exact / size - STIFF * pull[:, None] * pull[None, :] / size**3
            return to_mean + radius * pull / size, radius * bend

        w = minimise_on_simplex(
            value=lambda points: tf.linalg.matvec(points, to_mean) + radius * length(points),
            derivatives=derivatives,
            size=tf.shape(gram)[0],
        )
        extra = radius / tf.maximum(length(w[None]), SHORTEST) * w
        return tf.cast(1 / tf.shape(gram)[0] + extra, gram.dtype)
