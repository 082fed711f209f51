"""DB-MTL: logarithms of losses, gradients of equal length."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer


class DBMTL(Balancer):
    r"""Gradients of :math:`\log L_t`, all stretched to the length of the longest.

    .. math:: m_t = \frac{\|g_t\|}{L_t}, \qquad
              d = \max_s m_s \sum_t \frac{1}{m_t} \frac{g_t}{L_t}

    With ``beta`` the lengths are averaged over steps. The paper averages the gradients themselves,
    of which no Gram matrix of one batch can tell; here :math:`m_t^2` is averaged,
    :math:`v_t \leftarrow \beta v_t + (1 - \beta) m_t^2`, and its root takes the place of
    :math:`m_t`. With the default :math:`\beta = 0` the update is exactly the paper's without
    averaging. Towers and heads keep the gradient of :math:`L_t`, not of its logarithm.

    Args:
        tasks: number of tasks.
        seed: not used.
        beta: share of the past in the averaged squared lengths.

    Source: Lin et al. 2023, "Dual-Balancing for Multi-Task Learning",
    https://arxiv.org/abs/2308.12029 (section 3).
    """

    needs = "gradients"
    weighs_heads = False

    def __init__(self, tasks: int, seed: int = 0, beta: float = 0.0):
        super().__init__(tasks, seed)
        self.beta = beta
        self.squares = tf.Variable(tf.zeros(tasks))  # 0: not seen yet
        self.variables = (self.squares,)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights of the batch's tasks; 0 for a task without gradient."""
        losses = tf.maximum(losses, 1e-6)  # squares of the lengths must fit float32
        now = tf.maximum(tf.linalg.diag_part(gram), 0.0) / losses**2
        seen = self.squares > 0
        mixed = tf.where(seen, self.beta * self.squares + (1 - self.beta) * now, now)
        self.squares.assign(tf.where(present, mixed, self.squares))
        lengths = tf.where(present, tf.sqrt(mixed), 0.0)
        return tf.math.divide_no_nan(tf.reduce_max(lengths), lengths * losses)
