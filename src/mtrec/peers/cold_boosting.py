"""CatBoost: gradient-boosted trees on the same features, without histories.

Source: Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features",
https://arxiv.org/abs/1706.09516.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mtrec.peers.question import Array, Question, Rows, entity_frame, frame, judge, require
from mtrec.registry import Form

SETTINGS = tuple({"depth": d, "learning_rate": r} for d, r in product((2, 4, 6), (0.05, 0.1)))
TREES, PATIENCE = 400, 20
NEGATIVES = 3  # candidates drawn per chosen one
Labelled = tuple[pd.DataFrame, Array]


def answers(question: Question) -> bool:
    """Whether any column is left to split on; a new entity without properties has none."""
    if question.kind.candidates:
        return any(side.shape[1] > 0 for side in _sides(question))
    return bool((frame(question, question.training).nunique() > 1).any())


def predict(question: Question) -> Array:
    """Predictions of the test rows in the form of the task type's ``predict``.

    The number of trees is that with the lowest validation loss, and of :data:`SETTINGS` that with
    the best main metric on the validation rows answers. A ranking task becomes one of pairs: was
    this candidate chosen, or is it one of those drawn beside the chosen one? Its scores rank;
    context columns, which change from row to row, are left out of it.

    Raises:
        ImportError: CatBoost is not installed.
    """
    ranking = bool(question.kind.candidates)
    parts = (_pairs if ranking else _rows)(question)
    answer = _scores if ranking else _values

    def valid(model: Any) -> float:
        return judge(question, answer(question, model, question.validation))

    best = max((_fit(question, setting, *parts) for setting in SETTINGS), key=valid)
    return answer(question, best, question.test)


def _rows(question: Question) -> tuple[Labelled, Labelled]:
    """Training and validation rows with their labels."""
    training, held = (
        (frame(question, r), r.label) for r in (question.training, question.validation)
    )
    return training, held


def _fit(question: Question, setting: dict[str, float], training: Labelled, held: Labelled) -> Any:
    catboost = require("catboost")
    form = question.kind.form
    (columns, labels), (held_columns, held_labels) = training, held
    shared: dict[str, Any] = setting | {
        "iterations": TREES, "early_stopping_rounds": PATIENCE, "random_seed": question.seed,
        "allow_writing_files": False, "verbose": False,
        "cat_features": [c for c in columns if columns[c].dtype.kind == "i"],
    }  # fmt: skip
    if form in (Form.BIT, Form.RANK):
        model = catboost.CatBoostClassifier(loss_function="Logloss", **shared)
    elif form in (Form.CLASS, Form.LEVEL):
        known = np.isin(held_labels, labels)  # CatBoost refuses classes that training lacks
        held_columns, held_labels = held_columns[known], held_labels[known]
        model = catboost.CatBoostClassifier(loss_function="MultiClass", **shared)
    elif form is Form.SET:
        model = catboost.CatBoostClassifier(loss_function="MultiLogloss", **shared)
        labels, held_labels = labels.astype(int), held_labels.astype(int)
    else:
        model = catboost.CatBoostRegressor(loss_function="RMSE", **shared)
    return model.fit(columns, labels, eval_set=(held_columns, held_labels))


def _values(question: Question, model: Any, rows: Rows) -> Array:
    """Predictions of rows in the form of the task type's ``predict``."""
    kind, columns = question.kind, frame(question, rows)
    if kind.form is Form.BIT:
        return model.predict_proba(columns)[:, 1]
    if kind.form is Form.SET:
        return model.predict_proba(columns)
    if kind.form in (Form.CLASS, Form.LEVEL):
        found = np.full((len(columns), len(kind.class_names)), 1e-6)
        found[:, model.classes_.astype(int)] = model.predict_proba(columns)
        return found / found.sum(axis=1, keepdims=True)
    return model.predict(columns)


def _scores(question: Question, model: Any, rows: Rows) -> Array:
    """Scores of every candidate per row, ``(n, candidates)``."""
    own, theirs = _sides(question)
    users, place = np.unique(rows.inputs["user"], return_inverse=True)
    count = len(question.candidates.ids)
    scores = np.empty((len(users), count), dtype="float32")
    for row, user in enumerate(users):
        asked = _join(own, theirs, np.full(count, user), np.arange(1, count + 1))
        scores[row] = model.predict(asked, prediction_type="RawFormulaVal")
    return scores[place]


def _pairs(question: Question) -> tuple[Labelled, Labelled]:
    """Chosen candidates and drawn ones that compete with them, in training and validation."""
    rng = np.random.default_rng(question.seed)
    own, theirs = _sides(question)

    def drawn_beside(rows: Rows) -> Labelled:
        assert rows.out is not None
        user, chosen = rows.inputs["user"], rows.label
        drawn = rng.integers(0, rows.out.shape[1], (len(user), NEGATIVES))
        legal = ~rows.out[np.arange(len(user))[:, None], drawn] & (drawn != chosen[:, None])
        row, column = np.nonzero(legal)
        users = np.concatenate([user, user[row]])
        candidates = np.concatenate([chosen, drawn[row, column]])
        label = np.concatenate([np.ones(len(user)), np.zeros(len(row))])
        return _join(own, theirs, users, candidates + 1), label

    return drawn_beside(question.training), drawn_beside(question.validation)


def _sides(question: Question) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns of users and of candidates by row; the candidates' are told apart by a prefix."""
    side = question.candidates
    names = tuple(field.name for field in side.fields)
    own = entity_frame(question.encoder.user, question.without_ids(question.seen.user))
    return own, entity_frame(side, question.without_ids(names)).add_prefix("candidate ")


def _join(own: pd.DataFrame, theirs: pd.DataFrame, users: Array, candidates: Array) -> pd.DataFrame:
    parts = own.iloc[users], theirs.iloc[candidates]
    return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
