r"""EASE: item-item regression with a closed form.

With :math:`X` the users' zeros and ones, the weights that predict each column from all others are

.. math:: P = (X^\top X + \lambda I)^{-1}, \qquad B_{ij} = -\frac{P_{ij}}{P_{jj}}, \quad B_{jj} = 0

and a row's scores are :math:`x B` with :math:`x` what its user met before. Older events may count
less. The penalty and the half-life are those with the best NDCG@10 on validation rows.

Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data",
https://arxiv.org/abs/1905.03375, eq. 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from mtrec.peers import past
from mtrec.peers.base import Array, PeerTask, Question, Specialist

PENALTIES = (20.0, 100.0, 500.0, 2500.0)
HALF_LIVES = (np.inf, 30.0, 8.0)  # events


@dataclass(frozen=True)
class Ease(Specialist):
    """Weights ``(candidates, candidates)``, half-life, and the training links among users."""

    weights: Array
    half_life: Array
    links: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, candidates)``."""
        known = past.before(asked, self.links, float(self.half_life))
        known, rows = past.narrowed(known, self.weights)
        return known @ rows

    @classmethod
    def restored(cls, state: Mapping[str, Array]) -> Self:
        """Undo :meth:`state`, with each row together: a request reads a few of them."""
        return cls(**{**state, "weights": np.ascontiguousarray(state["weights"])})


def ease(task: PeerTask) -> Ease:
    """Fit on what users met in training.

    Raises:
        NoAnswer: the task ranks nothing, or too many, or has no validation rows.
    """
    past.require(task, "ease", "a number for each pair of candidates")
    matrix, links, rows = past.met(task), past.links(task), past.choosing(task, "ease")
    lives = HALF_LIVES if task.kind.candidates == "items" else HALF_LIVES[:1]
    inputs = {life: past.before(rows, links, life) for life in lives}
    best, most = None, -np.inf
    for penalty in PENALTIES:
        found = weights(matrix, penalty)
        for life, known in inputs.items():
            value = task.ranked(known @ found)
            if value > most:
                best, most = Ease(found, np.asarray(life), links), value
    assert best is not None
    return best


def weights(matrix: sparse.csr_matrix, penalty: float) -> Array:
    """The regression's weights, ``(candidates, candidates)`` float32."""
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    with threadpool_limits(1):  # the same sums whatever the number of cores
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0.0)
    return found.astype("float32")
