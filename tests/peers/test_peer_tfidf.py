from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from mtrec.features.fields import Side
from mtrec.peers.base import PeerTask
from mtrec.peers.tfidf import MIN_DOCUMENTS, STRENGTHS, tfidf
from mtrec.registry import PEERS
from mtrec.tasks.binary import Binary
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression

ROWS = 240
WORDS = np.array(["good", "bad", "soft", "tight", "dress", "shirt", "blue", "red"])
SPLIT = np.repeat(["train", "validation", "test"], [160, 40, 40])


@pytest.fixture(scope="module")
def world():
    """Posts of random words; the labels follow the words with noise."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (ROWS, len(WORDS)))
    texts = [" ".join(rng.permutation(np.repeat(WORDS, row))) for row in counts]
    texts[0], texts[-1] = None, None
    score = counts[:, 0] - counts[:, 1] + rng.normal(size=ROWS)
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(ROWS)][::-1], "text": texts[::-1]})
    examples = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(ROWS)],
            "split": SPLIT,
            "like": (score > 0).astype(float),
            "stars": np.digitize(score, [-1.5, 0, 1.5]) + 2.0,
            "count": score + 5,
            "tags": [list(WORDS[4:][row[4:] > 0]) for row in counts],
        }
    )
    return SimpleNamespace(items=items, examples=examples)


def encoder(world):
    """The one of the items alone; the first of the table is unknown to it."""
    side = Side(tuple(world.items["item_id"][1:]), ())
    rows = side.rows(world.examples["item_id"])
    return SimpleNamespace(item=side, entities=lambda examples: {"item": rows})


def ask(world, kind_class, label):
    known = world.examples.loc[world.examples["split"] == "train", label]
    kind = kind_class.fit(known, ())
    labels, mask = kind.encode(world.examples[label])
    return PeerTask(label, None, kind, world, encoder(world), labels, mask, 0)


def whole(asked):
    """Predictions of all examples."""
    return tfidf(asked).said[asked.entities["item"]]


def by_hand(world):
    """TF-IDF of words and pairs by counting, ``(rows, terms)``."""
    texts = world.examples["item_id"].map(world.items.set_index("item_id")["text"])
    terms = []
    for text in texts:
        words = text.split() if isinstance(text, str) else []
        terms.append(words + [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)])
    train = SPLIT == "train"
    documents = pd.Series([t for own, ok in zip(terms, train, strict=True) if ok for t in set(own)])
    frequency = documents.value_counts()
    frequency = frequency[frequency >= MIN_DOCUMENTS]
    counts = np.array([[own.count(term) for term in frequency.index] for own in terms], float)
    idf = 1 + np.log((1 + train.sum()) / (1 + frequency.to_numpy()))
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    return weights / np.where(length > 0, length, 1)


def best_by_hand(world, task, make, loss):
    words = by_hand(world)
    train, validation = SPLIT == "train", SPLIT == "validation"
    models = [make(c).fit(words[train], task.labels[train]) for c in STRENGTHS]
    losses = [loss(task.labels[validation], model, words[validation]) for model in models]
    return models[int(np.argmin(losses))], words


def test_binary_task_equals_a_direct_logistic_regression_on_tf_idf_counted_by_hand(world):
    task = ask(world, Binary, "like")
    model, words = best_by_hand(
        world, task, lambda c: LogisticRegression(C=c, tol=1e-8, max_iter=5000),
        lambda y, m, x: log_loss(y, m.predict_proba(x)[:, 1]),
    )  # fmt: skip
    found = whole(task)
    assert found.shape == (ROWS,)
    np.testing.assert_allclose(found, model.predict_proba(words)[:, 1], atol=2e-3)
    assert found[SPLIT == "test"].std() > 0.1


def test_ordinal_task_equals_a_direct_multinomial_regression(world):
    task = ask(world, Ordinal, "stars")
    model, words = best_by_hand(
        world, task, lambda c: LogisticRegression(C=c, tol=1e-8, max_iter=5000),
        lambda y, m, x: log_loss(y, m.predict_proba(x)),
    )  # fmt: skip
    found = whole(task)
    assert found.shape == (ROWS, 4)
    np.testing.assert_allclose(found, model.predict_proba(words), atol=2e-3)


def test_regression_equals_a_direct_ridge_in_the_labels_units(world):
    task = ask(world, Regression, "count")
    model, words = best_by_hand(
        world, task, Ridge, lambda y, m, x: ((y - m.predict(x)) ** 2).mean()
    )
    np.testing.assert_allclose(whole(task), model.predict(words), atol=2e-3)


def test_multilabel_task_equals_one_logistic_regression_per_label(world):
    task = ask(world, Multilabel, "tags")
    found, words = whole(task), by_hand(world)
    train = SPLIT == "train"
    for label in range(found.shape[1]):
        each = [
            LogisticRegression(C=c, solver="liblinear").fit(words[train], task.labels[train, label])
            for c in STRENGTHS
        ]
        options = [model.predict_proba(words)[:, 1] for model in each]
        assert min(np.abs(found[:, label] - option).max() for option in options) < 2e-3


def test_labels_of_test_rows_and_rows_without_label_change_nothing(world):
    task = ask(world, Binary, "like")
    flipped = np.where(SPLIT == "test", 1 - task.labels, task.labels)
    unknown = task.mask & (np.arange(ROWS) % 4 > 0)
    wild = np.where(unknown, task.labels, 1 - task.labels)
    assert (whole(replace(task, labels=flipped)) == whole(task)).all()
    masked = replace(task, mask=unknown)
    assert (whole(replace(masked, labels=wild)) == whole(masked)).all()


def test_row_without_text_gets_the_intercept(world):
    found = whole(ask(world, Regression, "count"))
    assert found[0] == found[-1]
    assert (found == found[0]).sum() == 2


def test_ranking_and_missing_texts_are_refused_by_name(world):
    ranking = Ranking.fit(world.examples["item_id"], tuple(world.items["item_id"]))
    with pytest.raises(
        ValueError, match="task 'x': peer tfidf predicts .* and multilabel tasks .found: ranking"
    ):
        tfidf(PeerTask("x", None, ranking, world, None, np.zeros(ROWS), np.ones(ROWS, bool), 0))
    bare = SimpleNamespace(items=world.items[["item_id"]], examples=world.examples)
    with pytest.raises(ValueError, match="no word in 3 or more training texts"):
        tfidf(ask(bare, Binary, "like"))


def test_peer_is_registered():
    assert PEERS["tfidf"] is tfidf


def test_it_can_be_saved_and_asked_about_requests(world):
    task = ask(world, Binary, "like")
    found = tfidf(task)
    again = type(found).restored(found.state())
    rows = SimpleNamespace(item=task.encoder.item.rows(pd.Series(["i7", "nobody's", "i7"])))
    np.testing.assert_array_equal(again.answer(rows), whole(task)[[7, 0, 7]])
