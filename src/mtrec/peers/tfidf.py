"""TF-IDF of an item's text under a linear model: what its words alone say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from threadpoolctl import threadpool_limits

from mtrec.peers.base import Array, PeerTask, Question, Specialist
from mtrec.registry import METRICS, Form

STRENGTHS = (1.0, 3.0, 10.0, 30.0)  # C of the logistic models, alpha of ridge
FEATURES = 50_000
MIN_DOCUMENTS = 3

# Newton's method needs few passes over many sparse columns: a tenth of L-BFGS's time, same loss.
CLASSES: Mapping[str, Any] = {"solver": "newton-cg", "tol": 1e-6, "max_iter": 1000}

MODELS: Mapping[Form, Callable[[float], Any]] = {
    Form.BIT: lambda c: LogisticRegression(C=c, **CLASSES),
    Form.CLASS: lambda c: LogisticRegression(C=c, **CLASSES),
    Form.LEVEL: lambda c: LogisticRegression(C=c, **CLASSES),
    Form.SET: lambda c: OneVsRestClassifier(LogisticRegression(C=c, solver="liblinear")),
    Form.NUMBER: lambda alpha: Ridge(alpha),
}


@dataclass(frozen=True)
class Tfidf(Specialist):
    """What a linear model says of the texts of a catalogue.

    Attributes:
        said: predictions in the form of the task type's ``predict``, ``(items + 1, ...)`` in the
            encoder's order; the first is the intercept's, of items without a text or unknown.
    """

    said: Array

    def answer(self, asked: Question) -> Array:
        """Values ``(n,)``, probabilities of 1 ``(n,)``, or of classes or labels ``(n, k)``."""
        return self.said[asked.item]


def tfidf(task: PeerTask) -> Tfidf:
    r"""Fit a linear model on TF-IDF vectors of words and pairs of neighbouring words.

    .. math:: x_w = (1 + \log n_w) \left(1 + \log \frac{1 + N}{1 + N_w}\right)

    scaled to unit length, with :math:`n_w` the count of :math:`w` in the text and :math:`N_w` the
    number of the :math:`N` training texts that hold it. Classes, ordered ones among them, get a
    multinomial logistic regression, sets one logistic regression per label, numbers ridge
    regression. The strength of the penalty is that with the lowest validation loss (log-loss or
    squared error); vocabulary, weights and model come from training rows alone.

    Args:
        task: a task of any type but ranking whose rows have items with texts.

    Raises:
        ValueError: the task is a ranking, or no training row has a text.

    Source: Salton and Buckley 1988, https://doi.org/10.1016/0306-4573(88)90021-0.
    """
    task.require("tfidf", MODELS)
    form, training, validation = task.kind.form, task.rows("train"), task.rows("validation")
    item = task.entities["item"]
    words = _words(task, item[training])
    best, lowest = None, np.inf
    for strength in STRENGTHS:
        with threadpool_limits(1):  # the same sums whatever the number of cores
            model = MODELS[form](strength).fit(words[item[training]], task.labels[training])
        found = _predict(form, model, words[item[validation]])
        loss = _loss(task, task.labels[validation], found)
        if loss < lowest:
            best, lowest = model, loss
    return Tfidf(_predict(form, best, words))


def _words(task: PeerTask, training: Array) -> Any:
    """TF-IDF vectors of the encoder's items, ``(items + 1, words)``, sparse; zeros without text.

    Args:
        task: whose items have texts.
        training: rows of the items of the training examples.
    """
    items = task.tables.items
    if "text" not in items or not len(training):
        raise ValueError(_no_text(task))
    known = items.set_index("item_id")["text"].reindex(pd.Index(task.encoder.item.ids))
    texts = np.array(["", *known.astype(object).where(known.notna(), "")], dtype=object)
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=MIN_DOCUMENTS, max_features=FEATURES, sublinear_tf=True
    )
    try:
        vectorizer.fit(texts[training])
    except ValueError:  # no word is frequent enough
        raise ValueError(_no_text(task)) from None
    return vectorizer.transform(texts)


def _no_text(task: PeerTask) -> str:
    return (
        f"task '{task.name}': peer 'tfidf' finds no word in {MIN_DOCUMENTS} or more training texts "
        "of items. Give the items a text, or take tfidf out of peers: in params.yaml."
    )


def _predict(form: Form, model: Any, words: Any) -> Array:
    """Values ``(n,)``, probabilities of 1 ``(n,)``, or of classes or labels ``(n, k)``."""
    if form is Form.NUMBER:
        return model.predict(words)
    found = model.predict_proba(words)
    return found[:, 1] if form is Form.BIT else found


def _loss(task: PeerTask, labels: Array, predictions: Array) -> float:
    found = METRICS[task.kind.metrics].values(labels, predictions)
    return found["mse" if task.kind.form is Form.NUMBER else "log_loss"]
