from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.domains import candidates, ecommerce
from mtrec.tables import leaks
from mtrec.tables.schema import validate

LABELS = {
    "purchase": "binary", "spend": "regression", "category": "multiclass", "basket": "multilabel",
}  # fmt: skip
SETTINGS = ecommerce.Settings()


@pytest.fixture(scope="module")
def raw(raw_data):
    some = ecommerce.sample_raw(ecommerce.load_raw(raw_data / "completejourney"), 120, 0)
    return replace(some, promotions=some.promotions[::10])  # of 21 million


@pytest.fixture(scope="module")
def tables(raw):
    return validate(ecommerce.make_tables(raw, SETTINGS, 42), LABELS)


@pytest.fixture(scope="module")
def bought(raw):
    frame = raw.transactions.rename(columns={"household_id": "user_id", "product_id": "item_id"})
    frame = frame[(frame["quantity"] > 0) & (frame["sales_value"] > 0)]
    return frame.astype({"user_id": str, "item_id": str})


def with_week(tables, bought):
    start = bought.groupby("week")["transaction_timestamp"].min().reset_index()
    rows = tables.examples[tables.examples["purchase"].notna()].sort_values("timestamp")
    start["transaction_timestamp"] = start["transaction_timestamp"].astype("datetime64[ms]")
    return pd.merge_asof(
        rows, start, left_on="timestamp", right_on="transaction_timestamp", direction="nearest"
    )


def test_positives_were_bought_in_the_week_and_negatives_were_not(tables, bought):
    rows = with_week(tables, bought)
    keys = ["user_id", "item_id", "week"]
    found = pd.MultiIndex.from_frame(rows[keys]).isin(pd.MultiIndex.from_frame(bought[keys]))
    np.testing.assert_array_equal(found, rows["purchase"] == 1)


def test_spend_is_the_log_of_the_weeks_sales_and_only_where_purchased(tables, bought):
    rows = with_week(tables, bought)
    assert rows.loc[rows["purchase"] == 0, "spend"].isna().all()
    total = bought.groupby(["user_id", "item_id", "week"])["sales_value"].sum()
    mine = rows[rows["purchase"] == 1]
    expected = total.reindex(pd.MultiIndex.from_frame(mine[["user_id", "item_id", "week"]]))
    np.testing.assert_allclose(np.expm1(mine["spend"]), expected, atol=0.006)


def test_behaviour_of_a_pair_equals_brute_force(tables, bought):
    rows = with_week(tables, bought)
    for row in rows.sample(40, random_state=0).itertuples():
        past = bought[(bought["week"] < row.week) & (bought["item_id"] == row.item_id)]
        mine = past[past["user_id"] == row.user_id]
        assert row.pair_count == pytest.approx(np.log1p(len(mine)))
        if len(mine):
            assert row.pair_weeks_since == pytest.approx(np.log1p(row.week - mine["week"].max()))
        recent = past[past["week"] >= row.week - 4]
        assert row.item_popularity == pytest.approx(np.log1p(len(recent)))


def test_category_is_the_department_of_the_weeks_largest_sales_grocery_apart(tables, raw, bought):
    departments = raw.products.set_index("product_id")["department"]
    departments.index = departments.index.astype(str)
    sold = bought.assign(department=bought["item_id"].map(departments))
    others = [*ecommerce.NOT_PRODUCTS, "GROCERY"]
    sold = sold[sold["item_id"].isin(tables.items["item_id"]) & ~sold["department"].isin(others)]
    start = bought.groupby("week")["transaction_timestamp"].min().dt.date
    week = pd.Series(start.index, index=start.to_numpy())
    rows = tables.examples[tables.examples["purchase"].isna()].sample(150, random_state=0)
    known = set(tables.examples["category"].dropna())
    for row in rows.itertuples():
        mine = sold[(sold["user_id"] == row.user_id) & (sold["week"] == week[row.timestamp.date()])]
        spent = (mine["sales_value"] * 100).round().groupby(mine["department"]).sum()
        if spent.empty:
            assert pd.isna(row.category)
        else:
            best = set(spent.index[spent == spent.max()])
            assert row.category in best or (row.category == "OTHER" and not best & known)
    assert rows["category"].notna().mean() > 0.8


