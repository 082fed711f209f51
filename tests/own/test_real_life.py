"""Small files as shops and sites have them, from `new` to the tables."""

import numpy as np
import pandas as pd
import pytest


def shop(log, dates):
    """An online shop's sales: codes with letters, float ids with gaps, cancelled invoices."""
    user = (log["user"] + 17_000).astype("float").where(log["yes"].cumsum() % 6 > 0)
    item = [f"84{n:03d}{'' if n % 3 else 'A'}" for n in log["item"]]
    return pd.DataFrame({
        "InvoiceNo": [f"{'' if n % 25 else 'C'}{536365 + n // 5}" for n in range(len(log))],
        "StockCode": item, "Description": [f"SILENT HARBOUR {n}" for n in log["item"]],
        "Quantity": log["stars"] * 6, "InvoiceDate": dates,
        "UnitPrice": (log["item"] / 10 + 1).round(2), "CustomerID": user,
        "Country": np.array(["EIRE", "Norway"])[log["user"] % 2],
    })  # fmt: skip


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S", "%d-%m-%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%y %H:%M"]
)
def test_a_shop_with_dates_of_its_country_is_proposed_as_check_accepts_it(attempt, log, form):
    when = pd.to_datetime(log["second"], unit="s")
    events = shop(log, when.dt.strftime(form))
    found = attempt(events)
    iso = form.startswith("%Y")
    assert found.block["data"]["events"]["time_unit"] == ("iso" if iso else form)
    missing = events["CustomerID"].isna().sum()
    assert found.said(f"CustomerID: {missing} ids are missing")
    assert len(found.tables.examples) == len(log) - missing
    known = when[events["CustomerID"].notna().to_numpy()]
    low = known.min().floor("s" if iso else "min")
    assert found.tables.examples["timestamp"].min() == low
    assert found.block["data"]["items"]["of_events"] == ["Description", "UnitPrice"]
    assert found.role("numeric") == ["Quantity"]
    assert not set(found.tables.users["user_id"]) & {"17003.0"}


def test_session_logs_keep_their_repeats_and_times_with_zone(attempt, log):
    when = pd.to_datetime(log["second"], unit="s").dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    found = attempt(pd.DataFrame({
        "event_time": when, "event_type": np.resize(["view", "view", "cart", "purchase"], len(log)),
        "product_id": log["item"] + 5_800_000, "brand": [f"b{n % 3}" for n in log["item"]],
        "user_id": log["user"] % 9 + 1_515_915_625_000_000_000,
        "user_session": [f"366d512b-aaaa-{n:04d}" for n in range(len(log))],
    }))  # fmt: skip
    assert found.role("timestamp") == ["event_time"]
    assert found.block["data"]["split"] == "temporal"
    assert len(found.tables.examples) == len(log)
    assert {"cart", "purchase", "next_brand"} < set(found.tasks())
    assert found.said("user_session: not used")


def test_a_rare_label_that_a_split_lacks_is_warned_of(attempt, log):
    hate = np.zeros(len(log), dtype=int)
    hate[[5, 60, 130]] = 1
    found = attempt(pd.DataFrame({"user_id": log["user"], "video_id": log["item"],
                                  "time_ms": log["second"] * 1000, "is_hate": hate}))  # fmt: skip
    assert any("'is_hate': all labels of the test split are 0" in x for x in found.lines("warning"))


def test_times_in_few_digits_are_read_and_the_rounding_is_said(attempt, log):
    rounded = [f"{second * 1000:.6e}" for second in log["second"]]
    found = attempt(pd.DataFrame({"user_id": log["user"], "item_id": log["item"],
                                  "timestamp": rounded, "click": log["yes"]}))  # fmt: skip
    assert found.block["data"]["events"]["time_unit"] == "ms"
    assert found.said("times were rounded to 1,000 seconds ('") or found.said(
        "times were rounded to 1,000 seconds"
    )


@pytest.mark.parametrize("days", [1, 2, 3])
def test_too_few_dates_for_a_split_in_time_give_a_random_one_and_say_so(attempt, log, days):
    date = pd.to_datetime("2023-05-01") + pd.to_timedelta(np.arange(len(log)) * days // 600, "D")
    events = pd.DataFrame({"user_id": log["user"], "item_id": log["item"], "rating": log["stars"]})
    found = attempt(events.assign(date=date), errors=days == 1)  # check names the one date
    assert found.block["data"]["split"] == "random"
    assert "too few different times" in found.made.report()
    assert set(found.tables.examples["split"]) == {"train", "validation", "test"}


def test_days_counted_from_any_start_are_the_order_of_events(attempt, log):
    found = attempt(pd.DataFrame({"household": log["user"], "product": log["item"],
                                  "day": np.arange(len(log)) + 1}))  # fmt: skip
    assert found.block["data"]["events"]["time_unit"] == "d"
    assert found.block["data"]["split"] == "temporal"


def test_one_listener_is_proposed_like_many(attempt, log):
    found = attempt(pd.DataFrame({"user": "me", "track": [f"Song {n}" for n in log["item"]],
                                  "timestamp": log["second"], "loved": log["yes"]}))  # fmt: skip
    assert found.tasks() == {"next_item": "ranking", "loved": "binary"}
