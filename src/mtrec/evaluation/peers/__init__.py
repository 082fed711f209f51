"""Peers by their name in ``params.yaml``: well-known systems judged on the same test rows.

A peer is fitted on training rows, chooses its settings on validation rows, and predicts all
examples in the form of the task type's ``predict``. Another one is one module and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from mtrec.evaluation.peers.base import Array, PeerTask
from mtrec.evaluation.peers.boosting import boosting
from mtrec.evaluation.peers.common_neighbours import common_neighbours
from mtrec.evaluation.peers.random_effects import random_effects
from mtrec.evaluation.peers.svdpp import svdpp
from mtrec.evaluation.peers.tfidf import tfidf

PEERS: dict[str, Callable[[PeerTask], Array]] = {
    "boosting": boosting,
    "common_neighbours": common_neighbours,
    "random_effects": random_effects,
    "svdpp": svdpp,
    "tfidf": tfidf,
}


def predict(name: str, task: PeerTask) -> Array:
    """Predictions of peer ``name`` for all examples.

    Raises:
        ValueError: there is no such peer.
    """
    if name not in PEERS:
        raise ValueError(
            f"task '{task.name}': peers: names '{name}', which does not exist (known: "
            f"{', '.join(PEERS) or 'none'}). Mend peers: in params.yaml."
        )
    return PEERS[name](task)
