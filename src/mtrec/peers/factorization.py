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

from mtrec.peers.question import Array, Question, Rows, entity_matrix, judge, require
from mtrec.registry import Form

SETTINGS = tuple(
    {"no_components": k, "learning_rate": r} for k, r in product((15, 30, 60), (0.02, 0.05))
)
EPOCHS = (3, 10, 20)


def answers(question: Question) -> bool:
    """Whether LightFM can be asked: which candidate, or yes or no about a user and an item."""
    both = bool(question.seen.user and question.seen.item)
    return bool(question.kind.candidates) or (question.kind.form is Form.BIT and both)


def predict(question: Question) -> Array:
    """Scores ``(n, candidates)``, or probabilities ``(n,)`` of a binary task, of the test rows.

    Ranking is learnt with the WARP loss, among candidates that are not held out; yes or no with
    the logistic one. Ids are features among others, so that a new entity has its tables and text.
    Of :data:`SETTINGS` and :data:`EPOCHS` that with the best main metric on the validation rows
    answers.

    Raises:
        ImportError: LightFM is not installed.
        ValueError: training diverges with every setting.
    """
    require("lightfm")
    best, found, fault = -np.inf, None, None
    for setting in SETTINGS:
        try:
            for valid, test in _answers(question, setting):
                value = judge(question, valid)
                if value > best or found is None:
                    best, found = value, test
        except ValueError as error:  # diverged; what it said before that counts
            fault = error
    if found is None:
        assert fault is not None
        raise fault
    return found


def _answers(question: Question, setting: dict[str, float]) -> Iterator[tuple[Array, Array]]:
    """Answers to the validation and the test rows after each number of epochs."""
    ranking = bool(question.kind.candidates)
    users = entity_matrix(question.encoder.user, question.seen.user)
    others = entity_matrix(question.candidates, None if ranking else question.seen.item)
    offered = _offered(question, others.shape[0])
    interactions = _interactions(question, users.shape[0], offered)
    model = require("lightfm").LightFM(
        loss="warp" if ranking else "logistic", random_state=question.seed, **setting
    )
    for before, epochs in pairwise((0, *EPOCHS)):
        model.fit_partial(
            interactions, user_features=users, item_features=others[offered], epochs=epochs - before
        )
        valid, test = (
            _scores(model, users, others, rows, ranking)
            for rows in (question.validation, question.test)
        )
        yield valid, test


def _offered(question: Question, rows: int) -> Array:
    """Rows of the candidates that training may show, also as wrong answers."""
    if not question.kind.candidates:
        return np.arange(rows)
    assert question.training.out is not None
    return np.flatnonzero(np.r_[False, ~question.training.out.all(axis=0)])


def _interactions(question: Question, users: int, offered: Array) -> sparse.coo_matrix:
    """What training shows: 1 for a chosen candidate; 1 for yes and -1 for no."""
    rows = question.training
    if question.kind.candidates:
        other, value = rows.label + 1, np.ones(len(rows.label), dtype="float32")
    else:
        other, value = rows.inputs["item"], np.where(rows.label > 0, 1.0, -1.0)
    column = np.searchsorted(offered, other)
    return sparse.coo_matrix(
        (value.astype("float32"), (rows.inputs["user"], column)), (users, len(offered))
    )


def _scores(
    model: Any, users: sparse.csr_matrix, others: sparse.csr_matrix, rows: Rows, ranking: bool
) -> Array:
    user_bias, user = model.get_user_representations(users[rows.inputs["user"]])
    if ranking:
        bias, other = model.get_item_representations(others[1:])
        return user @ other.T + bias
    bias, other = model.get_item_representations(others[rows.inputs["item"]])
    return expit((user * other).sum(axis=1) + bias + user_bias)
