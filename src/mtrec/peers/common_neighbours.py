r"""Links between users from the links they have in common.

With :math:`A_{ab} = 1` where a training row says that a chose b, the score of b for a is

.. math:: \sum_c w_c\, X_{ac} Y_{cb}, \qquad (X, Y) \in
    \{(A, A^\top), (A, A), (U, U)\}, \quad U = A \vee A^\top

``out``: both chose c; ``path``: a chose c, who chose b; ``any``: c is linked to both, whatever the
direction. The weight is 1 (common neighbours) or one over the logarithm of c's links (Adamic and
Adar). A link from b to a may count more than all of that (``returned``). Ties are broken by how
often b was chosen. The variant with the best NDCG@10 on validation rows is used.

Source: Liben-Nowell and Kleinberg 2007, https://doi.org/10.1002/asi.20591, section 3; Adamic and
Adar 2003, https://doi.org/10.1016/S0378-8733(03)00009-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags

from mtrec.features.candidates import left_out
from mtrec.features.links import links
from mtrec.metrics.families import ranking_rows
from mtrec.metrics.ranks import ranks
from mtrec.peers import past
from mtrec.peers.base import Array, NoAnswer, PeerTask, Question, Specialist

TIE_BREAK = 1e-6  # of a vote; a hundred thousand links would be one tenth of it


class Variant(NamedTuple):
    """How links in common are counted."""

    direction: str
    adamic_adar: bool
    returned: bool


VARIANTS = tuple(
    Variant(*each) for each in product(("out", "path", "any"), (False, True), (False, True))
)


@dataclass(frozen=True)
class CommonNeighbours(Specialist):
    """Who chose whom in training, :func:`mtrec.peers.past.links`, and the variant that counts."""

    links: Array
    direction: Array
    adamic_adar: Array
    returned: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, users)``."""
        size = asked.kind.outputs
        if size not in self._votes:
            graph = links(self.links[:, 0], self.links[:, 1] - 1, size)
            variant = Variant(str(self.direction), bool(self.adamic_adar), bool(self.returned))
            self._votes[size] = votes(graph, variant)
        return counted(*self._votes[size], asked.user)

    @cached_property
    def _votes(self) -> dict[int, tuple[csr_matrix, Array]]:
        """From :func:`votes`, by number of users: the same for every question."""
        return {}


def common_neighbours(asked: PeerTask) -> CommonNeighbours:
    """Choose the variant.

    Raises:
        NoAnswer: the task does not rank users.
    """
    kind = asked.kind
    if kind.candidates != "users":
        raise NoAnswer(
            f"task '{asked.name}': peer common_neighbours ranks users (type ranking, candidates "
            "users). Drop it from peers: in params.yaml."
        )
    user, chosen = asked.encoder.user.rows(asked.tables.examples["user_id"]), past.links(asked)
    graph = links(chosen[:, 0], chosen[:, 1] - 1, kind.outputs)
    held = asked.rows("validation")
    out = left_out(kind, asked.encoder, asked.tables, asked.task.label, held)

    def quality(variant: Variant) -> float:
        found = ranks(scores(graph, user[held], variant), asked.labels[held], out)
        return float(ranking_rows(found)["ndcg@10"].mean())

    best = max(VARIANTS, key=quality) if len(held) else VARIANTS[0]
    return CommonNeighbours(chosen, *(np.asarray(part) for part in best))


def scores(graph: csr_matrix, user: Array, variant: Variant) -> Array:
    """Score of each user of the catalogue for each row's user, ``(n, users)``."""
    return counted(*votes(graph, variant), user)


def votes(graph: csr_matrix, variant: Variant) -> tuple[csr_matrix, Array]:
    """Votes of links in common for every pair ``(users, users)``, and what breaks their ties."""
    either = graph.maximum(graph.T).tocsr()
    left, right = {
        "out": (graph, graph.T),
        "path": (graph, graph),
        "any": (either, either),
    }[variant.direction]
    if variant.adamic_adar:
        degree = np.maximum(either.sum(axis=1).A1, 2)  # who links two users has two links
        left = left @ diags(1 / np.log(degree))
    found = (left @ right).tocsr()
    if variant.returned:
        found = found + (found.max() + 1) * graph.T.tocsr()
    return found, TIE_BREAK * graph.sum(axis=0).A1


def counted(found: csr_matrix, ties: Array, user: Array) -> Array:
    """Scores of some rows' users, ``(n, users)``; row 0 is a user without links."""
    known = user > 0
    own = found[np.maximum(user, 1) - 1].multiply(known[:, None])
    return own.toarray() + ties
