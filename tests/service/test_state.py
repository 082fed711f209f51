"""What a service knows after n events is what `mtrec.load` knows of data that hold them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.state import save_state
from mtrec.service.state import State
from mtrec.serving.recommender import load_state
from tests.service.conftest import ONLINE_DOMAIN, small


def loaded(made, tables, folder):
    save_state(made.assembly, tables, ONLINE_DOMAIN.tasks, folder)
    return load_state("tiny", folder, None, made.assembly)


def before(tables, cutoff):
    early = ~(tables.examples["timestamp"] >= cutoff)
    events = tables.events[tables.events["timestamp"] < cutoff]
    return replace(tables, examples=tables.examples[early], events=events)


def events_from(tables, cutoff):
    late = tables.events[tables.events["timestamp"] >= cutoff]
    for at, row in enumerate(late.sort_values("timestamp", kind="stable").itertuples()):
        yield {
            "event_id": str(at), "user_id": row.user_id, "item_id": row.item_id,
            "time": int(row.timestamp.value // 1_000_000), "values": {"rating": row.rating},
        }  # fmt: skip


def inputs(recommender, pairs):
    found = recommender.assembly.encoder.inputs(recommender.rows(pairs), recommender.events)
    return found | recommender.head_inputs(found["user"], found["item"])


def state_inputs(state, pairs):
    users = np.array([state.users.row.get(name, 0) for name in pairs["user_id"]])
    items = np.array([state.items.row.get(name, 0) for name in pairs["item_id"]])
    return state.inputs(users, items)


def every_pair(tables):
    return tables.users[["user_id"]].merge(tables.items[["item_id"]], how="cross")


def known_rows(tables, in_time):
    """All rows, or where held-out ones are nobody's knowledge the training rows alone."""
    if in_time:
        return tables
    rows = tables.examples[tables.examples["split"] == "train"]
    events = tables.events[tables.events.index.isin(rows.index)]
    return replace(tables, examples=rows, events=events)


@pytest.mark.parametrize("in_time", [True, False], ids=["split in time", "random split"])
@pytest.mark.parametrize("count", [1, 7, 120])
def test_n_events_give_what_loading_data_that_hold_them_gives(in_time, count, vectors, tmp_path):
    made = small(in_time, vectors)
    tables = known_rows(made.tables, in_time)
    cutoff = tables.events["timestamp"].sort_values().iloc[-count]
    early = before(tables, cutoff)
    state = State(loaded(made, early, tmp_path), early, ONLINE_DOMAIN.tasks, made.rules)
    wanted = loaded(made, tables, tmp_path)
    pairs = every_pair(tables)
    at_first = state_inputs(state, pairs)
    for event in events_from(tables, cutoff):
        state.check(event)
        assert not state.add(event)
    found, expected = state_inputs(state, pairs), inputs(wanted, pairs)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)
    assert state.now == wanted.now.value // 1_000_000
    for row in range(1, len(state.users)):
        assert set(state.met(row)) == set(wanted.met_by(row))
    assert any(np.abs(found[name] - at_first[name]).max() > 0 for name in found)  # they did matter


@pytest.fixture
def fresh(in_time, tmp_path):
    recommender = loaded(in_time, in_time.tables, tmp_path)
    return State(recommender, in_time.tables, ONLINE_DOMAIN.tasks, in_time.rules)


def event(**changes):
    return {"event_id": "e", "user_id": "u1", "item_id": "i3", "time": 10**9,
            "values": {"rating": 5.0}, **changes}  # fmt: skip


def test_a_new_user_has_a_history_and_a_context_from_the_first_event(fresh):
    stranger = np.array([0]), np.array([0])
    without = fresh.inputs(*stranger)
    fresh.add(event(user_id="new", time=10**9))
    fresh.add(event(user_id="new", time=2 * 10**9, item_id="i4"))
    row = fresh.users.row["new"]
    found = fresh.inputs(np.array([row]), np.array([0]))
    assert found["user"] == without["user"] == 0
    assert (found["history_items"][0] > 0).sum() == 2
    user_count = found["user_context"][0, 0]
    mean, deviation = (getattr(fresh.encoder.contexts["user"], n)[0] for n in ("mean", "deviation"))
    assert user_count[0] == pytest.approx((np.log1p(1) - mean) / deviation, abs=1e-5)
    assert set(fresh.met(row)) == {fresh.items.row["i3"], fresh.items.row["i4"]}


def test_a_new_item_shares_what_its_key_column_knows(fresh):
    fresh.add(event(item_id="fresh", item={"colour": "red"}))
    row = fresh.items.row["fresh"]
    found = fresh.inputs(np.array([0]), np.array([row]))
    assert found["item"] == 0
    assert not found["item_context"][0, :, 1].any()  # nothing is missing: red films are known


def test_a_clock_that_goes_backwards_leaves_histories_in_the_order_of_time(fresh):
    assert not fresh.add(event(time=3 * 10**9, item_id="i4"))
    assert fresh.add(event(time=2 * 10**9, item_id="i5"))
    row = fresh.users.row["u1"]
    assert (np.diff(fresh.history_times[row]) >= 0).all()
    last = fresh.history_items[row][-2:]
    assert [*last] == [fresh.items.row["i5"], fresh.items.row["i4"]]
    assert fresh.now == 3 * 10**9 + 1000


def test_what_was_only_shown_is_in_no_history(fresh):
    row = fresh.users.row["u1"]
    known = fresh.history_items[row].copy(), {*fresh.met(row)}
    fresh.add(event(happened=False, values={}, labels={"like": 0}))
    assert (fresh.history_items[row] == known[0]).all()
    assert {*fresh.met(row)} == known[1]


def test_an_event_older_than_all_that_are_kept_changes_no_history(fresh):
    row = fresh.users.row["u1"]
    known = fresh.history_items[row].copy()
    fresh.add(event(time=-1, item_id="i9"))
    assert (fresh.history_items[row] == known).all()
    assert fresh.items.row["i9"] in fresh.met(row)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"values": {"stars": 5.0}}, "values: there is no 'stars' .known: rating"),
        ({"labels": {"liked": 1}}, "labels: there is no 'liked' .known: like, next_item, rating"),
        ({"labels": {"like": 2}}, "labels: 'like' cannot be 2, which is not yes or no"),
        ({"labels": {"rating": "five"}}, "'rating' cannot be 'five', which is not numbers"),
        ({"context": {"age": 5.0}}, "context: there is no 'age' .known: item_count"),
    ],
)  # fmt: skip
def test_what_could_not_be_counted_is_named(fresh, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        fresh.check(event(**changes))


def test_a_user_with_ten_thousand_events_keeps_the_last_ones(fresh):
    for at in range(10_000):
        fresh.add(event(time=10**9 + at, item_id=f"i{at % 20}"))
    row = fresh.users.row["u1"]
    assert fresh.history_times[row].tolist() == [10**9 + at for at in range(9996, 10_000)]
    assert pd.Series(fresh.met(row)).nunique() == 20
