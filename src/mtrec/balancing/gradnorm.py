"""GradNorm: gradients of like length, longer for tasks that train slowly."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.adam import Adam
from mtrec.balancing.base import Balancer

SMALLEST = 1e-3  # weights stay positive


class GradNorm(Balancer):
    r"""Loss weights :math:`w_t`, learned so that weighted gradient lengths follow training rates.

    .. math:: \min_w \sum_t \bigl| w_t \|g_t\| - \bar G\, r_t^\alpha \bigr|, \qquad
              \bar G = \tfrac1T \sum_s w_s \|g_s\|, \qquad
              r_t = \frac{L_t / L_t^{(0)}}{\tfrac1T \sum_s L_s / L_s^{(0)}}

    The target :math:`\bar G r_t^\alpha` is a constant of the step, and :math:`L_t^{(0)}` the loss
    on the first batch with labels of the task. After each step the weights of the batch's tasks
    are scaled back to their old sum, so that all sum to :math:`T`. The paper's gradients
    are those of the last shared layer; here, whichever the Gram matrix is made from.

    Args:
        tasks: number of tasks.
        seed: not used.
        alpha: strength of the pull towards equal training rates.
        rate: learning rate of the Adam that moves the weights.

    Source: Chen et al. 2018, "GradNorm", https://arxiv.org/abs/1711.02257 (eq. 1-2, algorithm 1).
    """

    needs = "gradients"

    def __init__(self, tasks: int, seed: int = 0, alpha: float = 1.5, rate: float = 0.025):
        super().__init__(tasks, seed)
        self.alpha = alpha
        self.weights = tf.Variable(tf.ones(tasks))
        self.first = tf.Variable(tf.zeros(tasks))  # 0: not seen yet
        self.adam = Adam(tasks, rate)
        self.variables = (self.weights, self.first, *self.adam.variables)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights before their step."""
        weights, here = tf.identity(self.weights), tf.cast(present, tf.float32)
        new = present & (self.first == 0)
        self.first.assign(tf.where(new, tf.maximum(losses, 1e-6), self.first))
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))
        rate = _over_mean(tf.math.divide_no_nan(losses, self.first), here)
        target = _mean(weights * norms, here) * rate**self.alpha
        slope = tf.sign(weights * norms - target) * norms
        moved = tf.maximum(weights + self.adam.step(slope, present), SMALLEST)
        scale = tf.math.divide_no_nan(_mean(weights, here), _mean(moved, here))
        self.weights.assign(tf.where(present, moved * scale, weights))
        return weights


def _mean(values: tf.Tensor, here: tf.Tensor) -> tf.Tensor:
    """Mean over the tasks of the batch; 0 if there is none."""
    return tf.math.divide_no_nan(tf.reduce_sum(values * here), tf.reduce_sum(here))


def _over_mean(values: tf.Tensor, here: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(values, _mean(values, here))
