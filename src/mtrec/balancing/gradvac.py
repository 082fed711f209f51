"""Gradient Vaccine: raise the cosine of two tasks' gradients to its usual value."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer
from mtrec.balancing.pcgrad import random_orders

CLOSEST = 0.999  # cosine targets beyond it would need steps of unbounded length


class GradVac(Balancer):
    r"""PCGrad with a target cosine :math:`\hat\phi_{ij}` in place of 0.

    For every task :math:`i`, and the other tasks :math:`j` in a random order of its own, let
    :math:`\phi = \cos(g'_i, g_j)`; where :math:`\phi < \hat\phi_{ij}`,

    .. math:: g'_i \leftarrow g'_i + \frac{\|g'_i\| \left(\hat\phi_{ij} \sqrt{1 - \phi^2} - \phi
              \sqrt{1 - \hat\phi_{ij}^2}\right)}{\|g_j\| \sqrt{1 - \hat\phi_{ij}^2}}\, g_j

    after which the cosine is the target. Then always
    :math:`\hat\phi_{ij} \leftarrow (1 - \beta)\hat\phi_{ij} + \beta\phi`. Targets start at 0, and
    the update is :math:`\sum_i g'_i`. The paper's whole-model granularity.

    Args:
        tasks: number of tasks.
        seed: of the random orders.
        beta: share of the new cosine in the target.

    Source: Wang et al. 2021, "Gradient Vaccine", https://arxiv.org/abs/2010.05874 (eq. 2-3,
    algorithm 1).
    """

    needs = "gradients"
    weighs_heads = False

    def __init__(self, tasks: int, seed: int = 0, beta: float = 0.01):
        super().__init__(tasks, seed)
        self.beta = beta
        self.random = tf.random.Generator.from_seed(seed)
        self.targets = tf.Variable(tf.zeros([tasks, tasks]))
        self.variables = (self.targets, self.random.state)

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Column sums of the altered gradients' coefficients."""
        parts, norms = tf.eye(self.tasks), tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))
        targets = tf.identity(self.targets)
        for other in tf.unstack(random_orders(self.random, self.tasks), axis=1):
            where = tf.one_hot(other, self.tasks)
            inner = parts @ gram
            length = tf.sqrt(tf.maximum(tf.reduce_sum(inner * parts, axis=1), 0.0))
            norm = tf.gather(norms, other)
            both = (length > 0) & (norm > 0)  # absent tasks have zero gradients
            cosine = tf.math.divide_no_nan(tf.reduce_sum(inner * where, axis=1), length * norm)
            cosine = tf.clip_by_value(cosine, -1.0, 1.0)
            target = tf.clip_by_value(tf.reduce_sum(targets * where, axis=1), -CLOSEST, CLOSEST)
            lift = target * tf.sqrt((1 - cosine**2) / (1 - target**2)) - cosine
            lift = tf.math.divide_no_nan(length * lift, norm)
            parts += tf.where(both & (cosine < target), lift, 0.0)[:, None] * where
            drift = self.beta * tf.where(both, cosine - target, 0.0)
            targets += drift[:, None] * where
        self.targets.assign(targets)
        return tf.reduce_sum(parts, axis=0)
