"""Losses that look away from easy labels: focal and asymmetric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

Array = np.ndarray
EXTREME = 30.0  # beyond this logit a probability is 0 or 1 in float32
STEEP = 6.0  # beyond this logit a sigmoid is too flat to start learning from
TINY = 1e-6


@dataclass(frozen=True)
class Focal:
    r"""Logistic loss in which labels that are already right count less.

    .. math:: -y\,(1-p)^{\gamma_1}\log p \;-\; (1-y)\,q^{\gamma_0}\log(1-q),
        \qquad p=\sigma(z),\; q=\max(p-m, 0)

    With equal exponents and no margin it is the focal loss, with both zero the logistic one.
    Neither is proper: at its minimum :math:`p` is not the probability of 1. That probability is
    known, though: it is the one for which the slopes of both halves cancel,
    :math:`\eta\,\ell_1'(z) + (1-\eta)\,\ell_0'(z) = 0`, and :meth:`probability` returns it.

    Attributes:
        gamma_one: exponent of labels 1.
        gamma_zero: exponent of labels 0.
        margin: labels 0 with a lower ``p`` do not count at all.

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002, eq. 4 (no class weight); Ridnik et
    al. 2021, https://arxiv.org/abs/2009.14119, eq. 7; the probability of the focal loss:
    Charoenphakdee et al. 2021, https://arxiv.org/abs/2011.09172.
    """

    gamma_one: float
    gamma_zero: float
    margin: float = 0.0

    def loss(self, labels, logits):
        """Loss of each label, any shape."""
        labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
        one = ops.exp(-self.gamma_one * ops.softplus(logits)) * ops.softplus(-logits)
        if self.margin:
            q = ops.relu(ops.sigmoid(logits) - self.margin)
            zero = -ops.power(q, self.gamma_zero) * ops.log1p(-q)
        else:
            zero = ops.exp(-self.gamma_zero * ops.softplus(-logits)) * ops.softplus(logits)
        return labels * one + (1 - labels) * zero

    def probability(self, logits):
        """Share of ones for which the logit is the best one, any shape.

        Below the margin it is as good as 0, but still rises, so that labels keep their order.
        With a margin it stays below 1 (0.964 for ``ASYMMETRIC``): the best logit for a larger
        share is infinite.
        """
        logits = ops.clip(ops.convert_to_tensor(logits), -EXTREME, EXTREME)
        p, rest = ops.sigmoid(logits), ops.sigmoid(-logits)
        fall = rest**self.gamma_one * (rest - self.gamma_one * p * ops.log(p))
        q, left = ops.maximum(p - self.margin, TINY), ops.minimum(rest + self.margin, 1.0)
        rise = q**self.gamma_zero / left
        rise = rise - self.gamma_zero * q ** (self.gamma_zero - 1) * ops.log(left)
        rise = p * rest * rise
        return rise / (rise + fall)

    def logit(self, rate: Array) -> Array:
        """Undo :meth:`probability` by interpolation within -6 … 6, float32."""
        grid = np.linspace(-STEEP, STEEP, 4001)
        return np.interp(rate, ops.convert_to_numpy(self.probability(grid)), grid).astype("float32")


FOCAL = Focal(2.0, 2.0)
ASYMMETRIC = Focal(0.0, 4.0, 0.05)
