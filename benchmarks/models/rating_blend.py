"""Weights of a blend, chosen on validation rows."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

Array = np.ndarray
RIDGE = 1e-3  # per row: pulls the weights to equal shares


def weights(components: Array, labels: Array) -> Array:
    """Non-negative weights that sum to one, of least squared error with a ridge to equal shares.

    Args:
        components: predictions ``(parts, n)``.
        labels: what they should be, ``(n,)``.

    Source: Breiman 1996, "Stacked regressions", https://doi.org/10.1007/BF00117832.

    Example:
        >>> labels = np.array([1.0, 2.0, 3.0])
        >>> weights(np.stack([labels, labels[::-1]]), labels).round(2)
        array([1., 0.])
    """
    parts, rows = components.shape
    center = labels.mean()
    root = (RIDGE * rows) ** 0.5
    design = np.vstack([(components - center).T, root * np.eye(parts)])
    target = np.concatenate([labels - center, np.full(parts, root / parts)])
    found, _ = nnls(design, target)
    return found / found.sum()


def blend(components: Array, shares: Array) -> Array:
    """Weighted sum over the first axis."""
    return np.tensordot(shares, components, axes=1)
