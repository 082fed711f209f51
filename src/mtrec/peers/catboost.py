"""CatBoost: gradient-boosted trees on the same features, without histories.

Source: Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features",
https://arxiv.org/abs/1706.09516.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mtrec.peers.base import Array, PeerTask
from mtrec.peers.columns import entity_frame, frame
from mtrec.registry import PEERS, Form

SETTINGS = tuple({"depth": d, "learning_rate": r} for d, r in product((2, 4, 6), (0.05, 0.1)))
TREES, PATIENCE = 400, 20
NEGATIVES = 3  # candidates drawn per chosen one
Labelled = tuple[pd.DataFrame, Array]


def catboost(asked: PeerTask) -> Array:
    """Predictions of the test rows in the form of the task type's ``predict``, zero elsewhere.

    The number of trees is that with the lowest validation loss, and of :data:`SETTINGS` that with
    the best main metric on the validation rows answers. A ranking task becomes one of pairs: was
    this candidate chosen, or is it one of those drawn beside the chosen one? Its scores rank;
    context columns, which change from row to row, are left out of it.

    Raises:
        ImportError: CatBoost is not installed.
        NoAnswer: there is no column to split on; a new entity without properties has none.
    """
    asked.require("catboost", tuple(Form), _columns(asked), "with a column to split on")
    ranking = bool(asked.kind.candidates)
    parts = (_pairs if ranking else _rows)(asked)
    answer = _scores if ranking else _values
    validation, test = asked.rows("validation"), asked.rows("test")

    def valid(model: Any) -> float:
        return asked.judge(answer(asked, model, validation))

    best = max((_fit(asked, setting, *parts) for setting in SETTINGS), key=valid)
    return asked.placed(test, answer(asked, best, test))


def _columns(asked: PeerTask) -> bool:
    """Whether any column is left to split on."""
    if asked.kind.candidates:
        return any(side.shape[1] > 0 for side in _sides(asked))
    return bool((frame(asked, asked.rows("train")).nunique() > 1).any())


def _rows(asked: PeerTask) -> tuple[Labelled, Labelled]:
    """Training and validation rows with their labels."""
    training, held = asked.rows("train"), asked.rows("validation")
    return (frame(asked, training), asked.labels[training]), (
        frame(asked, held),
        asked.labels[held],
    )


def _fit(asked: PeerTask, setting: dict[str, float], training: Labelled, held: Labelled) -> Any:
    package = PEERS.package("catboost")
    form = asked.kind.form
    (columns, labels), (held_columns, held_labels) = training, held
    shared: dict[str, Any] = setting | {
        "iterations": TREES, "early_stopping_rounds": PATIENCE, "random_seed": asked.seed,
        "allow_writing_files": False, "verbose": False,
        "cat_features": [c for c in columns if columns[c].dtype.kind == "i"],
    }  # fmt: skip
    if form in (Form.BIT, Form.RANK):
        model = package.CatBoostClassifier(loss_function="Logloss", **shared)
    elif form in (Form.CLASS, Form.LEVEL):
        known = np.isin(held_labels, labels)  # CatBoost refuses classes that training lacks
        held_columns, held_labels = held_columns[known], held_labels[known]
        model = package.CatBoostClassifier(loss_function="MultiClass", **shared)
    elif form is Form.SET:
        model = package.CatBoostClassifier(loss_function="MultiLogloss", **shared)
        labels, held_labels = labels.astype(int), held_labels.astype(int)
    else:
        model = package.CatBoostRegressor(loss_function="RMSE", **shared)
    return model.fit(columns, labels, eval_set=(held_columns, held_labels))


def _values(asked: PeerTask, model: Any, rows: Array) -> Array:
    """Predictions of rows in the form of the task type's ``predict``."""
    kind, columns = asked.kind, frame(asked, rows)
    if kind.form is Form.BIT:
        return model.predict_proba(columns)[:, 1]
    if kind.form is Form.SET:
        return model.predict_proba(columns)
    if kind.form in (Form.CLASS, Form.LEVEL):
        found = np.full((len(columns), len(kind.class_names)), 1e-6)
        found[:, model.classes_.astype(int)] = model.predict_proba(columns)
        return found / found.sum(axis=1, keepdims=True)
    return model.predict(columns)


def _scores(asked: PeerTask, model: Any, rows: Array) -> Array:
    """Scores of every candidate per row, ``(n, candidates)``."""
    own, theirs = _sides(asked)
    users, place = np.unique(asked.entities["user"][rows], return_inverse=True)
    count = len(asked.candidates.ids)
    scores = np.empty((len(users), count), dtype="float32")
    for row, user in enumerate(users):
        pairs = _join(own, theirs, np.full(count, user), np.arange(1, count + 1))
        scores[row] = model.predict(pairs, prediction_type="RawFormulaVal")
    return scores[place]


def _pairs(asked: PeerTask) -> tuple[Labelled, Labelled]:
    """Chosen candidates and drawn ones that compete with them, in training and validation."""
    rng = np.random.default_rng(asked.seed)
    own, theirs = _sides(asked)

    def drawn_beside(split: str) -> Labelled:
        rows, out = asked.rows(split), asked.out(split)
        user, chosen = asked.entities["user"][rows], asked.labels[rows]
        drawn = rng.integers(0, out.shape[1], (len(user), NEGATIVES))
        legal = ~out[np.arange(len(user))[:, None], drawn] & (drawn != chosen[:, None])
        row, column = np.nonzero(legal)
        users = np.concatenate([user, user[row]])
        candidates = np.concatenate([chosen, drawn[row, column]])
        label = np.concatenate([np.ones(len(user)), np.zeros(len(row))])
        return _join(own, theirs, users, candidates + 1), label

    return drawn_beside("train"), drawn_beside("validation")


def _sides(asked: PeerTask) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns of users and of candidates by row; the candidates' are told apart by a prefix."""
    side = asked.candidates
    names = tuple(field.name for field in side.fields)
    own = entity_frame(asked.encoder.user, asked.without_ids(asked.seen.user))
    return own, entity_frame(side, asked.without_ids(names)).add_prefix("candidate ")


def _join(own: pd.DataFrame, theirs: pd.DataFrame, users: Array, candidates: Array) -> pd.DataFrame:
    parts = own.iloc[users], theirs.iloc[candidates]
    return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
