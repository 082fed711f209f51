"""Static weights: the plain sum of scale-normalised losses."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.base import Balancer


class Static(Balancer):
    r"""Weight 1 for every task: the gradient of :math:`\sum_t L_t`.

    With losses on a fair scale it matches most adaptive methods (Kurin et al. 2022,
    https://arxiv.org/abs/2201.04122; Xin et al. 2022, https://arxiv.org/abs/2209.11379).
    """

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Ones ``(tasks,)``."""
        return tf.ones(self.tasks)
