from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.events import training_events
from mtrec.features.factors import factorize
from mtrec.studies.thin import KEYS, recount, thin
from mtrec.tables.split import users as by_users
from tests.conftest import DOMAIN, make_world


@pytest.fixture(scope="module")
def big():
    world = make_world(seed=2, users=50, items=40, events=4000)
    return replace(world, events=world.events.drop_duplicates(KEYS))


def keys(frame):
    return set(frame[KEYS].itertuples(index=False, name=None))


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_share_of_events_and_training_rows_is_left_and_held_out_rows_all(big, share):
    found = thin(big, share, seed=0)
    assert len(found.events) / len(big.events) == pytest.approx(share, abs=0.03)
    for split, part in big.examples.groupby("split"):
        left = (found.examples["split"] == split).sum()
        expected = share * len(part) if split == "train" else len(part)
        assert left == pytest.approx(expected, abs=0.03 * len(big.examples) if share else 0)
        if split != "train":
            assert left == len(part)


def test_training_row_goes_with_its_event(big):
    found = thin(big, 0.3, seed=0)
    rows = found.examples[(found.examples["split"] == "train") & found.examples["user_id"].notna()]
    assert keys(rows) <= keys(found.events)


def test_smaller_share_is_a_part_of_a_larger_one_and_all_is_all(big):
    half, tenth = (thin(big, share, seed=4) for share in (0.5, 0.1))
    assert keys(tenth.events) < keys(half.events) < keys(big.events)
    pd.testing.assert_frame_equal(thin(big, 1.0, seed=4).events, big.events)
    assert len(thin(big, 1.0, seed=4).examples) == len(big.examples)


def test_cold_flags_are_those_of_the_thinner_world(big):
    found = thin(big, 0.02, seed=0).examples
    trained = set(found.loc[found["split"] == "train", "item_id"])
    assert (found["cold_item"] == ~found["item_id"].isin(trained)).all()
    assert found["cold_item"].sum() > big.examples["cold_item"].sum()


def test_context_counts_only_the_events_that_are_left(big):
    thinned = thin(big, 0.2, seed=0)
    tables, domain = recount(thinned, DOMAIN)
    assert domain.features.user.context == ("user_past_count", "user_past_rating")
    assert domain.features.item.context == ()  # it had none
    assert "user_count" not in tables.examples
    for row in tables.examples[tables.examples["user_id"].notna()].sample(50).itertuples():
        past = thinned.events[thinned.events["user_id"] == row.user_id]
        past = past[past["timestamp"] < row.timestamp]
        assert row.user_past_count == pytest.approx(np.log1p(len(past)))
        mean = past["rating"].mean() if len(past) else np.nan
        assert row.user_past_rating == pytest.approx(mean, nan_ok=True)


@pytest.mark.parametrize("side", ["user", "item"])
def test_held_out_event_counts_for_nobody_when_time_does_not_split(big, side):
    """A planted leak: in a random split, and for items in a split by users."""
    item = DOMAIN.features.item.model_copy(update={"context": ("x",)})
    domain = DOMAIN.model_copy(
        update={"features": DOMAIN.features.model_copy(update={"item": item})}
    )
    rows = big.examples[big.examples["user_id"].notna()].assign(x=0.0)
    seed = np.random.default_rng(0)
    random = pd.Series(seed.choice(["train", "validation", "test"], len(rows)), index=rows.index)
    splits = [random] if side == "user" else [random, by_users(rows, (0.2, 0.2), seed=1)]
    for split in splits:
        tables = replace(big, examples=rows.assign(split=split))
        training, _ = training_events(tables.events, tables.examples)
        held = ~tables.events.index.isin(training.index)
        twisted = tables.events.assign(rating=tables.events["rating"].where(~held, 1e6))
        column = f"{side}_past_rating"
        found = [recount(replace(tables, events=e), domain)[0].examples[column]
                 for e in (tables.events, twisted)]  # fmt: skip
        pd.testing.assert_series_equal(*found)
        assert held.any()


def test_factors_of_a_thinned_world_know_only_what_is_left(big):
    thinned = thin(big, 0.05, seed=0)
    found = factorize(training_events(thinned.events, thinned.examples)[0], "svd", 4)
    assert set(found["item_id"].index) <= set(thinned.events["item_id"])
