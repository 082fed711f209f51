"""Dynamic weight average: more weight for tasks whose loss falls slowly."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer
from mtrec.balancing.simplex import softmax_among


class DynamicWeightAverage(Balancer):
    r"""Weights from the ratio of the last two epochs' mean losses.

    .. math:: c_t = T\, \mathrm{softmax}_t\!\left(\frac{L_t^{(e-1)}}{L_t^{(e-2)} \tau}\right)

    Weights sum to the number of tasks and are 1 in the first two epochs. A task without two
    epochs of known loss keeps weight 1, outside the softmax.

    Args:
        tasks: number of tasks.
        seed: not used.
        temperature: :math:`\tau`; the larger, the closer to equal weights.

    Source: Liu et al. 2019, "End-to-End Multi-Task Learning with Attention",
    https://arxiv.org/abs/1803.10704 (eq. 7).
    """

    def __init__(self, tasks: int, seed: int = 0, temperature: float = 2.0):
        super().__init__(tasks, seed)
        self.temperature = temperature
        self.last = tf.Variable(tf.zeros(tasks))  # 0: no epoch yet
        self.before = tf.Variable(tf.zeros(tasks))
        self.variables = (self.last, self.before)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights that stay the same for a whole epoch."""
        known = (self.last > 0) & (self.before > 0)
        ratio = tf.math.divide_no_nan(self.last, self.before)
        shares = softmax_among(ratio / self.temperature, known)
        return tf.where(known, tf.reduce_sum(tf.cast(known, tf.float32)) * shares, 1.0)

    def end_epoch(self, losses: tf.Tensor) -> None:
        """Remember the epoch's mean losses; a task without any (NaN) keeps its older ones."""
        known = tf.math.is_finite(losses)
        self.before.assign(tf.where(known, self.last, self.before))
        self.last.assign(tf.where(known, losses, self.last))
