from dataclasses import replace
from importlib import import_module
from math import log
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.candidates import left_out
from mtrec.features.encoder import Encoder
from mtrec.features.fields import Scaler, Side
from mtrec.metrics.families import ranking_rows
from mtrec.metrics.ranks import ranks
from mtrec.peers.base import PeerTask, answers
from mtrec.registry import PEERS
from mtrec.tables.schema import Tables
from mtrec.tasks.ranking import Ranking

peer = import_module("mtrec.peers.common_neighbours")  # the package names the function
N = 14
IDS = tuple(f"u{k}" for k in range(N))
NONE = Scaler((), (), (), ())
ENCODER = Encoder(Side(IDS, ()), Side((), ()), NONE, {}, 4)


def random_links(seed=0, count=50):
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(N) for b in range(N) if a != b]
    return [pairs[k] for k in rng.permutation(len(pairs))[:count]]


def brute_force(pairs, a, b, variant):
    """Sum over the users in between, one at a time."""
    linked = set(pairs)
    total = 0.0
    for c in range(N):
        chose = {"out": (a, c) in linked and (b, c) in linked,
                 "path": (a, c) in linked and (c, b) in linked,
                 "any": ((a, c) in linked or (c, a) in linked)
                 and ((c, b) in linked or (b, c) in linked)}  # fmt: skip
        if chose[variant.direction]:
            degree = len({y for x, y in linked if x == c} | {x for x, y in linked if y == c})
            total += 1 / log(degree) if variant.adamic_adar else 1.0
    return total


@pytest.mark.parametrize("variant", peer.VARIANTS)
def test_scores_equal_brute_force(variant):
    pairs = random_links()
    source, other = np.array(pairs).T
    graph = peer.links(source + 1, other, N)
    found = peer.scores(graph, np.arange(1, N + 1), variant)
    chosen = np.bincount(other, minlength=N)
    linked = set(pairs)
    votes = np.array(
        [[brute_force(pairs, a, b, variant) if a != b else 0 for b in range(N)] for a in range(N)]
    )
    off = ~np.eye(N, dtype=bool)  # nobody is his own candidate
    back = np.array([[(b, a) in linked for b in range(N)] for a in range(N)])
    rest = found - peer.TIE_BREAK * chosen
    if not variant.returned:
        np.testing.assert_allclose(rest[off], votes[off], atol=1e-9)
        return
    np.testing.assert_allclose(rest[off & ~back], votes[off & ~back], atol=1e-9)
    bonus = rest[off & back] - votes[off & back]
    np.testing.assert_allclose(bonus, bonus[0])
    assert bonus[0] > votes[off].max()


def test_direction_of_a_link_matters_except_under_any():
    graph = peer.links(np.array([1, 3]), np.array([1, 1]), 3)  # a -> b, c -> b
    out, path, both = (
        peer.scores(graph, np.array([1]), peer.Variant(direction, False, False)).round()
        for direction in ("out", "path", "any")
    )
    assert out[0, 2] == 1  # a and c chose b
    assert path[0, 2] == 0  # b chose nobody
    assert both[0, 2] == 1


def test_ties_and_unknown_users_are_ordered_by_popularity():
    graph = peer.links(np.array([1, 2, 1]), np.array([2, 2, 3]), 4)
    found = peer.scores(graph, np.array([4, 0]), peer.VARIANTS[0])
    np.testing.assert_array_equal(np.argsort(-found, axis=1, kind="stable"), [[2, 3, 0, 1]] * 2)


def make_asked(seed=0):
    pairs = random_links(seed, 90)
    splits = np.repeat(["train", "validation", "test"], [50, 20, 20])
    examples = pd.DataFrame(
        {
            "user_id": [IDS[a] for a, _ in pairs] + ["u1"],
            "item_id": None,
            "trusts": [IDS[b] for _, b in pairs] + [None],
            "split": [*splits, "train"],
        }
    )
    times = pd.date_range("2000-01-01", periods=len(examples), freq="min").astype("datetime64[ms]")
    examples["timestamp"] = times
    kind = Ranking(IDS, candidates="users")
    labels, mask = kind.encode(examples["trusts"])
    none, events = pd.DataFrame(), examples[["user_id", "item_id", "timestamp"]][:0]
    task = SimpleNamespace(label="trusts", view="user", features=None)
    return PeerTask(
        name="trust", task=task, kind=kind,
        tables=Tables(none, none, events, examples, none),
        encoder=ENCODER, labels=labels, mask=mask, seed=0,
    )  # fmt: skip


def whole(asked):
    return answers(PEERS["common_neighbours"](asked), asked, np.arange(len(asked.labels)))


def ndcg(places):
    return ranking_rows(places)["ndcg@10"].mean()


def test_variant_is_the_best_on_validation_rows_and_learnt_from_training_rows_alone():
    asked = make_asked()
    found = whole(asked)
    assert found.shape == (91, N)
    user = ENCODER.user.rows(asked.tables.examples["user_id"])
    train, held = asked.rows("train"), asked.rows("validation")
    graph = peer.links(user[train], asked.labels[train], N)
    out = left_out(asked.kind, ENCODER, asked.tables, "trusts", held)
    quality = {
        v: ndcg(ranks(peer.scores(graph, user[held], v), asked.labels[held], out))
        for v in peer.VARIANTS
    }
    best = max(quality.values())
    own = ndcg(ranks(found[held], asked.labels[held], out))
    assert own == best
    assert len(set(quality.values())) > 1


def test_test_labels_change_nothing():
    asked = make_asked()
    before = whole(asked)
    asked.labels[asked.rows("test")] = 0
    np.testing.assert_array_equal(whole(asked), before)


def test_task_that_ranks_items_is_refused():
    asked = replace(make_asked(), kind=Ranking(IDS))
    with pytest.raises(ValueError, match="'trust': peer common_neighbours ranks users"):
        peer.common_neighbours(asked)
