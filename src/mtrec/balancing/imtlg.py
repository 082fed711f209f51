"""IMTL-G: an update with equal projections onto all task gradients."""

from __future__ import annotations

import tensorflow as tf

from mtrec.balancing.angles import unit_gram
from mtrec.balancing.base import Balancer


class IMTLG(Balancer):
    r"""The combination whose projection onto every unit gradient :math:`u_t` is the same.

    .. math:: \langle d, u_t \rangle = k \;\text{ for all } t, \quad d = \sum_t \beta_t u_t
              \;\Rightarrow\; \beta \propto U^{-1} 1, \qquad
              c_t = \frac{\beta_t / \|g_t\|}{\sum_s |\beta_s| / \|g_s\|}

    with :math:`U` the cosines of the gradients. The paper's closed form has :math:`\sum_t c_t =
    1`, which is the same where all weights are positive. Where some are not, its sum may be near
    or below 0, and the update unbounded or uphill for all tasks; the absolute sum keeps it
    bounded and downhill. Of parallel or opposite gradients a ridge on :math:`U` picks the
    solution with the smallest weights.

    Source: Liu et al. 2021, "Towards Impartial Multi-task Learning",
    https://openreview.net/forum?id=IMPnRXEWpvr (eq. 5-6).
    """

    needs = "gradients"
    weighs_heads = False

    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Weights whose absolute values sum to 1; 0 for a task without gradient."""
        cosines, norms = unit_gram(gram)
        beta = tf.linalg.solve(cosines, tf.ones_like(norms)[:, None])[:, 0]
        weights = tf.math.divide_no_nan(beta, norms)
        total = tf.reduce_sum(tf.abs(weights))
        return tf.cast(tf.math.divide_no_nan(weights, total), gram.dtype)
