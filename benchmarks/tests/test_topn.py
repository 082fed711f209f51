"""Top-N: the splits, the metrics, and the members of our ranking network."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.models import item_regression, listwise, sequence, topk, topn, topn_members
from benchmarks.protocols import topn as protocol
from mtrec.evaluation.metrics import ranking_rows

RNG = np.random.default_rng(0)


def some_events(users=30, items=25, each=12, seed=0):
    draws = np.random.default_rng(seed)
    item = np.concatenate([draws.permutation(items)[:each] for _ in range(users)])
    user = np.repeat(np.arange(users), each)
    rating = draws.integers(1, 6, len(user)).astype(float)
    time = draws.integers(0, 40, len(user)) * 86_400
    return sequence.ordered(user, item, rating, time, users, items)


def test_random_split_gives_each_user_a_tenth_for_test_and_for_validation_as_recbole_rounds():
    user = np.repeat([0, 1, 2], [20, 39, 47])
    parts = protocol.random_811(user)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(user)))
    for name in ("validation", "test"):
        assert np.bincount(user[parts[name]]).tolist() == [2, 3, 4]


def test_last_out_keeps_the_order_of_the_file_among_events_of_one_second():
    user = np.array([0, 0, 0, 0, 1, 1, 1])
    time = np.array([5, 9, 9, 1, 2, 2, 2])
    parts = protocol.last_out(user, time)
    assert parts["test"].tolist() == [2, 6]
    assert parts["validation"].tolist() == [1, 5]
    assert parts["train"].tolist() == [0, 3, 4]


def test_metrics_equal_those_of_one_relevant_item():
    scores = RNG.normal(size=(40, 60))
    item = RNG.integers(0, 60, 40)
    out = np.zeros(scores.shape, dtype=bool)
    ranks = topk.relevant_ranks(scores, np.arange(40), item, out)
    found, expected = topk.per_user(ranks, np.arange(40)), ranking_rows(ranks)
    above = (scores > scores[np.arange(40), item][:, None]).sum(axis=1)
    assert (ranks == 1 + above[:, None]).all()
    for name in ("ndcg@10", "recall@10"):
        np.testing.assert_allclose(found[name], expected[name])


def test_metrics_of_several_relevant_items_agree_with_scikit_learn():
    from sklearn.metrics import ndcg_score

    scores = RNG.normal(size=(20, 50))
    relevant = RNG.random((20, 50)) < 0.3
    user, item = np.nonzero(relevant)
    ranks = topk.relevant_ranks(scores, user, item, np.zeros_like(relevant))
    found = topk.per_user(ranks, user)["ndcg@10"].mean()
    assert found == pytest.approx(ndcg_score(relevant, scores, k=10))


def test_a_seen_item_does_not_compete_and_ties_span_first_to_last():
    scores = np.array([[9.0, 2.0, 2.0, 2.0, 1.0]])
    out = np.array([[True, False, False, False, False]])
    ranks = topk.relevant_ranks(scores, np.array([0, 0]), np.array([1, 4]), out)
    assert ranks.tolist() == [[1, 3], [4, 4]]
    with pytest.raises(ValueError, match="left out"):
        topk.relevant_ranks(scores, np.array([0]), np.array([0]), out)


def test_item_regression_is_the_constrained_minimum():
    x, ridge = (RNG.random((15, 6)) < 0.5).astype("float32"), 3.0
    weights = RNG.random(15) + 0.5
    found = item_regression.ease(x, ridge, weights)
    for item in range(6):
        others = np.delete(np.arange(6), item)
        a = x[:, others]
        gram = a.T @ (weights[:, None] * a) + ridge * np.eye(5)
        expected = np.linalg.solve(gram, a.T @ (weights * x[:, item]))
        np.testing.assert_allclose(found[others, item], expected, atol=1e-5)
        assert found[item, item] == 0


def test_contexts_stay_within_a_user_and_fade():
    events = sequence.ordered(
        np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3]), np.ones(4), np.arange(4), 2, 4
    )
    bags = sequence.context(events, np.arange(4), np.array([-1, -2]), np.array([1.0, 0.5]))
    expected = [[0, 0, 0, 0], [1, 0, 0, 0], [0.5, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(bags.toarray(), expected)


def test_following_finds_a_planted_order():
    sequences = [np.roll(np.arange(12), -start)[:8] for start in range(12) for _ in range(3)]
    user = np.repeat(np.arange(36), 8)
    time = np.tile(np.arange(8), 36)
    events = sequence.ordered(user, np.concatenate(sequences), np.ones(288), time, 36, 12)
    scores = sequence.follow(events, 2, 0.5, 1.0)
    counts = sequence.follow_counts(events, 2, 0.5, 1.0)
    expected = [(found[-1] + 1) % 12 for found in sequences]
    assert (scores.argmax(axis=1) == expected).all()
    assert (counts.argmax(axis=1) == expected).all()


def test_gaps_add_up_as_one_by_one():
    events = some_events(users=6, items=9, each=5)
    steps, fade = np.arange(1, 3), 0.5 ** np.arange(2)
    every, fades = np.arange(30), np.r_[fade, fade]
    given = sequence.context(events, every, np.r_[-steps, steps], fades)
    weights = sequence.regress(given, events.item, 2.0)
    gaps = sequence.context(events, every, np.r_[1 - steps, steps], fades) @ weights
    expected = [gaps[events.user == user].sum(axis=0) for user in range(6)]
    np.testing.assert_allclose(
        sequence.between(events, 2, 0.5, 2.0), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["random_order", "next_event"])
def test_further_folds_hide_what_they_hold_out(kind):
    events = some_events(each=20)
    for fold in (1, 2):
        gone = topn.held_out(kind, events, fold)
        assert not (gone & topn.known_before(kind, events, fold)).any()
        assert (np.bincount(events.user[gone]) == (2 if kind == "random_order" else 1)).all()
    if kind == "next_event":  # nothing after the held-out event is known
        known, gone = topn.known_before(kind, events, 2), topn.held_out(kind, events, 2)
        place = np.arange(len(gone))
        for user in range(events.users):
            mine = events.user == user
            assert place[known & mine].max() < place[gone & mine].min()


@pytest.mark.parametrize("kind", ["random_order", "next_event"])
def test_lists_do_not_know_the_held_out_events(kind, monkeypatch):
    monkeypatch.setattr(topn, "CANDIDATES", 8)
    monkeypatch.setattr(
        topn_members, "graph_filter", lambda x, components: x @ item_regression.ease(x, 9.0)
    )
    events = some_events(users=30, items=40)
    keep = ~topn.held_out("next_event", events, 1)
    train, held = events.take(keep), events.take(~keep)
    moved = sequence.Events(held.user, (held.item + 1) % 40, held.rating, held.time, 30, 40)
    one, other = topn.lists(kind, train, held), topn.lists(kind, train, moved)
    np.testing.assert_array_equal(one.features, other.features)
    seen = train.matrix() > 0
    assert not np.take_along_axis(seen, one.items, axis=1).any()


def test_ranking_network_learns_which_feature_counts():
    features = RNG.normal(size=(200, 12, 3)).astype("float32")
    target = np.eye(12, dtype="float32")[features[..., 1].argmax(axis=1)]
    settings = listwise.Settings(units=4, epochs=30, rate=0.02)
    model = listwise.train(features[:150], target[:150], settings, seed=1)
    hit = listwise.score(model, features[150:]).argmax(axis=1) == target[150:].argmax(axis=1)
    assert hit.mean() > 0.9
    again = listwise.train(features[:150], target[:150], settings, seed=1)
    np.testing.assert_array_equal(
        listwise.score(model, features[150:]), listwise.score(again, features[150:])
    )


def test_settings_are_chosen_on_validation_and_test_rows_are_never_shown(monkeypatch, tmp_path):
    draws = np.random.default_rng(0)
    user = np.repeat(np.arange(12), 20)
    item = np.concatenate([draws.permutation(40)[:20] for _ in range(12)])
    events = pd.DataFrame(
        {"user": user, "item": item, "rating": 4.0, "time": np.arange(len(user))}
    ).astype({"user": "int32", "item": "int32"})
    shown = []

    def ask(root, environment, script, arrays, **options):
        shown.append(set(zip(arrays["user"], arrays["item"], strict=True)))
        scores = np.zeros((12, 40), dtype="float32")
        count = len(options.get("jobs", options.get("seeds")))
        answers = {f"scores_{k}": scores + draws.random(scores.shape) for k in range(count)}
        answers["trials"] = np.arange(len(protocol.OURS))
        return SimpleNamespace(arrays=answers, version="0", seconds=1.0, peak_mb=1.0)

    monkeypatch.setattr(protocol, "ask", ask)
    monkeypatch.setattr(protocol, "interactions", lambda root: events)
    rows = protocol.PROTOCOLS["topn_811"](tmp_path)
    with np.load(tmp_path / "benchmarks" / "splits" / "topn_811.npz") as split:
        hidden = {(user[row], item[row]) for row in split["test"]}
    assert all(not pairs & hidden for pairs in shown)
    gains = {f"mtrec fused - {peer}" for peer in protocol.PEERS}
    assert {row.system for row in rows} == {*protocol.PEERS, "mtrec fused", *gains}
    assert all(row.low <= row.value <= row.high for row in rows)
    ours = next(row for row in rows if row.system == "mtrec fused")
    assert json.dumps(protocol.OURS[-1]) in ours.note


def test_no_peer_has_fewer_trials_than_ours():
    tuned = [choices for choices in protocol.PEERS.values() if choices != [{}]]
    assert min(map(len, tuned)) >= len(protocol.OURS)
