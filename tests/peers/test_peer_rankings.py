"""Peers that rank, against brute force and public implementations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import minimize

from mtrec.features.encoder import fit_encoder
from mtrec.peers import als, ease, last_items, past, sasrec, sasrec_training
from mtrec.peers.base import NoAnswer, PeerTask, Question, TooMany, answers, decayed
from mtrec.registry import PEERS
from mtrec.settings import Columns, Features, Task
from mtrec.tasks.ranking import Ranking
from tests.conftest import SIZES, make_world

FEATURES = Features(
    user=Columns(categorical=("user_id",)), item=Columns(categorical=("item_id",)),
    event=("rating",),
)  # fmt: skip
TASK = Task(type="ranking", view="user", label="next_item")
RANKERS = ("als", "ease", "last_items", "popularity", "sasrec")


def ask(tables, task=TASK):
    encoder = fit_encoder(tables, FEATURES, SIZES, {})
    kind = Ranking(encoder.item.ids)
    labels, mask = kind.encode(tables.examples[task.label])
    return PeerTask("next_item", task, kind, tables, encoder, labels, mask, 0)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """What is true of a ranker is true of one that was hardly trained."""
    monkeypatch.setattr(sasrec, "DROPOUTS", (0.2,))
    monkeypatch.setattr(sasrec, "EPOCHS", 1)
    monkeypatch.setattr(sasrec_training, "STEPS", (3, 3))


@pytest.fixture(scope="module")
def asked():
    return ask(make_world())


def earlier(asked, row):
    """Items that the row's user met strictly before it, the last one first."""
    now, events = asked.tables.examples.loc[row], asked.tables.events
    own = events[(events["user_id"] == now["user_id"]) & (events["timestamp"] < now["timestamp"])]
    return own.sort_values("timestamp")["item_id"].tolist()[::-1]


def test_the_past_of_a_row_is_what_its_user_met_strictly_before_it(asked):
    rows = asked.rows("test")[:20]
    found = past.before(asked.question(rows), past.links(asked)).toarray() > 0
    for row, known in zip(rows, found, strict=True):
        assert {asked.encoder.item.ids[k] for k in np.flatnonzero(known)} == {*earlier(asked, row)}


def test_older_events_count_less_by_their_half_life(asked):
    row = next(r for r in asked.rows("test") if len({*earlier(asked, r)[:3]}) == 3)
    found = past.before(asked.question(np.array([row])), past.links(asked), 2.0).toarray()[0]
    last = [asked.encoder.item.ids.index(name) for name in earlier(asked, row)[:3]]
    repeated = [earlier(asked, row).count(name) > 1 for name in earlier(asked, row)[:3]]
    for value, weight, again in zip(found[last], (1.0, 0.5**0.5, 0.5), repeated, strict=True):
        assert again or value == pytest.approx(weight)


def test_ease_has_the_least_penalised_error_without_its_own_column():
    rng = np.random.default_rng(0)
    matrix = (rng.random((40, 6)) < 0.4).astype("float64")
    found = ease.weights(sparse.csr_matrix(matrix), 3.0)
    assert not np.diag(found).any()
    for column in range(6):
        others = [k for k in range(6) if k != column]

        def error(w, column=column, others=others):
            return ((matrix[:, column] - matrix[:, others] @ w) ** 2).sum() + 3.0 * (w**2).sum()

        best = minimize(error, np.zeros(5), tol=1e-12).x
        np.testing.assert_allclose(found[others, column], best, atol=1e-4)


