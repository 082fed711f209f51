"""Weights on the simplex: the softmax of some tasks, and the minimum of a convex function."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

STEPS, GAP = 40, 1e-13  # the gap bounds f(w) - min f
FLATTEST = 1e-14  # of a scaled Hessian's curvatures: above the rounding of float64
LENGTHS = [[0.5**k] for k in range(10)]


def softmax_among(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Softmax over the entries where ``mask`` is True, 0 elsewhere (all 0 if there is none).

    Args:
        logits: ``(n,)``.
        mask: ``(n,)`` bool.
    """
    kept = tf.where(mask, logits, tf.fill(tf.shape(logits), logits.dtype.min))
    powers = tf.where(mask, tf.exp(kept - tf.reduce_max(kept)), tf.zeros_like(logits))
    return tf.math.divide_no_nan(powers, tf.reduce_sum(powers))


def minimise_on_simplex(value: Callable, derivatives: Callable, size: tf.Tensor) -> tf.Tensor:
    r"""Minimise a smooth convex :math:`f` over :math:`w \ge 0, \sum w = 1`.

    A primal-dual interior-point method: each of at most 40 Newton steps solves

    .. math:: (\nabla^2 f + \mathrm{diag}(z / w))\,\Delta w = \mu / w - \nabla f - \nu, \quad
              \sum \Delta w = 0

    for a complementarity :math:`\mu = 0.1\, z^\top w / n` that falls towards 0, and takes the best
    of ten lengths for :math:`f - \mu \sum \log w`. It reaches corners and edges of the simplex to
    the accuracy of float64, where Frank-Wolfe and exponentiated gradient need thousands of steps.
    Directions without curvature, as between equal or opposed gradients, count as almost flat, so
    that every system has a solution.

    Args:
        value: function from weights ``(m, n)`` float64 to the values of f ``(m,)``, of order 1.
        derivatives: function from weights ``(n,)`` to gradient ``(n,)`` and Hessian ``(n, n)``.
        size: ``n``, possibly known only at run time.

    Returns:
        Weights ``(n,)`` float64.

    Source: Nocedal & Wright 2006, "Numerical Optimization", sections 16.6 and 19.3.
    """
    one, lengths = tf.ones([size], tf.float64), tf.constant(LENGTHS, tf.float64)

    def newton_step(
        w: tf.Tensor, z: tf.Tensor, gap: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gradient, hessian = derivatives(w)
        mu = tf.maximum(0.1 * tf.reduce_mean(w * z), 1e-18)
        right = tf.stack([mu / w - gradient, one], axis=1)
        free, pull = tf.unstack(_solve(hessian + tf.linalg.diag(z / w), right), axis=1)
        dw = free - pull * tf.reduce_sum(free) / tf.reduce_sum(pull)
        dz = mu / w - z - z / w * dw
        tried = w + lengths * longest_step(w, dw) * dw
        merit = value(tried) - mu * tf.reduce_sum(tf.math.log(tried), axis=1)
        gap = tf.tensordot(w, gradient, 1) - tf.reduce_min(gradient)
        w, z = tried[tf.argmin(merit)], z + longest_step(z, dz) * dz
        return w, tf.clip_by_value(z, mu / w * 1e-4, mu / w * 1e4), gap

    w, _, _ = tf.while_loop(
        cond=lambda w, z, gap: gap > GAP,
        body=newton_step,
        loop_vars=(one / tf.reduce_sum(one), one, tf.constant(1.0, tf.float64)),
        maximum_iterations=STEPS,
    )
    return w / tf.reduce_sum(w)


def convex(gram: tf.Tensor) -> tf.Tensor:
    """A Gram matrix in float64, the largest diagonal entry 1, and of no negative curvature.

    Rounding to float32 leaves some between dependent gradients, along which a norm would be NaN.

    Args:
        gram: ``(n, n)``.
    """
    exact = tf.cast(gram, tf.float64)
    exact = tf.math.divide_no_nan(exact, tf.reduce_max(tf.linalg.diag_part(exact)))
    values, vectors = tf.linalg.eigh(exact)
    return tf.matmul(vectors * tf.maximum(values, 0.0), vectors, transpose_b=True)


def _solve(matrix: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Solution for a symmetric matrix with a positive diagonal, singular or not."""
    scale = tf.math.rsqrt(tf.linalg.diag_part(matrix))[:, None]
    values, vectors = tf.linalg.eigh(scale * matrix * tf.transpose(scale))
    along = tf.matmul(vectors, scale * right, transpose_a=True)
    return scale * (vectors @ (along / tf.maximum(values, FLATTEST)[:, None]))


def longest_step(values: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
    """Longest step up to 1 that keeps positive ``values`` positive."""
    shrinking = tf.maximum(-change / values, 0.0)
    return 1 / tf.maximum(tf.reduce_max(shrinking) / 0.95, 1.0)
