r"""What follows the last items: counts of which item comes after which, for the last few of them.

.. math:: C_{ij} = \sum_{\text{j comes g after i}} 2^{-g/2}, \qquad
    s_j = \sum_{k \ge 0} 2^{-k/h} \frac{C_{i_k j}}{(n_{i_k} n_j^a)^{1/2}}

with :math:`i_k` the item met k events ago. How soon earlier ones are forgotten (:math:`h`), and how
much popularity is held against an item (:math:`a`), have the best NDCG@10 on validation rows. What
was met before is scored like the rest; where it does not compete it is left out of the ranking.

Source: Ludewig and Jannach 2018, "Evaluation of Session-based Recommendation Algorithms",
https://arxiv.org/abs/1803.09587, section 3.1 (sequential rules).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse

from mtrec.features.events import Events
from mtrec.peers import past
from mtrec.peers.base import Array, PeerTask, Question, Specialist

REACH = 10  # events between two items that are counted as following each other, at most
HALF_LIVES, POWERS = (0.5, 2.0, 8.0), (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class LastItems(Specialist):
    """Weights from item to item, as the arrays of a sparse matrix, and the half-life."""

    data: Array
    indices: Array
    indptr: Array
    half_life: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, items)``."""
        size = len(self.indptr) - 1
        follows = sparse.csr_matrix((self.data, self.indices, self.indptr), shape=(size, size))
        known = past.before(asked, np.zeros((0, 2), int), float(self.half_life))
        return (known @ follows).toarray()


def last_items(task: PeerTask) -> LastItems:
    """Count what follows what in training.

    Raises:
        NoAnswer: the task does not rank items, or has no validation rows.
    """
    past.require(task, "last_items", items=True)
    counts = follow(past.training(task), len(task.candidates.ids))
    rows, none = past.choosing(task, "last_items"), np.zeros((0, 2), int)
    inputs = {life: past.before(rows, none, life) for life in HALF_LIVES}
    best, most = None, -np.inf
    for (life, known), power in product(inputs.items(), POWERS):
        found = normalised(counts, power)
        value = task.ranked((known @ found).toarray())
        if value > most:
            best, most = (found, life), value
    assert best is not None
    found, life = best
    return LastItems(found.data, found.indices, found.indptr, np.asarray(life))


def follow(events: Events, items: int) -> sparse.csr_matrix:
    """How often each item comes soon after each other, near ones counting more."""
    found = sparse.csr_matrix((items, items))
    for gap in range(1, min(REACH, len(events.user) - 1) + 1):
        one, other = slice(1, -gap), slice(1 + gap, None)
        same = (events.user[one] == events.user[other]) & (events.user[one] > 0)
        same &= (events.item[one] > 0) & (events.item[other] > 0)
        same &= events.item[one] != events.item[other]
        pair = events.item[one][same] - 1, events.item[other][same] - 1
        weight = np.full(len(pair[0]), 2.0 ** (-gap / 2))
        found = found + sparse.csr_matrix((weight, pair), shape=(items, items))
    return found


def normalised(counts: sparse.csr_matrix, power: float) -> sparse.csr_matrix:
    """Counts over the roots of what comes before and of a power of what comes after."""
    left, right = (np.maximum(counts.sum(axis=axis).A1, 1.0) for axis in (1, 0))
    scaled = sparse.diags(left**-0.5) @ counts @ sparse.diags(right ** (-power / 2))
    return scaled.tocsr().astype("float32")