def test_no_department_leads_in_half_of_the_weeks(tables):
    shares = tables.examples["category"].value_counts(normalize=True)
    assert shares.max() < 0.5
    assert "GROCERY" not in shares


def test_weeks_are_split_as_the_case_study_says(tables, bought):
    weeks = with_week(tables, bought).groupby("split")["week"].agg(["min", "max"])
    assert weeks.loc["train"].tolist() == [9, 44]
    assert weeks.loc["validation"].tolist() == [45, 48]
    assert weeks.loc["test"].tolist() == [49, 53]


def test_candidate_that_was_never_sold_before_is_no_candidate(tables):
    candidates = tables.examples[tables.examples["purchase"].notna()]
    assert candidates["item_price"].notna().all()


def test_no_feature_depends_on_the_future(raw):
    rows = leaks.check_past_only(
        lambda data: ecommerce.make_tables(data, SETTINGS, 42),
        raw, ecommerce.truncate, pd.Timestamp("2017-12-11 05:00:49"), list(LABELS),
    )  # fmt: skip
    assert rows > 3000


def test_until_a_date_nothing_later_is_known(raw):
    earlier = ecommerce.Settings.model_validate(ecommerce.Settings.earlier)
    tables = ecommerce.make_tables(raw, earlier, 43)
    assert tables.events["timestamp"].max() < pd.Timestamp(earlier.until)
    tested = tables.examples.loc[tables.examples["split"] == "test", "timestamp"]
    assert tested.nunique() == 4  # weeks, which trained before
    assert tested.min() > pd.Timestamp("2017-10-02")


def test_share_of_negatives_is_a_parameter(raw, tables):
    more = ecommerce.make_tables(raw, SETTINGS.model_copy(update={"negatives_per_positive": 4}), 42)
    assert more.examples["purchase"].mean() < tables.examples["purchase"].mean() - 0.08


def test_overlapping_weeks_are_refused(raw):
    broken = raw.transactions.copy()
    broken.loc[broken.index[0], "transaction_timestamp"] = pd.Timestamp("2017-06-01")
    first = broken["week"].min()
    with pytest.raises(ValueError, match=f"weeks {first} and {first + 1} overlap"):
        ecommerce.make_tables(
            ecommerce.Raw(broken, raw.products, raw.demographics, raw.promotions), SETTINGS, 42
        )


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_promoted_products_are_found_by_store_and_week(kind):
    table = pd.DataFrame(
        {"store_id": [9, 9, 9, 3], "week": [2, 2, 53, 2], "product_id": [7, 7, 5, 99_999_999]}
    ).astype(kind)
    found = candidates._by_store_and_week(table)
    assert {key: part.tolist() for key, part in found.items()} == {
        (9, 2): [7], (9, 53): [5], (3, 2): [99_999_999],
    }  # fmt: skip
    assert candidates._by_store_and_week(table[:0]) == {}


def test_account_explains_every_row_of_the_files(raw, tables):
    account = tables.account.set_index("step")["rows"]
    dropped = tables.account[tables.account["kind"] == "dropped"].groupby("table")["rows"].sum()
    assert len(raw.transactions) - dropped["events"] == len(tables.events)
    assert len(raw.products) - account["never bought"] == len(tables.items)
    described = tables.users["text"].notna().sum()
    assert len(raw.demographics) - account["demographics of no buyer"] == described
    early = raw.promotions["week"] < SETTINGS.first_week
    assert account["promotions of other weeks"] >= early.sum() > 0
    other = account["promotions of other weeks"]
    assert account["promotions"] == len(raw.promotions) - other


def test_account_of_purchases_until_a_date_and_without_promotions_is_complete(raw):
    some = replace(raw, promotions=raw.promotions.iloc[:0])
    settings = SETTINGS.model_copy(update={"until": pd.Timestamp("2017-12-20")})
    made = ecommerce.make_tables(some, settings, 42)
    dropped = made.account[made.account["kind"] == "dropped"]
    assert dropped["step"].iloc[0] == "from data.until on"
    gone = dropped.loc[dropped["table"] == "events", "rows"].sum()
    assert len(raw.transactions) - gone == len(made.events)
    assert made.account.set_index("step").loc["promotions", "rows"] == 0
