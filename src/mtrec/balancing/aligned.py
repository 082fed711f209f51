"""Aligned-MTL: task gradients made orthogonal and of equal length."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mtrec.balancing.base import Balancer

TOLERANCE = 1e-6  # times the number of tasks: above the rounding of a float32 Gram matrix


class AlignedMTL(Balancer):
    r"""The sum of the nearest gradients that form a system of condition number 1.

    .. math:: G = V \Lambda V^\top, \qquad
              c = \sqrt{\lambda_{min}}\, V \Lambda^{-1/2} V^\top 1

    :math:`\lambda_{min}` is the smallest eigenvalue above rounding; smaller ones are left out, as
    in the paper's code. All tasks have the same preference, 1, so orthogonal gradients of equal
    length give the static sum. The update is as long as the least principal component allows and
    vanishes as the gradients become linearly dependent.

    Source: Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning",
    https://arxiv.org/abs/2305.19000 (eq. 9-11, algorithm 1).
    """

    needs = "gradients"
    weighs_heads = False

    def weigh(self, losses: Any, gram: Any, present: Any) -> Any:
        """Coefficients of the sum of the aligned gradients."""
        values, vectors = tf.linalg.eigh(tf.cast(gram, tf.float64))
        kept = values > values[-1] * self.tasks * TOLERANCE
        least = tf.reduce_min(tf.where(kept, values, values[-1]))
        stretch = tf.where(kept, tf.sqrt(tf.math.divide_no_nan(least, values)), 0.0)
        weights = tf.linalg.matvec(vectors, stretch * tf.reduce_sum(vectors, axis=0))
        return tf.cast(weights, gram.dtype)
