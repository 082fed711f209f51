r"""Stacking: members with weights that are not negative, fitted to labels.

Values :math:`f_m` of :math:`M` members become

.. math:: \hat y = b + \sum_m w_m f_m, \qquad w = \arg\min_{w \ge 0} \sum_r (y_r - \hat y_r)^2,

classes and bits the softmax, or the sigmoid, of

.. math:: z_k = b_k + \sum_m w_m \log p_{mk}, \qquad z = b + \sum_m w_m \operatorname{logit} p_m

with the weights of least log loss and :math:`\frac12 \lVert b \rVert^2` against biases that few
labels would teach. Weights below zero would bet on the noise of members that are alike. The biases
and the sum of the weights, which is free, calibrate.

Source: Breiman 1996, "Stacked Regressions", https://doi.org/10.1007/BF00117832; Wolpert 1992,
https://doi.org/10.1016/S0893-6080(05)80023-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import expit, log_softmax, logit, softmax

from mtrec.registry import Form

Array = np.ndarray
TINY = 1e-6  # of a probability that has a logarithm
VALUES, BITS, CLASSES = "values", "bits", "classes"
KINDS = {
    Form.NUMBER: VALUES, Form.BIT: BITS, Form.SET: BITS, Form.CLASS: CLASSES, Form.LEVEL: CLASSES,
}  # fmt: skip


@dataclass(frozen=True)
class Stack:
    """Fitted weights.

    Attributes:
        kind: ``values``, ``bits`` or ``classes``.
        weights: of the members, ``(members,)``, none below zero.
        bias: ``(outputs,)``; one number for values and bits of one label.
    """

    kind: str
    weights: Array
    bias: Array

    def __call__(self, found: Sequence[Array]) -> Array:
        """Fused predictions from the members', in their form."""
        z = np.tensordot(self.weights, _links(self.kind, found), axes=1) + self.bias
        if self.kind == VALUES:
            return z[:, 0]
        if self.kind == CLASSES:
            return softmax(z, axis=1)
        return expit(z) if found[0].ndim == 2 else expit(z[:, 0])


def fit(kind: str, found: Sequence[Array], labels: Array) -> Stack:
    """Fit to labels.

    Args:
        kind: ``values`` (numbers), ``bits`` (0 or 1, one label or several) or ``classes``.
        found: predictions of each member, ``(n,)`` or ``(n, outputs)``.
        labels: encoded labels, ``(n,)`` or ``(n, outputs)``.

    Example:
        >>> truth = np.array([1.0, 2.0, 3.0, 4.0])
        >>> fit("values", [truth, -truth], truth).weights.tolist()
        [1.0, 0.0]
    """
    links = _links(kind, found)
    if kind == VALUES:
        return _values(links[..., 0], labels.astype("float64"))
    if kind == CLASSES:
        targets = np.eye(links.shape[2])[labels]
    else:
        targets = labels.reshape(links.shape[1:]).astype("float64")
    return _logits(kind, links, targets)


def _values(links: Array, labels: Array) -> Stack:
    """Non-negative least squares around the means."""
    means, mean = links.mean(axis=1), labels.mean()
    weights, _ = nnls((links - means[:, None]).T, labels - mean)
    return Stack(VALUES, weights, np.array([mean - weights @ means]))


def _logits(kind: str, links: Array, targets: Array) -> Stack:
    members, _, outputs = links.shape

    def goal(flat: Array) -> tuple[float, Array]:
        weights, bias = flat[:members], flat[members:]
        z = np.tensordot(weights, links, axes=1) + bias
        if kind == CLASSES:
            logs = log_softmax(z, axis=1)
            lost, slope = -float((targets * logs).sum()), np.exp(logs) - targets
        else:
            lost, slope = float((np.logaddexp(0, z) - targets * z).sum()), expit(z) - targets
        gradient = np.tensordot(links, slope, axes=2), slope.sum(axis=0) + bias
        return lost + float(bias @ bias) / 2, np.concatenate(gradient)

    start = np.r_[np.full(members, 1 / members), np.zeros(outputs)]
    bounds = [(0.0, None)] * members + [(None, None)] * outputs
    found = minimize(goal, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Stack(kind, found[:members], found[members:])


def _links(kind: str, found: Sequence[Array]) -> Array:
    """Predictions where they are added up, ``(members, n, outputs)``."""
    values = np.stack([one.reshape(len(one), -1) for one in found]).astype("float64")
    if kind == VALUES:
        return values
    values = np.clip(values, TINY, 1 - TINY)
    return np.log(values) if kind == CLASSES else logit(values)
