"""CatBoost: gradient-boosted trees on the same features, without histories.

Source: Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features",
https://arxiv.org/abs/1706.09516.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mtrec.cold.peers import Array, Question, Rows, entity_frame, frame, require
from mtrec.tasks import Binary, Multiclass, Multilabel, Ordinal, Ranking

TREES, DEPTH, RATE, PATIENCE = 200, 4, 0.1, 20
NEGATIVES = 3  # candidates drawn per chosen one


def answers(question: Question) -> bool:
    """Whether any column is left to split on; a new entity without properties has none."""
    if isinstance(question.kind, Ranking):
        one = np.ones(1, dtype="int32")
        return _join(question, one, one).shape[1] > 0
    return bool((frame(question, question.training).nunique() > 1).any())


def predict(question: Question) -> Array:
    """Predictions of the test rows in the form of the task type's ``predict``.

    The number of trees is that with the lowest validation loss. A ranking task becomes one of
    pairs: was this candidate chosen, or is it one of those drawn beside the chosen one? Its scores
    rank; context columns, which change from row to row, are left out of it.

    Raises:
        ImportError: CatBoost is not installed.
    """
    if isinstance(question.kind, Ranking):
        return _rank(question)
    training, validation, test = (
        frame(question, rows) for rows in (question.training, question.validation, question.test)
    )
    model = _fit(question, training, question.training, validation, question.validation)
    return _values(question, model, test)


def _fit(
    question: Question, training: pd.DataFrame, rows: Rows, validation: pd.DataFrame, held: Rows
) -> Any:
    catboost = require("catboost")
    kind = question.kind
    shared: dict[str, Any] = {
        "iterations": TREES, "depth": DEPTH, "learning_rate": RATE,
        "early_stopping_rounds": PATIENCE, "random_seed": question.seed,
        "allow_writing_files": False, "verbose": False,
        "cat_features": [c for c in training if training[c].dtype.kind == "i"],
    }  # fmt: skip
    labels, held_labels = rows.label, held.label
    if isinstance(kind, (Binary, Ranking)):
        model = catboost.CatBoostClassifier(loss_function="Logloss", **shared)
    elif isinstance(kind, (Multiclass, Ordinal)):
        known = np.isin(held_labels, labels)  # CatBoost refuses classes that training lacks
        validation, held_labels = validation[known], held_labels[known]
        model = catboost.CatBoostClassifier(loss_function="MultiClass", **shared)
    elif isinstance(kind, Multilabel):
        model = catboost.CatBoostClassifier(loss_function="MultiLogloss", **shared)
        labels, held_labels = labels.astype(int), held_labels.astype(int)
    else:
        model = catboost.CatBoostRegressor(loss_function="RMSE", **shared)
    return model.fit(training, labels, eval_set=(validation, held_labels))


def _values(question: Question, model: Any, test: pd.DataFrame) -> Array:
    kind = question.kind
    if isinstance(kind, Binary):
        return model.predict_proba(test)[:, 1]
    if isinstance(kind, Multilabel):
        return model.predict_proba(test)
    if isinstance(kind, (Multiclass, Ordinal)):
        found = np.full((len(test), len(kind.classes)), 1e-6)
        found[:, model.classes_.astype(int)] = model.predict_proba(test)
        return found / found.sum(axis=1, keepdims=True)
    return model.predict(test)


def _rank(question: Question) -> Array:
    """Scores of every candidate per test row, ``(n, candidates)``."""
    rng = np.random.default_rng(question.seed)
    pairs = [_pairs(question, rows, rng) for rows in (question.training, question.validation)]
    (training, rows), (validation, held) = pairs
    model = _fit(question, training, rows, validation, held)
    users, place = np.unique(question.test.inputs["user"], return_inverse=True)
    count = len(question.candidates.ids)
    scores = np.empty((len(users), count), dtype="float32")
    for row, user in enumerate(users):
        asked = _join(question, np.full(count, user), np.arange(1, count + 1))
        scores[row] = model.predict(asked, prediction_type="RawFormulaVal")
    return scores[place]


def _pairs(question: Question, rows: Rows, rng: np.random.Generator) -> tuple[pd.DataFrame, Rows]:
    """Chosen candidates and drawn ones that compete with them."""
    assert rows.out is not None
    user, chosen = rows.inputs["user"], rows.label
    drawn = rng.integers(0, rows.out.shape[1], (len(user), NEGATIVES))
    legal = ~rows.out[np.arange(len(user))[:, None], drawn] & (drawn != chosen[:, None])
    row, column = np.nonzero(legal)
    users = np.concatenate([user, user[row]])
    candidates = np.concatenate([chosen, drawn[row, column]])
    label = np.concatenate([np.ones(len(user)), np.zeros(len(row))])
    return _join(question, users, candidates + 1), Rows({"user": users}, label)


def _join(question: Question, users: Array, candidates: Array) -> pd.DataFrame:
    """Features of pairs; the candidates' columns are told apart by a prefix."""
    side = question.candidates
    names = tuple(field.name for field in side.fields)
    own = entity_frame(question.encoder.user, question.without_ids(question.seen.user)).iloc[users]
    theirs = entity_frame(side, question.without_ids(names)).iloc[candidates]
    theirs = theirs.add_prefix("candidate ")
    return pd.concat([own.reset_index(drop=True), theirs.reset_index(drop=True)], axis=1)