def test_als_users_are_those_of_the_package():
    from implicit.cpu.als import AlternatingLeastSquares

    rng = np.random.default_rng(1)
    matrix = sparse.csr_matrix((rng.random((30, 12)) < 0.3).astype("float32"))
    model = AlternatingLeastSquares(
        factors=4, regularization=als.PENALTY, alpha=5.0, iterations=5, num_threads=1,
        random_state=0, use_cg=False,
    )  # fmt: skip
    model.fit(matrix, show_progress=False)
    expected = model.recalculate_user(np.arange(30), matrix)
    found = als.users(model.item_factors, matrix, 5.0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("half_life", [np.inf, 3e7])
def test_recent_popularity_equals_a_sum_over_the_events_before(asked, half_life):
    rows = asked.question(asked.rows("test")[:10])
    found = decayed(rows.events, rows.time, 20, half_life)
    for moment, counts in zip(rows.time, found, strict=True):
        expected = np.zeros(20)
        for item, time in zip(rows.events.item[1:], rows.events.time[1:], strict=True):
            if time < moment:
                expected[item - 1] += 2.0 ** (-(moment - time) / half_life)
        np.testing.assert_allclose(counts, expected, rtol=1e-4, atol=1e-5)


def test_popularity_of_rows_without_a_time_is_that_after_the_last_event(asked):
    rows = asked.question(asked.rows("test")[:1])
    late = np.array([2**42, int(rows.events.time.max()) + 1])
    found = decayed(rows.events, late, 20, 3e7)
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].any()


def test_what_follows_what_is_counted_within_a_users_events(asked):
    found = last_items.follow(past.training(asked), 20).toarray()
    expected = np.zeros((20, 20))
    events = past.training(asked)
    for user in np.unique(events.user[events.user > 0]):
        items = events.item[events.user == user]
        for gap in range(1, last_items.REACH + 1):
            for one, other in zip(items, items[gap:], strict=False):
                if one != other:
                    expected[one - 1, other - 1] += 2.0 ** (-gap / 2)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("peer", RANKERS)
def test_test_labels_and_later_events_change_no_ranking(asked, peer):
    tables = asked.tables
    rows = asked.rows("test")
    first = rows[:5]
    before = answers(PEERS[peer](asked), asked, first)
    assert before.shape == (5, 20) and np.isfinite(before).all()
    last = tables.examples["timestamp"].iloc[first].max()
    examples, events = tables.examples.copy(), tables.events.copy()
    examples.loc[examples.index[rows], "next_item"] = "i0"
    events.loc[events["timestamp"] > last, "item_id"] = "i0"
    other = ask(replace(tables, examples=examples, events=events))
    np.testing.assert_allclose(answers(PEERS[peer](other), other, first), before, rtol=1e-5)


@pytest.mark.parametrize("peer", RANKERS)
def test_a_saved_ranker_answers_requests_as_before(asked, peer, tmp_path):
    fitted = PEERS[peer](asked)
    np.savez(tmp_path / "one.npz", **fitted.state())
    with np.load(tmp_path / "one.npz") as state:
        again = type(fitted).restored(dict(state))
    rows = asked.rows("test")[:7]
    request = Question(
        asked.tables.examples.iloc[rows][["user_id", "item_id", "timestamp"]], asked.encoder,
        asked.events, asked.kind, asked.seen,
    )  # fmt: skip
    np.testing.assert_allclose(again.answer(request), answers(fitted, asked, rows), rtol=1e-6)


@pytest.mark.parametrize("peer", RANKERS)
def test_somebody_unknown_gets_an_answer(asked, peer):
    rows = pd.DataFrame({"user_id": ["nobody"], "item_id": [None],
                         "timestamp": [pd.Timestamp("2001-01-01")]})  # fmt: skip
    request = Question(rows, asked.encoder, asked.events, asked.kind, asked.seen)
    found = PEERS[peer](asked).answer(request)
    assert found.shape == (1, 20) and np.isfinite(found).all()


def test_a_catalogue_too_large_for_pairs_steps_aside(asked, monkeypatch):
    monkeypatch.setattr(past, "LARGEST", 19)
    with pytest.raises(TooMany, match=r"number for each pair .* 19 candidates .*found: 20"):
        PEERS["ease"](asked)


@pytest.mark.parametrize("peer", RANKERS)
def test_without_validation_rows_a_ranker_steps_aside(asked, peer):
    examples = asked.tables.examples
    bare = examples.assign(split=examples["split"].replace("validation", "test"))
    with pytest.raises(NoAnswer, match=f"{peer} chooses its settings on validation rows, and"):
        PEERS[peer](ask(replace(asked.tables, examples=bare)))


def test_a_task_that_ranks_nothing_is_refused(asked):
    from mtrec.tasks.binary import Binary

    with pytest.raises(NoAnswer, match="popularity predicts ranking tasks"):
        PEERS["popularity"](replace(asked, kind=Binary()))
