import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrec.features.encoder import load_encoder, save_encoder, usable_events
from mtrec.features.events import last_events, make_events, training_events
from mtrec.features.fields import Scaler, Side, make_side
from mtrec.settings import Columns
from mtrec.tables.past import Past

EVENTS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 20)), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(0, 21), st.integers(1, 5))
def test_history_is_the_last_events_strictly_before(rows, user, now, length):
    frame = pd.DataFrame(rows, columns=["user_id", "second"])
    frame["timestamp"] = pd.to_datetime(frame["second"], unit="s").astype("datetime64[ms]")
    frame["item_id"] = [f"i{n}" for n in range(len(frame))]
    frame["user_id"] = frame["user_id"].map("u{}".format)
    users, items = Side(("u1", "u2", "u3", "u4"), ()), Side(tuple(frame["item_id"]), ())
    events = make_events(frame, users, items, Scaler((), (), (), ()))
    when = pd.Series(pd.to_datetime([now], unit="s"))
    index = last_events(events, np.array([user]), when, length)[0]
    before = frame[(frame["user_id"] == f"u{user}") & (frame["second"] < now)]
    expected = list(before.sort_values("second", kind="stable")["item_id"])[-length:]
    found = [f"i{events.item[k] - 1}" for k in index if k > 0]
    assert found == expected
    assert list(index[: length - len(found)]) == [0] * (length - len(found))


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(0, 21), st.integers(1, 20))
def test_sums_of_the_past_equal_brute_force(rows, key, period, window):
    keys, periods = (np.array(column) for column in zip(*rows, strict=True))
    values = np.arange(len(rows))
    past, query = Past.of(keys, periods), (np.array([key]), np.array([period]))
    before = (keys == key) & (periods < period)
    recent = before & (periods >= period - window)
    assert past.sum(*query)[0] == before.sum()
    assert past.sum(*query, values)[0] == values[before].sum()
    assert past.sum(*query, values, window)[0] == values[recent].sum()
    since = past.since(*query)[0]
    assert np.isnan(since) if not before.any() else since == period - periods[before].max()


def test_unknown_ids_share_row_zero():
    assert Side(("a", "b"), ()).rows(pd.Series(["b", None, "new"])).tolist() == [2, 0, 0]


def test_vocabularies_and_statistics_come_from_training_entities_alone():
    table = pd.DataFrame({"user_id": ["a", "b", "c"], "job": ["x", "y", "z"], "age": [10, 20, 999]})
    columns = Columns(categorical=("user_id", "job"), numeric=("age",))
    side = make_side(table, "user_id", columns, pd.Series({"a": 3, "b": 1}), 2)
    assert side.field("user_id").table.tolist() == [0, 1, 0, 0]  # b is rare, c unseen
    assert side.field("job").table.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(side.field("age").table[1:3, 0], [-1, 1])


def test_scaler_refuses_infinite_and_missing_columns():
    scaler = Scaler.fit(pd.DataFrame({"x": [0.0, 1.0]}))
    with pytest.raises(ValueError, match="'x' holds an infinite value"):
        scaler(pd.DataFrame({"x": [np.inf]}))
    with pytest.raises(KeyError, match="'x' is missing"):
        scaler(pd.DataFrame({"y": [1.0]}))


def test_a_column_that_no_training_row_lacks_is_its_mean_where_a_request_lacks_it():
    scaler = Scaler.fit(pd.DataFrame({"grade": [1.0, 2.0, 3.0], "last": [np.nan, 5.0, 7.0]}))
    found = scaler(pd.DataFrame({"grade": [2.0, np.nan], "last": [np.nan, np.nan]}))
    np.testing.assert_array_equal(found[0], found[1])  # a flag no weight was learnt for stays down
    assert found[:, 0].tolist() == [[0, 0], [0, 0]] and found[:, 1].tolist() == [[0, 1], [0, 1]]


def test_an_encoder_of_an_earlier_version_is_refused_in_one_sentence(assembly, tmp_path):
    save_encoder(assembly.encoder, tmp_path)
    file = tmp_path / "encoder.json"
    plain = json.loads(file.read_text())
    del plain["event"]["lacking"]
    file.write_text(json.dumps(plain))
    with pytest.raises(ValueError, match="earlier version of mtrec.*Train again: `make repro`"):
        load_encoder(tmp_path)


def test_constant_column_is_not_blown_up_by_the_rounding_of_its_deviation():
    scaler = Scaler.fit(pd.DataFrame({"x": [0.1] * 1000, "y": [0.1, 0.3] * 500}))
    assert scaler(pd.DataFrame({"x": [0.2], "y": [0.3]}))[0, :, 0] == pytest.approx([0.1, 1.0])


def test_without_a_split_in_time_held_out_events_are_not_learnt_from(world):
    examples = world.examples.copy()
    timed = examples["timestamp"].notna()
    examples.loc[timed, "split"] = np.where(np.arange(timed.sum()) % 5 == 0, "test", "train")
    events, in_time = training_events(world.events, examples)
    held = examples[timed & (examples["split"] == "test")]
    assert not in_time
    assert len(events) == len(world.events) - len(held)


def test_with_a_split_in_time_statistics_stop_where_validation_begins(world):
    events, in_time = training_events(world.events, world.examples)
    first = world.examples.loc[world.examples["split"] == "validation", "timestamp"].min()
    assert in_time
    assert events["timestamp"].max() < first


def test_inputs_have_the_promised_shapes(assembly, world):
    inputs = assembly.encoder.inputs(world.examples, usable_events(world, assembly.encoder))
    n = len(world.examples)
    shapes = {name: values.shape for name, values in inputs.items()}
    assert shapes == {
        "user": (n,), "item": (n,), "history_items": (n, 4), "history_events": (n, 4, 2),
        "user_context": (n, 1, 2),
    }  # fmt: skip
    assert all(np.isfinite(values).all() for values in inputs.values())


def test_missing_encoder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="encoder.json"):
        load_encoder(tmp_path)


def test_split_by_user_learns_from_training_users_and_shows_others_their_own_past(world):
    held = {"u0", "u1"}
    examples = world.examples.assign(
        split=np.where(world.examples["user_id"].isin(held), "test", "train")
    )
    events, histories_show_all = training_events(world.events, examples)
    assert histories_show_all
    assert set(events["user_id"]) == set(world.events["user_id"]) - held


def test_two_features_of_one_name_are_refused():
    table = pd.DataFrame({"user_id": ["a", "b"], "jobs": [["x"], ["y"]]})
    columns, counts = Columns(multi=("jobs", "jobs")), pd.Series({"a": 1, "b": 1})
    with pytest.raises(ValueError, match="features.user: two features are called 'jobs'"):
        make_side(table, "user_id", columns, counts, 1)
