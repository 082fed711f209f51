"""Vectors of users and items from who met what in training: PCA, truncated SVD or NMF.

An optional feature step. A user's row of the interaction matrix is long and mostly zero; a few
components of it say whom he resembles, before any gradient.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import sparse
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mtrec.features.source import Asked, Found, Vectors
from mtrec.settings import Settings as Base

Array = np.ndarray
METHODS = ("pca", "svd", "nmf")


class Settings(Base):
    """``features.factors``: vectors from the matrix of training events (article §9.1)."""

    method: Literal["pca", "svd", "nmf"]
    components: int = Field(16, ge=1, description="length of a vector")


def factors(asked: Asked) -> Found:
    """The feature ``factors`` of users and items, from one factorisation."""
    found = factorize(asked.events, asked.settings.method, asked.settings.components)
    return {
        one.side: {"factors": Vectors(align(found[one.key], one.table[one.key]))}
        for one in asked.sides
    }


def interactions(events: pd.DataFrame) -> tuple[sparse.csr_matrix, pd.Index, pd.Index]:
    r""":math:`\log(1 + n_{ui})` of the events of each user and item, with the ids of both axes."""
    users, items = (pd.Index(np.sort(events[key].unique())) for key in ("user_id", "item_id"))
    row, column = users.get_indexer(events["user_id"]), items.get_indexer(events["item_id"])
    counts = sparse.csr_matrix(
        (np.ones(len(events)), (row, column)), (len(users), len(items))
    )  # the constructor adds up what repeats
    return counts.log1p(), users, items


def factorize(events: pd.DataFrame, method: str, components: int) -> dict[str, pd.DataFrame]:
    r"""Vectors of all users and items with events.

    With the matrix :math:`M \approx U S V^\top` (``svd``), or :math:`M` less its column means
    (``pca``), users get :math:`U S` and items :math:`V S`; with :math:`M \approx W H`,
    :math:`W, H \ge 0` (``nmf``), they get :math:`W` and :math:`H^\top`. Both are divided by their
    mean length, so that the methods give vectors of one size.

    Args:
        events: training events; nobody else's are known.
        method: ``pca``, ``svd`` or ``nmf``.
        components: length of a vector; fewer if there are not as many users or items.

    Returns:
        ``user_id`` and ``item_id``: vectors by id, ``(ids, components)``.

    Raises:
        ValueError: unknown method.

    Source: Koren, Bell and Volinsky 2009, https://doi.org/10.1109/MC.2009.263; Lee and Seung 1999,
    https://doi.org/10.1038/44565; computed by scikit-learn.
    """
    if method not in METHODS:
        raise ValueError(
            f"features.factors.method: '{method}' is unknown (known: {', '.join(METHODS)}). "
            "Name one of these in params.yaml."
        )
    matrix, users, items = interactions(events)
    components = min(components, min(matrix.shape) - 1)
    if components < 1:
        return {"user_id": pd.DataFrame(index=users), "item_id": pd.DataFrame(index=items)}
    with threadpool_limits(1):  # the same sums whatever the number of cores
        left, right = _decompose(matrix, method, components)
    return {
        "user_id": pd.DataFrame(_unit(left), index=users),
        "item_id": pd.DataFrame(_unit(right), index=items),
    }


def align(found: pd.DataFrame, ids: pd.Series) -> Array:
    """Vectors ``(n, components)`` float32 in the order of ``ids``; NaN for ids without events."""
    return found.reindex(ids.to_numpy()).to_numpy(dtype="float32")


def _decompose(matrix: sparse.csr_matrix, method: str, components: int) -> tuple[Array, Array]:
    if method == "nmf":
        model = NMF(components, init="nndsvda", max_iter=200, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close is good enough a feature
            return model.fit_transform(matrix), model.components_.T
    fit = {
        "pca": PCA(components, svd_solver="arpack", random_state=0),
        "svd": TruncatedSVD(components, algorithm="arpack", random_state=0),
    }[method]
    return fit.fit_transform(matrix), fit.components_.T * fit.singular_values_


def _unit(vectors: Array) -> Array:
    return vectors / max(float(np.linalg.norm(vectors, axis=1).mean()), 1e-12)
