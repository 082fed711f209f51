from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.encoder import fit_encoder, usable_events
from mtrec.settings import Task
from mtrec.studies.cold_split import hold_out, make_cold, name_rows
from mtrec.studies.cold_start_plan import cold_tasks
from mtrec.studies.past_columns import past_columns
from tests.conftest import DOMAIN, SIZES, TASKS, make_world

SHARES = (0.1, 0.2)


@pytest.fixture(scope="module")
def big():
    return make_world(seed=5, users=60, items=400, events=6000)


def cold(tables, split, seed=0, domain=DOMAIN):
    return make_cold(tables, domain, split, SHARES, seed)


def encode(data):
    return fit_encoder(data.tables, data.domain.features, SIZES, {})


def test_shares_of_the_ids_are_held_out_and_the_seed_chooses_them():
    ids = pd.Series([f"i{n}" for n in range(100)])
    found = hold_out(ids, SHARES, seed=1)
    assert found.value_counts().to_dict() == {"train": 70, "test": 20, "validation": 10}
    assert found.equals(hold_out(ids.sample(frac=1, random_state=2), SHARES, seed=1))
    assert not found.equals(hold_out(ids, SHARES, seed=2))


@pytest.mark.parametrize(
    ("split", "kept"),
    [
        ("cold_items", ["rating", "like", "next_item", "kind"]),
        ("cold_users", ["rating", "like", "genres", "mood", "next_item"]),
    ],
)
def test_tasks_that_see_the_cold_side_are_kept(big, split, kept):
    assert list(cold(big, split).domain.tasks) == kept


def test_task_goes_with_the_task_that_it_waits_for():
    waiting = {**TASKS, "rating": TASKS["rating"].model_copy(update={"when": "mood_is_glad"})}
    waiting["mood_is_glad"] = Task(type="binary", view="user", label="x")
    assert "rating" not in cold_tasks(waiting, "item")
    assert "rating" in cold_tasks(waiting, "user")


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_rows_are_split_by_their_entity_and_flagged_cold(big, split):
    data = cold(big, split)
    key, examples = f"{data.side}_id", data.tables.examples
    assert (examples["split"] == examples[key].map(data.groups)).all()
    assert (data.entities == examples[key]).all()
    assert (examples[f"cold_{data.side}"] == (examples["split"] != "train")).all()
    assert set(examples["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_encoder_holds_no_trace_of_what_held_out_entities_did(big, split):
    """Whatever held-out entities did: vocabularies, statistics and histories are the same."""
    first = cold(big, split)
    key = f"{first.side}_id"
    held = set(first.groups.index[first.groups != "train"])
    twisted = replace(
        big,
        events=big.events.assign(
            rating=big.events["rating"].where(~big.events[key].isin(held), 1000.0)
        ),
        examples=big.examples.assign(
            user_count=big.examples["user_count"].where(~big.examples[key].isin(held), 1000.0)
        ),
    )
    second = cold(twisted, split)
    one, other = encode(first), encode(second)
    for side in ("user", "item"):
        for a, b in zip(getattr(one, side).fields, getattr(other, side).fields, strict=True):
            np.testing.assert_array_equal(a.table, b.table)
    assert one.event == other.event
    assert one.contexts == other.contexts
    inputs, again = (
        e.inputs(d.tables.examples, usable_events(d.tables, e))
        for e, d in ((one, first), (other, second))
    )
    assert inputs.keys() == again.keys()
    for name in inputs:
        np.testing.assert_array_equal(inputs[name], again[name])


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_held_out_id_is_unknown_and_in_no_history(big, split):
    data = cold(big, split)
    encoder = encode(data)
    events = usable_events(data.tables, encoder)
    side = getattr(encoder, data.side)
    held = side.rows(pd.Series(data.groups.index[data.groups != "train"]))
    assert (side.field(f"{data.side}_id").table[held] == 0).all()
    assert not set(held) & set(getattr(events, data.side)[1:])
    trained = side.rows(pd.Series(data.groups.index[data.groups == "train"]))
    assert (side.field(f"{data.side}_id").table[trained] > 0).mean() > 0.9


def test_category_of_held_out_items_alone_is_no_category(big):
    held = cold(big, "cold_items").groups
    alone = big.items["item_id"].map(held) != "train"
    items = big.items.assign(colour=big.items["colour"].where(~alone, "unseen"))
    encoder = encode(cold(replace(big, items=items), "cold_items"))
    colour = encoder.item.field("colour")
    assert colour.size == 3  # red, blue, unknown
    assert (colour.table[1:][alone.to_numpy()] == 0).all()


def test_new_entity_has_no_context_and_the_other_side_counts_only_what_is_left(big):
    data = cold(big, "cold_items")
    features, examples = data.domain.features, data.tables.examples
    assert features.user.context == ("user_past_count", "user_past_rating")
    assert features.item.context == features.joint.context == ()
    assert "user_count" not in examples
    assert cold(big, "cold_users").domain.features.user.context == ()
    held = data.groups.index[data.groups != "train"]
    left = big.events[~big.events["item_id"].isin(held)]
    for row in examples[examples["user_id"].notna()].sample(60, random_state=1).itertuples():
        past = left[(left["user_id"] == row.user_id) & (left["timestamp"] < row.timestamp)]
        assert row.user_past_count == pytest.approx(np.log1p(len(past)))
        mean = past["rating"].mean() if len(past) else np.nan
        assert row.user_past_rating == pytest.approx(mean, nan_ok=True)


def test_past_of_rows_without_id_or_time_is_missing():
    events = pd.DataFrame(
        {"user_id": ["a"], "timestamp": pd.to_datetime(["2020-01-01"]), "stars": [4.0]}
    )
    rows = pd.DataFrame(
        {"user_id": ["a", None, "a", "b", "a"],
         "timestamp": pd.to_datetime([None, "2021", "2021", "2021", "2019"], format="%Y")}
    )  # fmt: skip
    found = past_columns(events, rows, "user", ["stars"])
    np.testing.assert_allclose(
        found["user_past_count"], [np.nan, np.nan, np.log(2), 0, 0], equal_nan=True
    )
    np.testing.assert_allclose(
        found["user_past_stars"], [np.nan, np.nan, 4, np.nan, np.nan], equal_nan=True
    )


def test_row_that_names_a_held_out_user_as_label_is_held_out():
    trust = {"trust": Task(type="ranking", view="user", label="trusts", candidates="users")}
    groups = pd.Series({"a": "train", "b": "validation", "c": "test"})
    examples = pd.DataFrame(
        {"user_id": ["a", "a", "a", "b", None], "trusts": [None, "b", "c", "c", None]}
    )
    found, entities = name_rows(examples, "user", trust, groups)
    assert found["split"].tolist() == ["train", "validation", "test", "test"]
    assert entities.tolist() == ["a", "b", "c", "c"]


def test_task_with_too_few_labels_in_a_split_is_left_out(big):
    films = big.examples["kind"].notna()
    few = big.examples[~films | big.examples["item_id"].isin(["i1", "i2"])]
    assert "kind" not in cold(replace(big, examples=few), "cold_items").domain.tasks
