import numpy as np
import pandas as pd
import pytest

from mtrec.features.candidates import known_users, left_out, seen_items
from mtrec.features.encoder import Encoder, usable_events
from mtrec.features.fields import Scaler, Side
from mtrec.metrics.ranks import ranks
from mtrec.tables.schema import Tables
from mtrec.tasks.ranking import Ranking

USERS = ("ann", "bob", "cid", "dee")
ITEMS = ("film", "book")
NONE = Scaler((), (), (), ())
ENCODER = Encoder(Side(USERS, ()), Side(ITEMS, ()), NONE, {}, 4)


@pytest.fixture
def tables():
    rows = [
        ("ann", "bob", 1, "train"),
        ("ann", "cid", 3, "train"),
        ("bob", "ann", 1, "train"),
        ("ann", "dee", 4, "validation"),
        ("ann", "dee", 5, "test"),
        (None, "bob", 5, "test"),
    ]
    examples = pd.DataFrame(rows, columns=["user_id", "trusts", "timestamp", "split"])
    examples["timestamp"] = pd.to_datetime(examples["timestamp"], unit="s").astype("datetime64[ms]")
    events = pd.DataFrame(
        {"user_id": ["ann"], "item_id": ["book"], "timestamp": pd.to_datetime([1], unit="s")}
    )
    return Tables(pd.DataFrame(), pd.DataFrame(), events, examples, pd.DataFrame())


def test_self_and_those_chosen_in_earlier_training_rows_do_not_compete(tables):
    found = known_users(tables.examples, "trusts", ENCODER, np.arange(6))
    expected = [
        "ann",  # her first link
        "ann bob",
        "bob",  # whom ann chose is not whom bob chose
        "ann bob cid",
        "ann bob cid",  # what a validation row says is nobody's knowledge
        "",  # unknown users have no past
    ]
    assert [" ".join(np.array(USERS)[row]) for row in found] == expected


def test_what_is_left_out_follows_the_candidates(tables):
    rows = np.array([4])
    users = left_out(Ranking(USERS, candidates="users"), ENCODER, tables, "trusts", rows)
    np.testing.assert_array_equal(users, known_users(tables.examples, "trusts", ENCODER, rows))
    items = left_out(Ranking(ITEMS), ENCODER, tables, "trusts", rows)
    now = tables.examples["timestamp"].iloc[rows]
    expected = seen_items(usable_events(tables, ENCODER), np.array([1]), now, 2)
    np.testing.assert_array_equal(items, expected)
    assert items.tolist() == [[False, True]]


def test_rank_among_users_counts_only_those_who_compete(tables):
    scores = np.array([[9.0, 8.0, 7.0, 1.0]])
    out = known_users(tables.examples, "trusts", ENCODER, np.array([4]))
    assert ranks(scores, np.array([3]), out).tolist() == [[1, 1]]
    assert ranks(scores, np.array([3]), np.zeros_like(out)).tolist() == [[4, 4]]


def test_brute_force_agrees_on_random_links():
    rng = np.random.default_rng(0)
    n, ids = 200, tuple(f"u{k}" for k in range(12))
    encoder = Encoder(Side(ids, ()), Side(ITEMS, ()), NONE, {}, 4)
    examples = pd.DataFrame(
        {
            "user_id": rng.choice(ids, n),
            "trusts": rng.choice([*ids, None], n),
            "timestamp": pd.to_datetime(rng.integers(0, 50, n), unit="s").astype("datetime64[ms]"),
            "split": rng.choice(["train", "validation", "test"], n),
        }
    )
    found = known_users(examples, "trusts", encoder, np.arange(n))
    for at, row in enumerate(examples.itertuples()):
        names = {row.user_id}
        for other in examples.itertuples():
            earlier = other.split == "train" and other.timestamp < row.timestamp
            if earlier and other.user_id == row.user_id and pd.notna(other.trusts):
                names.add(other.trusts)
        assert {ids[k] for k in np.flatnonzero(found[at])} == names
