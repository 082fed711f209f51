"""Tables of one's own files, against counts by hand and a brute-force past."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mtrec.data import leaks, schema
from mtrec.domains import own
from mtrec.own.table import FileError

LABELS = {"next_item": "ranking", "rating": "regression", "like": "binary", "gift": "binary",
          "next_kind": "multiclass", "next_tags": "multilabel"}  # fmt: skip


def settings(**changes):
    events = {"user_id": "who", "item_id": "what", "timestamp": "t", "time_unit": "s",
              "rating": "stars", "numeric": ["price"], "binary": ["gift"]}  # fmt: skip
    items = {"id": "code", "numeric": ["w"], "multi": {"tags": "|"}, "text": "{name}, {kind}"}
    base = {"events": events, "items": items, "like_from": 4, "next_of": ["kind", "tags"]}
    return own.Settings.model_validate({**base, **changes})


def world(rows=600, seed=0):
    rng = np.random.default_rng(seed)
    stars = pd.Series(rng.integers(1, 6, rows)).astype("str")
    stars[rng.random(rows) < 0.1] = None
    events = pd.DataFrame({
        "who": [f"u{n}" for n in rng.integers(0, 25, rows)],
        "what": [f"i{n}" for n in rng.integers(0, 15, rows)],
        "t": [str(n) for n in 1_600_000_000 + 3600 * rng.integers(0, 400, rows)],
        "stars": stars, "price": [f"{p:.2f}" for p in rng.random(rows)],
        "gift": rng.choice(["yes", "no"], rows), "ignored": "x",
    })  # fmt: skip
    items = pd.DataFrame({
        "code": [f"i{n}" for n in range(3, 18)], "name": [f"Thing {n}" for n in range(15)],
        "kind": rng.choice(["p", "q", "=r()"], 15), "tags": rng.choice(["m|n", "n", "m"], 15),
        "w": ["1.5", "inf", "x"] * 5,
    })  # fmt: skip
    return own.Raw(events.astype("str"), items.astype("str"), pd.DataFrame())


@pytest.mark.parametrize("timed", [True, False])
def test_context_is_what_a_brute_force_search_of_the_past_finds(timed):
    chosen = settings()
    if not timed:
        events = chosen.events.model_copy(update={"timestamp": None})
        chosen = settings(events=events.model_dump(), split="random")
    rows = own.make_tables(world(), chosen, 1).examples
    for n in range(0, len(rows), 7):
        row = rows.iloc[n]
        for side in ("user", "item"):
            past = rows[(rows[f"{side}_id"] == row[f"{side}_id"])
                        & (rows["timestamp"] < row["timestamp"])]  # fmt: skip
            if not timed:
                past = past[past["split"] == "train"]
            assert row[f"{side}_count"] == pytest.approx(np.log1p(len(past)))
            mean = past["rating"].mean()
            found = row[f"{side}_mean_rating"]
            assert found == pytest.approx(mean) or (np.isnan(found) and np.isnan(mean))


def test_tables_are_valid_labels_follow_their_columns_and_splits_are_in_time():
    raw = world()
    tables = schema.validate(own.make_tables(raw, settings(), 1), LABELS)
    rows = tables.examples
    known = rows["rating"].notna()
    assert (rows.loc[known, "like"] == (rows.loc[known, "rating"] >= 4)).all()
    assert rows.loc[~known, "like"].isna().all()
    assert (rows["next_item"] == rows["item_id"]).all()
    kinds = raw.items.set_index("code")["kind"]
    expected = rows["item_id"].map(kinds)
    assert (rows["next_kind"].fillna("-") == expected.fillna("-")).all()
    latest = rows.groupby("split")["timestamp"].max()
    assert latest["train"] < latest["validation"] < latest["test"]
    assert "price" not in rows  # of the event itself: known only afterwards
    assert tables.items.loc[tables.items["item_id"] == "i4", "text"].tolist()[0].startswith("Thing")
    assert set(tables.items["item_id"]) == {f"i{n}" for n in range(18)}
    assert tables.items["w"].notna().sum() == 5


@pytest.mark.parametrize("split", ["temporal", "random"])
def test_no_feature_depends_on_the_future(split):
    chosen = settings(split=split)
    if split == "random":
        events = chosen.events.model_copy(update={"timestamp": None})
        chosen = settings(events=events.model_dump(), split=split)
    part = own.sample_raw(world(), 12, 3)
    rows = own.make_tables(part, chosen, 1).examples
    cutoff = rows["timestamp"].sort_values().iloc[len(rows) // 2]
    compared = leaks.check_past_only(
        lambda raw: own.make_tables(raw, chosen, 1), part, own.truncate, cutoff, list(LABELS)
    )
    assert compared == (rows["timestamp"] < cutoff).sum()


def test_the_account_is_complete():
    raw = world(300)
    events = raw.events.copy()
    events.loc[0, "who"] = None
    events.loc[1, "what"] = " "
    events.loc[2, "t"] = "yesterday"
    events.loc[3, "t"] = "99999999999999"
    events = pd.concat([events, events.iloc[[10, 11]]], ignore_index=True)
    broken = own.Raw(events, pd.concat([raw.items, raw.items.iloc[[0]]]), raw.users)
    tables = own.make_tables(broken, settings(), 1)
    account = tables.account.set_index(["table", "step"])["rows"]
    assert account["events", "no user id"] == 1
    assert account["events", "no item id"] == 1
    assert account["events", "no time"] == 2
    assert account["events", "repeats"] >= 2
    assert account["items", "duplicate id"] == 1
    assert account["items", "not in the file"] == 3
    assert account["items", "w: not a number"] == 10 + 1 - 1
    dropped = tables.account[(tables.account["table"] == "events")
                             & (tables.account["kind"] == "dropped")]["rows"].sum()  # fmt: skip
    assert len(tables.examples) + dropped == len(events)


def test_labels_keep_the_values_that_training_shows_most():
    column = pd.Series({"a": "p", "b": "q", "c": "r", "d": None})
    training = pd.Series(["a"] * 5 + ["b"] * 3 + ["c"])
    assert own.frequent(column, training, 2).fillna("-").tolist() == ["p", "OTHER", "OTHER", "-"]
    lists = pd.Series({"a": ["m", "n"], "b": ["n"], "c": []})
    assert own.frequent(lists, training, 1).tolist() == [["n"], ["n"], []]


def test_settings_that_do_not_go_together_and_missing_files_are_named(tmp_path):
    for changes, message in (
        ({"events": {"user_id": "a", "item_id": "b"}, "like_from": None}, "set split: random"),
        ({"items": None}, "columns of items"),
        ({"events": {"user_id": "a", "item_id": "b", "timestamp": "t"}}, "needs events.rating"),
        ({"types": {"buy": ["buy"]}}, "types needs events.type"),
        ({"events": {"user_id": "a", "item_id": "b", "timestamp": "t", "time_unit": "days",
                     "rating": "r"}}, "time_unit is iso, s, ms, us, ns, d or a format"),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=message):
            settings(**changes)
    with pytest.raises(FileError, match="no events file"):
        own.load_raw(tmp_path)
    raw = world()
    with pytest.raises(schema.SchemaError, match="events: column 'gift' is missing"):
        own.make_tables(
            own.Raw(raw.events.drop(columns="gift"), raw.items, raw.users), settings(), 1
        )
    empty = raw.events.assign(t="never")
    with pytest.raises(ValueError, match="no row has a user, an item and a time"):
        own.make_tables(own.Raw(empty, raw.items, raw.users), settings(), 1)
