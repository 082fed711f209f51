r"""Pool predictions of one task: a weighted sum of logits (or values), weights from validation.

.. math:: z = \sum_s w_s z_s + b, \qquad w_s \ge 0

Source: Genest and Zidek 1986, "Combining Probability Distributions", §3 (logarithmic pools),
https://doi.org/10.1214/ss/1177013825.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

Array = np.ndarray
TINY = 1e-6
NUMBERS = ("regression",)


def pool(kind: str, labels: Array, validation: Sequence[Array], asked: Sequence[Array]) -> Array:
    """Pooled predictions of the asked rows, in the form of the systems' own.

    Args:
        kind: ``binary``, ``multilabel``, ``multiclass`` or ``regression``.
        labels: of the validation rows: 0/1 ``(n,)`` or ``(n, k)``, classes ``(n,)``, or values.
        validation: predictions of the validation rows, one array per system.
        asked: predictions of the asked rows, in the same order.
    """
    known = np.stack([scores(kind, found) for found in validation])
    start = np.r_[np.full(len(known), 1 / len(known)), 0.0]
    found = minimize(
        lambda at: _loss(kind, labels, known, at), start, method="L-BFGS-B",
        bounds=[(0.0, None)] * len(known) + [(None, None)],
    ).x  # fmt: skip
    pooled = np.tensordot(found[:-1], np.stack([scores(kind, part) for part in asked]), 1)
    return _prediction(kind, pooled + found[-1])


def scores(kind: str, predictions: Array) -> Array:
    """Log-odds, log-probabilities, or the values themselves, float64."""
    values = predictions.astype("float64")
    if kind in NUMBERS:
        return values
    if kind == "multiclass":
        return np.log(np.clip(values, TINY, None))
    clipped = np.clip(values, TINY, 1 - TINY)
    return np.log(clipped) - np.log1p(-clipped)


def _prediction(kind: str, pooled: Array) -> Array:
    if kind in NUMBERS:
        return pooled
    return np.exp(log_softmax(pooled, axis=1)) if kind == "multiclass" else expit(pooled)


def _loss(kind: str, labels: Array, known: Array, at: Array) -> float:
    """Mean squared error or mean logistic loss."""
    pooled = np.tensordot(at[:-1], known, 1) + at[-1]
    if kind in NUMBERS:
        return float(np.mean((labels - pooled) ** 2))
    if kind == "multiclass":
        return float(-log_softmax(pooled, axis=1)[np.arange(len(labels)), labels].mean())
    return float(np.mean(np.logaddexp(0.0, pooled) - labels * pooled))
