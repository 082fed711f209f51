"""Static weights: a weighted sum of scale-normalised losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mtrec.balancing.base import Balancer


class Static(Balancer):
    r"""Gradient of :math:`\sum_t w_t L_t`, with fixed :math:`w_t`.

    Well tuned, it matches most adaptive methods (Kurin et al. 2022,
    https://arxiv.org/abs/2201.04122; Xin et al. 2022, https://arxiv.org/abs/2209.11379).

    Args:
        weights: weight per task, in the order of the losses.
    """

    def __init__(self, weights: Sequence[float]):
        self.weights = tf.constant(weights, tf.float32)

    def gradients(self, tape: Any, losses: Any, variables: list) -> list:
        """Gradients of the weighted sum."""
        with tape:
            total = tf.reduce_sum(self.weights * losses)
        gradients = tape.gradient(total, variables)
        return [
            tf.zeros_like(variable) if gradient is None else gradient  # a part no head may see
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
