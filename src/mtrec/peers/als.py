r"""Implicit feedback by alternating least squares, with a user's factors as of each row.

Items have factors :math:`Y` from the package ``implicit``. A user who met the items :math:`S` has

.. math:: p = \Big(Y^\top Y + \lambda I + (c - 1) \sum_{i \in S} y_i y_i^\top\Big)^{-1}
    c \sum_{i \in S} y_i

with the confidence :math:`c`, so that what he did after training counts, too. Number of factors and
confidence are those with the best NDCG@10 on validation rows.

Source: Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets",
https://doi.org/10.1109/ICDM.2008.22, eq. 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from mtrec.peers import past
from mtrec.peers.base import Array, PeerTask, Question, Specialist

FACTORS, CONFIDENCES = (16, 48), (2.0, 10.0)
PENALTY, ITERATIONS = 1.0, 15
BLOCK = 1024  # rows whose equations are solved at a time


@dataclass(frozen=True)
class Als(Specialist):
    """Factors ``(candidates, factors)``, confidence, and the training links among users."""

    factors: Array
    confidence: Array
    links: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, candidates)``."""
        known = past.before(asked, self.links)
        return users(self.factors, known, float(self.confidence)) @ self.factors.T


def als(task: PeerTask) -> Als:
    """Fit on what users met in training.

    Raises:
        NoAnswer: the task ranks nothing, or has no validation rows.
    """
    past.require(task, "als")
    matrix, links = past.met(task), past.links(task)
    known = past.before(past.choosing(task, "als"), links)
    best, most = None, -np.inf
    with threadpool_limits(1):
        for size, confidence in product(FACTORS, CONFIDENCES):
            factors = fit(matrix, size, confidence, task.seed)
            value = task.ranked(users(factors, known, confidence) @ factors.T)
            if value > most:
                best, most = Als(factors, np.asarray(confidence), links), value
    assert best is not None
    return best


def fit(matrix: sparse.csr_matrix, size: int, confidence: float, seed: int) -> Array:
    """Factors of the candidates, ``(candidates, size)`` float32."""
    from implicit.cpu.als import AlternatingLeastSquares  # what answers needs none

    model = AlternatingLeastSquares(
        factors=size, regularization=PENALTY, alpha=confidence, iterations=ITERATIONS,
        num_threads=1, random_state=seed,
    )  # fmt: skip
    model.fit(matrix.astype("float32"), show_progress=False)
    return model.item_factors


def users(factors: Array, known: sparse.csr_matrix, confidence: float) -> Array:
    """Factors of users from what they met, ``(n, factors)`` float32."""
    size = factors.shape[1]
    shared = factors.T @ factors + PENALTY * np.eye(size)
    known, factors = past.narrowed(known, factors)
    outer = (factors[:, :, None] * factors[:, None, :]).reshape(-1, size * size)
    found = np.empty((known.shape[0], size), dtype="float32")
    for start in range(0, len(found), BLOCK):
        part = known[start : start + BLOCK]
        left = shared + (confidence - 1) * (part @ outer).reshape(-1, size, size)
        right = confidence * (part @ factors)
        found[start : start + BLOCK] = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    return found
