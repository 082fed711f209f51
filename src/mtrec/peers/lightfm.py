"""LightFM: matrix factorization in which a user or item is the sum of its features' factors.

Source: Kula 2015, "Metadata Embeddings for User and Item Cold-start Recommendations",
https://arxiv.org/abs/1507.08439; in the maintained package ``lightfm-next``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from mtrec.peers.base import Array, PeerTask
from mtrec.peers.columns import entity_matrix
from mtrec.registry import PEERS, Form

SETTINGS = tuple(
    {"no_components": k, "learning_rate": r} for k, r in product((15, 30, 60), (0.02, 0.05))
)
EPOCHS = (3, 10, 20)


def lightfm(asked: PeerTask) -> Array:
    """Scores ``(n, candidates)``, or probabilities ``(n,)`` of yes, of the test rows, else zero.

    Ranking is learnt with the WARP loss, among candidates that are not held out; yes or no with
    the logistic one. Ids are features among others, so that a new entity has its tables and text.
    Of :data:`SETTINGS` and :data:`EPOCHS` that with the best main metric on the validation rows
    answers.

    Raises:
        ImportError: LightFM is not installed.
        NoAnswer: it is neither a ranking, nor yes or no about a user and an item.
        ValueError: training diverges with every setting.
    """
    also = bool(asked.kind.candidates or (asked.seen.user and asked.seen.item))
    asked.require("lightfm", (Form.BIT, Form.RANK), also, "that see user and item")
    PEERS.package("lightfm")
    best, found, fault = -np.inf, None, None
    for setting in SETTINGS:
        try:
            for valid, test in _answers(asked, setting):
                value = asked.judge(valid)
                if value > best or found is None:
                    best, found = value, test
        except ValueError as error:  # diverged; what it said before that counts
            fault = error
    if found is None:
        assert fault is not None
        raise fault
    return asked.placed(asked.rows("test"), found)


def _answers(asked: PeerTask, setting: dict[str, float]) -> Iterator[tuple[Array, Array]]:
    """Answers to the validation and the test rows after each number of epochs."""
    ranking = bool(asked.kind.candidates)
    users = entity_matrix(asked.encoder.user, asked.seen.user)
    others = entity_matrix(asked.candidates, None if ranking else asked.seen.item)
    offered = _offered(asked, others.shape[0])
    interactions = _interactions(asked, users.shape[0], offered)
    model = PEERS.package("lightfm").LightFM(
        loss="warp" if ranking else "logistic", random_state=asked.seed, **setting
    )
    for before, epochs in pairwise((0, *EPOCHS)):
        model.fit_partial(
            interactions, user_features=users, item_features=others[offered], epochs=epochs - before
        )
        valid, test = (
            _scores(model, users, others, asked, asked.rows(split))
            for split in ("validation", "test")
        )
        yield valid, test


def _offered(asked: PeerTask, rows: int) -> Array:
    """Rows of the candidates that training may show, also as wrong answers."""
    if not asked.kind.candidates:
        return np.arange(rows)
    return np.flatnonzero(np.r_[False, ~asked.out("train").all(axis=0)])


def _interactions(asked: PeerTask, users: int, offered: Array) -> sparse.coo_matrix:
    """What training shows: 1 for a chosen candidate; 1 for yes and -1 for no."""
    rows = asked.rows("train")
    user, item, labels = asked.entities["user"][rows], asked.entities["item"], asked.labels[rows]
    if asked.kind.candidates:
        other, value = labels + 1, np.ones(len(rows), dtype="float32")
    else:
        other, value = item[rows], np.where(labels > 0, 1.0, -1.0)
    column = np.searchsorted(offered, other)
    return sparse.coo_matrix((value.astype("float32"), (user, column)), (users, len(offered)))


def _scores(
    model: Any, users: sparse.csr_matrix, others: sparse.csr_matrix, asked: PeerTask, rows: Array
) -> Array:
    user_bias, user = model.get_user_representations(users[asked.entities["user"][rows]])
    if asked.kind.candidates:
        bias, other = model.get_item_representations(others[1:])
        return user @ other.T + bias
    bias, other = model.get_item_representations(others[asked.entities["item"][rows]])
    return expit((user * other).sum(axis=1) + bias + user_bias)
