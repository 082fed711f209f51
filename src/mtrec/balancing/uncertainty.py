"""Uncertainty weighting: a learned noise level per task."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.adam import Adam
from mtrec.balancing.base import Balancer

LARGEST = 5.0  # |s|: the weight of a task that is learnt perfectly stays below e^5


class Uncertainty(Balancer):
    r"""Weights :math:`e^{-s_t}` with learned log-variances :math:`s_t`.

    .. math:: \min_{s, \theta} \sum_t e^{-s_t} L_t + s_t, \qquad
              \frac{\partial}{\partial s_t} = 1 - e^{-s_t} L_t

    At rest :math:`s_t = \log L_t`: every task's weighted loss is 1. This is the paper's objective
    for regression (eq. 7), doubled so that :math:`s = 0` is the static sum, and used for all task
    types. The log-variances have an Adam of their own and stay within 5 in size.

    Args:
        tasks: number of tasks.
        seed: not used.
        rate: learning rate of the log-variances.

    Source: Kendall et al. 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
    Geometry and Semantics", https://arxiv.org/abs/1705.07115.
    """

    def __init__(self, tasks: int, seed: int = 0, rate: float = 0.01):
        super().__init__(tasks, seed)
        self.log_variance = tf.Variable(tf.zeros(tasks))
        self.adam = Adam(tasks, rate)
        self.variables = (self.log_variance, *self.adam.variables)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights of the log-variances before their step."""
        weights = tf.exp(-self.log_variance)
        moved = self.log_variance + self.adam.step(1 - weights * losses, present)
        self.log_variance.assign(tf.clip_by_value(moved, -LARGEST, LARGEST))
        return weights
