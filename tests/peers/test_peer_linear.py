"""Peers that read the sparse columns: linear models and the factorisation machine."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import ndtr
from sklearn.linear_model import LogisticRegression, Ridge

from mtrec.features.encoder import fit_encoder
from mtrec.peers import linear, myfm
from mtrec.peers.base import NoAnswer, PeerTask, Question, answers
from mtrec.peers.design import design
from mtrec.registry import PEERS, TASK_TYPES, Form
from mtrec.settings import Columns, Features, Task
from tests.conftest import SIZES, make_world

FEATURES = Features(
    user=Columns(categorical=("user_id",), numeric=("age",), context=("user_count",)),
    item=Columns(categorical=("item_id", "colour"), multi=("genres",), numeric=("year",)),
    event=("rating",),
)
KINDS = {
    "binary": ("like", ()), "multiclass": ("mood", (3,)), "ordinal": ("stars", (5,)),
    "regression": ("rating", ()), "multilabel": ("genres", (3,)),
}  # fmt: skip


def ask(kind, view="joint", features=None):
    tables = make_world()
    tables.examples["stars"] = tables.examples["rating"]
    task = Task(type=kind, view=view, label=KINDS[kind][0], features=features)
    encoder = fit_encoder(tables, FEATURES, SIZES, {})
    training = tables.examples[tables.examples["split"] == "train"]
    fitted = TASK_TYPES[kind].fit(training[task.label].dropna(), ())
    labels, mask = fitted.encode(tables.examples[task.label])
    return PeerTask("task", task, fitted, tables, encoder, labels, mask, 0)


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 5))
    return matrix, sparse.csr_matrix(matrix), matrix @ rng.normal(size=5) + rng.normal(size=200)


def weights(matrix, targets, loss, penalty):
    start = np.zeros((matrix.shape[1] + 1, targets.shape[1]))
    return linear.fit(matrix, targets, loss, penalty, start)


def test_numbers_have_the_weights_of_ridge_regression(numbers):
    dense, matrix, y = numbers
    found = weights(matrix, y[:, None], linear.squared, 2.0)[:, 0]
    expected = Ridge(2.0).fit(dense, y)
    np.testing.assert_allclose(found, [*expected.coef_, expected.intercept_], atol=1e-4)


def test_bits_have_the_weights_of_logistic_regression(numbers):
    dense, matrix, y = numbers
    found = weights(matrix, (y > 0)[:, None].astype(float), linear.logistic, 0.5)[:, 0]
    expected = LogisticRegression(C=2.0, tol=1e-8).fit(dense, y > 0)
    np.testing.assert_allclose(found, [*expected.coef_[0], *expected.intercept_], atol=2e-3)


def test_classes_have_the_probabilities_of_multinomial_regression(numbers):
    dense, matrix, y = numbers
    labels = np.digitize(y, [-1, 1])
    found = weights(matrix, np.eye(3)[labels], linear.cross_entropy, 0.5)
    shares = np.exp(dense @ found[:-1] + found[-1])
    shares /= shares.sum(axis=1, keepdims=True)
    expected = LogisticRegression(C=2.0, tol=1e-8).fit(dense, labels).predict_proba(dense)
    np.testing.assert_allclose(shares, expected, atol=2e-3)


def test_one_sample_scores_every_pair_of_columns():
    rng = np.random.default_rng(0)
    x, w, v = rng.random((4, 6)), rng.normal(size=6), rng.normal(size=(6, 3))
    found = myfm.scores(sparse.csr_matrix(x), 0.5, w, v)
    for row, value in zip(x, found, strict=True):
        pairs = sum(v[i] @ v[j] * row[i] * row[j] for i in range(6) for j in range(i))
        assert value == pytest.approx(0.5 + row @ w + pairs)


def test_predictions_are_those_of_the_package():
    from myfm import MyFMGibbsClassifier, MyFMGibbsRegressor, MyFMOrderedProbit

    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.random((120, 5)))
    levels = rng.integers(0, 3, 120).astype(float)
    none, limits = np.zeros(0), np.array([-9.0, 9.0, 0.0, 1.0])
    for form, model, labels in (
        (Form.NUMBER, MyFMGibbsRegressor(2), levels),
        (Form.BIT, MyFMGibbsClassifier(2), (levels > 0).astype(float)),
        (Form.LEVEL, MyFMOrderedProbit(2), levels.astype(int)),
    ):
        model.fit(matrix, labels, n_iter=8, n_kept_samples=4, callback=lambda *a: (False, ""))
        samples = model.predictor_.samples
        cuts = [s.cutpoints[0] if form is Form.LEVEL else none for s in samples]
        machine = myfm.Machine(
            np.array([s.w0 for s in samples]), np.array([s.w for s in samples]),
            np.array([s.V for s in samples]), np.array(cuts), np.asarray(False), limits,
        )  # fmt: skip
        expected = model.predict(matrix) if form is Form.NUMBER else model.predict_proba(matrix)
        np.testing.assert_allclose(machine.of(matrix, form), expected, atol=1e-6)


def test_normal_shares_of_levels_sum_to_one():
    cuts = np.array([[-1.0, 0.5]])
    one = myfm.Machine(np.zeros(1), np.zeros((1, 2)), np.zeros((1, 2, 1)), cuts,
                       np.asarray(False), np.zeros(4))  # fmt: skip
    found = one.of(sparse.csr_matrix((3, 2)), Form.LEVEL)
    expected = [ndtr(-1), ndtr(0.5) - ndtr(-1), 1 - ndtr(0.5)]
    np.testing.assert_allclose(found, [expected] * 3)


@pytest.mark.parametrize("peer", ["linear", "myfm"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_is_answered_in_its_own_form_and_again_when_saved(peer, kind, tmp_path):
    asked = ask(kind)
    if peer == "myfm" and kind in ("multiclass", "multilabel"):
        with pytest.raises(NoAnswer, match="peer myfm predicts binary, ordinal and regression"):
            PEERS[peer](asked)
        return
    fitted, rows = PEERS[peer](asked), asked.rows("test")
    found = answers(fitted, asked, rows)
    assert found.shape == (len(rows), *KINDS[kind][1]) and np.isfinite(found).all()
    if kind in ("multiclass", "ordinal"):
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    np.savez(tmp_path / "one.npz", **fitted.state())
    with np.load(tmp_path / "one.npz") as state:
        again = type(fitted).restored(dict(state))
    examples = asked.tables.examples.iloc[rows].drop(columns=["rating", "like"])
    request = Question(examples, asked.encoder, asked.events, asked.kind, asked.seen)
    np.testing.assert_allclose(again.answer(request), found, rtol=1e-5)


def test_columns_are_those_that_the_head_sees():
    asked = ask("binary", features=("age", "year"))
    matrix, widths = design(asked.question(asked.rows("test")), means=False)
    assert widths == [3, 3]  # value, flag, and whether nothing is known
    assert len(design(ask("binary").question(asked.rows("test")), means=False)[1]) > 6


def test_a_head_that_sees_nothing_is_told_so():
    asked = ask("binary", features=("age",))
    nothing = type(asked.seen)()
    rows = asked.question(asked.rows("test"))
    blind = Question(rows.rows, rows.encoder, rows.events, rows.kind, nothing)
    with pytest.raises(ValueError, match="no feature that the head may see"):
        design(blind, means=False)
