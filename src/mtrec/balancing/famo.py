"""FAMO: equal relative improvement of all tasks at the cost of one gradient."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.adam import Adam
from mtrec.balancing.base import Balancer
from mtrec.balancing.simplex import softmax_among


class FAMO(Balancer):
    r"""Weights for the logarithms of the losses, moved towards the task that improves slowest.

    .. math:: c_t = T\, \frac{z_t / L_t}{\sum_s z_s / L_s}, \qquad z = \mathrm{softmax}(\xi)

    After the step, on the same batch, with :math:`\delta_t = \log L_t - \log L_t^{new}`,

    .. math:: \xi \leftarrow \mathrm{Adam}\bigl(\xi,\ \mathrm{J}_{softmax}^\top \delta
              + \gamma \xi\bigr), \qquad
              (\mathrm{J}_{softmax}^\top \delta)_t = z_t (\delta_t - \langle z, \delta \rangle)

    The paper's weights sum to 1; here they sum to the number of tasks in the batch, as those of
    the static sum do. The lowest possible loss is taken to be 0, the paper's default.

    Args:
        tasks: number of tasks.
        seed: not used.
        rate: learning rate of the logits :math:`\xi`.
        decay: :math:`\gamma`.

    Source: Liu et al. 2023, "FAMO: Fast Adaptive Multitask Optimization",
    https://arxiv.org/abs/2306.03792 (algorithm 1; Adam as in its code).
    """

    observes = True

    def __init__(self, tasks: int, seed: int = 0, rate: float = 0.025, decay: float = 1e-3):
        super().__init__(tasks, seed)
        self.decay = decay
        self.logits, self.before = tf.Variable(tf.zeros(tasks)), tf.Variable(tf.zeros(tasks))
        self.adam = Adam(tasks, rate)
        self.variables = (self.logits, self.before, *self.adam.variables)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights of the tasks in the batch; their losses are kept for :meth:`observe`."""
        self.before.assign(losses)
        shares = softmax_among(self.logits, present) / (losses + 1e-8)
        count = tf.reduce_sum(tf.cast(present, tf.float32))
        return count * tf.math.divide_no_nan(shares, tf.reduce_sum(shares))

    def observe(self, losses: tf.Tensor, present: tf.Tensor) -> None:
        """Lower the logits of the tasks that the step improved most."""
        gained = tf.math.log(self.before + 1e-8) - tf.math.log(losses + 1e-8)
        shares = softmax_among(self.logits, present)
        slope = shares * (gained - tf.reduce_sum(shares * gained)) + self.decay * self.logits
        self.logits.assign_add(self.adam.step(slope, present))
