"""The logistic loss of a 0/1 label."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from keras import ops

Array = np.ndarray


class BitLoss(Protocol):
    """Loss of 0/1 labels from one logit each, and the probability that the logit stands for."""

    def loss(self, labels: Any, logits: Any) -> Any:
        """Loss of each label, any shape."""

    def probability(self, logits: Any) -> Any:
        """Probability of 1: the share of ones among rows for which the logit is the best."""

    def logit(self, rate: Array) -> Array:
        """Undo :meth:`probability`, float32."""


class Logistic:
    r""":math:`-y\log\sigma(z) - (1-y)\log(1-\sigma(z))`; the logit is the log-odds."""

    def loss(self, labels, logits):
        """See the class."""
        return ops.binary_crossentropy(labels, logits, from_logits=True)

    def probability(self, logits):
        """The sigmoid."""
        return ops.sigmoid(logits)

    def logit(self, rate: Array) -> Array:
        """Log-odds, float32."""
        return np.log(rate / (1 - rate)).astype("float32")
