"""Item-to-item regressions in closed form."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

Array = np.ndarray


def ease(x: Array, ridge: float, weights: Array | None = None) -> Array:
    """Item weights ``(items, items)`` float32 with a zero diagonal, of

    ``min ||sqrt(w) (X - X B)||^2 + ridge ||B||^2``, so that ``X @ B`` scores items.

    Args:
        x: ``(users, items)``, 0 where there is no event.
        ridge: penalty.
        weights: of the users, ``(users,)``; all 1 if None.

    Source: Steck 2019, "Embarrassingly shallow autoencoders", https://arxiv.org/abs/1905.03375.
    """
    rows = x if weights is None else x * np.sqrt(weights)[:, None]
    gram = (rows.T @ rows).astype("float64")
    gram[np.diag_indices(len(gram))] += ridge
    inverse = np.linalg.inv(gram)
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0.0)
    return found.astype("float32")


def graph_filter(x: Array, components: int) -> Array:
    """Scores ``(users, items)`` by an ideal low-pass filter on the graph of users and items.

    Items are divided by the root of their popularity before and multiplied by it after.

    Source: Shen et al. 2021, "How powerful is graph convolution for recommendation?",
    https://arxiv.org/abs/2108.07567, eq. 12.
    """
    root_users = np.sqrt(np.maximum((x != 0).sum(axis=1), 1))[:, None]
    root_items = np.sqrt(np.maximum((x != 0).sum(axis=0), 1))
    graph = sparse.csr_matrix((x / root_users / root_items).astype("float64"))
    _, _, top = svds(graph, k=components, random_state=0)  # (components, items)
    return ((x / root_items) @ top.T) @ top * root_items


def user_neighbours(x: Array, neighbours: int) -> Array:
    """Scores ``(users, items)``: cosine-weighted events of the nearest users."""
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    near = unit @ unit.T
    np.fill_diagonal(near, 0.0)
    least = np.sort(near, axis=1)[:, -min(neighbours, len(near) - 1)][:, None]
    return np.where(near >= least, near, 0.0) @ x
