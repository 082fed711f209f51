"""Aligned-MTL: task gradients made orthogonal and of equal length."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.angles import RIDGE, cosines_of
from mtrec.balancing.base import Balancer

ROUNDING = 1e-14  # times the number of tasks: above the rounding of float64


class AlignedMTL(Balancer):
    r"""The sum of the nearest gradients that form a system of condition number 1.

    .. math:: G = V \Lambda V^\top, \qquad
              c = \sqrt{\lambda_{min}}\, V \Lambda^{-1/2} V^\top 1

    :math:`\lambda_{min}` is the smallest eigenvalue above rounding; smaller ones are left out, as
    in the paper's code. Against the largest eigenvalue alone, with the rounding of a float32 Gram
    matrix, a short gradient looks like one that depends on the others. So two things are told
    apart: whether gradients depend on each other is asked of their cosines, to the rounding of
    float32, and whether one is too short of the lengths, to the rounding of float64. All tasks have
    the same preference, 1, so orthogonal gradients of equal length give the static sum. The update
    is as long as the least principal component allows: as short as a short gradient.

    Source: Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning",
    https://arxiv.org/abs/2305.19000 (eq. 9-11, algorithm 1).
    """

    needs = "gradients"
    weighs_heads = False

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Coefficients of the sum of the aligned gradients."""
        cosines, norms = cosines_of(gram)
        values, vectors = tf.linalg.eigh(cosines)
        values = tf.where(values > self.tasks * RIDGE, values, 0.0)
        factor = norms[:, None] * vectors * tf.sqrt(values)  # times its transpose: G
        lengths, axes, _ = tf.linalg.svd(factor)
        kept = lengths > lengths[0] * self.tasks * ROUNDING
        least = tf.reduce_min(tf.where(kept, lengths, lengths[0]))
        stretch = tf.where(kept, tf.math.divide_no_nan(least, lengths), 0.0)
        weights = tf.linalg.matvec(axes, stretch * tf.reduce_sum(axes, axis=0))
        return tf.cast(tf.where(norms > 0, weights, 0.0), gram.dtype)
