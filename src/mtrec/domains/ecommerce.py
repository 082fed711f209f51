"""The Complete Journey: a year of a grocer's transactions (article §4.3 and §6.1).

Source: 84.51°, "The Complete Journey", https://www.8451.com/area51.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from mtrec.domains import candidates
from mtrec.domains.household_features import context_columns
from mtrec.tables.schema import Account, Tables, require_columns
from mtrec.tables.split import add_cold_flags

NOT_PRODUCTS = (
    "COUPON", "FUEL", "MISCELLANEOUS", "POSTAL CENTER", "CNTRL/STORE SUP", "CHARITABLE CONT",
    "PROD-WHS SALES", "GM MERCH EXP", "PHOTO & VIDEO", "TRAVEL & LEISURE",
)  # fmt: skip
PURCHASE_COLUMNS = [
    "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc",
    "coupon_disc", "week", "transaction_timestamp",
]  # fmt: skip
OTHER = "OTHER"
GROCERY = "GROCERY"  # most spent on in seven weeks of ten: who guesses it knows nothing more


class Settings(BaseModel):
    """``domains.ecommerce.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = True  # purchases have times
    earlier: ClassVar[Mapping[str, Any]] = {  # for `mtrec held-out`: eight weeks back
        "last_training_week": 36, "last_validation_week": 40, "until": "2017-10-30T04:00:00",
    }  # fmt: skip

    first_week: int = Field(9, ge=2, le=40, description="first week with examples, after a warm-up")
    last_training_week: int = Field(44, ge=10, le=50, description="train up to this week")
    last_validation_week: int = Field(48, ge=11, le=52, description="validate up to this week")
    training_share: float = Field(
        0.5, gt=0, le=1, description="share of household-weeks that train"
    )
    positives: int = Field(2, ge=1, le=20, description="purchased products per household-week")
    negatives_per_positive: int = Field(2, ge=1, le=20, description="products not purchased")
    promoted_share: float = Field(
        0.5, ge=0, le=1, description="negatives from the week's promotions"
    )
    basket_labels: int = Field(40, ge=2, le=300, description="most frequent categories in basket")
    min_share: float = Field(0.005, ge=0, lt=0.5, description="rarer departments become OTHER")
    until: NaiveDatetime | None = Field(None, description="purchases before it alone")


@dataclass(frozen=True)
class Raw:
    """The raw tables; promotions as pairs of (store, week) and product."""

    transactions: pd.DataFrame
    products: pd.DataFrame
    demographics: pd.DataFrame
    promotions: pd.DataFrame


def load_raw(folder: Path) -> Raw:
    """Read the files in ``folder``.

    Raises:
        FileNotFoundError: a file is missing.
        SchemaError: a column is missing.
    """
    return Raw(
        _read(folder, "transactions", PURCHASE_COLUMNS),
        _read(
            folder,
            "products",
            [
                "product_id",
                "manufacturer_id",
                "department",
                "brand",
                "product_category",
                "product_type",
            ],
        ),  # fmt: skip
        _read(
            folder,
            "demographics",
            [
                "household_id",
                "age",
                "income",
                "home_ownership",
                "marital_status",
                "household_size",
                "household_comp",
                "kids_count",
            ],
        ),  # fmt: skip
        _read(folder, "promotions", ["product_id", "store_id", "week"]),
    )


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are candidate products of a household in a week (labels ``purchase``, ``spend``) and
    one row per household and week without product (labels ``category``, ``basket``). Their time
    is the start of the week; everything they hold was known before it, labels apart.
    """
    account = Account()
    if settings.until is not None:
        raw = _until(raw, pd.Timestamp(settings.until), account)
    purchases = _purchases(raw, account)
    items = _items(raw.products, purchases, account)
    users = _users(raw.demographics, purchases, account)
    start = purchases.groupby("week")["timestamp"].min()
    _check_weeks(purchases, start)
    chosen = candidates.choose(purchases, raw.promotions, settings, seed)
    _tell_promotions(raw.promotions, chosen, account)
    households = chosen[["user", "week"]].drop_duplicates()
    account.add("examples", "household-weeks", "derived", len(households),
                len(purchases[["user", "week"]].drop_duplicates()),
                "weeks after the warm-up with a purchase; training weeks are sampled")  # fmt: skip
    candidate_rows = chosen.assign(spend=_spend(purchases, chosen))
    user_rows = _household_rows(purchases, households, settings)
    rows = pd.concat([candidate_rows, user_rows], ignore_index=True)
    rows = pd.concat([rows, context_columns(purchases, rows)], axis=1)
    rows["timestamp"] = rows["week"].map(start)
    rows["split"] = _split(rows["week"], settings)
    rows["user_id"] = rows["user"].astype(str)
    rows["item_id"] = rows["item"].astype("Int64").astype("string").astype("object")
    rows = rows.sort_values(["week", "user", "item"], kind="stable", ignore_index=True)
    examples = add_cold_flags(rows.drop(columns=["user", "item", "week"]))
    examples["item_id"] = examples["item_id"].where(examples["item_id"].notna(), None)
    return Tables(users, items, _events(purchases), examples, account.frame())


def _read(folder: Path, name: str, columns: list[str]) -> pd.DataFrame:
    file = folder / f"{name}.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Run `make repro` to fetch the raw data.")
    found = pq.read_schema(file).names
    require_columns(pd.DataFrame(columns=found), columns, file.name)
    return pq.read_table(file, columns=columns).to_pandas(self_destruct=True)


def _purchases(raw: Raw, account: Account) -> pd.DataFrame:
    """Clean transactions with integer keys: user, item, category, week, cents, discount."""
    goods = raw.products[["product_id", "department", "product_category"]]
    rows = raw.transactions.merge(goods, on="product_id", how="left")
    for step, bad, why in (
        ("not a product", rows["department"].isin(NOT_PRODUCTS),
         "fuel, coupons, services and unnamed goods are not shelf products"),
        ("no category", rows["product_category"].isna(), "cannot be described or labelled"),
        ("no quantity", rows["quantity"] <= 0, "returns and corrections"),
        ("no value", rows["sales_value"] <= 0, "given away or corrected; has no price"),
    ):  # fmt: skip
        rows = account.drop(rows, bad.loc[rows.index], "events", step, why)
    category = rows["product_category"].astype("category")
    return pd.DataFrame(
        {
            "user": rows["household_id"].astype("int64"),
            "item": rows["product_id"].astype("int64"),
            "category": category.cat.codes.astype("int64"),
            "category_name": category,
            "department": rows["department"].astype("category"),
            "store": rows["store_id"].astype("int64"),
            "basket": rows["basket_id"].astype("int64"),
            "week": rows["week"].astype("int64"),
            "timestamp": rows["transaction_timestamp"].astype("datetime64[ms]"),
            "quantity": rows["quantity"].astype("int64"),
            "cents": (rows["sales_value"] * 100).round().astype("int64"),
            "discounted": ((rows["retail_disc"] + rows["coupon_disc"]) > 0).astype("int64"),
        }
    ).sort_values(["timestamp", "user", "basket", "item"], kind="stable", ignore_index=True)


def _check_weeks(purchases: pd.DataFrame, start: pd.Series) -> None:
    """The published weeks must not overlap, or the start of a week would not be its past's end."""
    end = purchases.groupby("week")["timestamp"].max()
    overlap = end[:-1].to_numpy() >= start[1:].to_numpy()
    if overlap.any():
        week = int(start.index[int(np.argmax(overlap))])
        raise ValueError(
            f"transactions.parquet: weeks {week} and {week + 1} overlap in time; expected one "
            "after the other. Fetch the file again with `make repro`."
        )


def _items(products: pd.DataFrame, purchases: pd.DataFrame, account: Account) -> pd.DataFrame:
    bought = products["product_id"].isin(purchases["item"].unique())
    sold = account.drop(products, ~bought, "items", "never bought",
                        "in none of the purchases that are left")  # fmt: skip
    sold = sold.sort_values("product_id")
    account.add("items", "no type", "repaired", sold["product_type"].isna().sum(), len(sold),
                "the category stands in for it")  # fmt: skip
    kind = sold["brand"].map({"Private": "private-label", "National": "branded"}).fillna("")
    goods = sold["product_type"].fillna(sold["product_category"])
    text = kind + " " + goods + ", " + sold["product_category"] + ", " + sold["department"]
    return pd.DataFrame(
        {
            "item_id": sold["product_id"].astype(str),
            "department": sold["department"],
            "category": sold["product_category"],
            "type": goods,
            "brand": sold["brand"],
            "manufacturer": sold["manufacturer_id"].astype(str),
            "text": text.str.lower().str.replace(r"\s+", " ", regex=True).str.strip(),
        }
    ).reset_index(drop=True)


def _users(demographics: pd.DataFrame, purchases: pd.DataFrame, account: Account) -> pd.DataFrame:
    households = pd.DataFrame({"household_id": np.sort(purchases["user"].unique())})
    known = demographics["household_id"].isin(households["household_id"])
    demographics = account.drop(demographics, ~known, "users", "demographics of no buyer",
                                "the household has no purchase that is left")  # fmt: skip
    users = households.merge(demographics, on="household_id", how="left")
    unknown = users["age"].isna()
    account.add("users", "no demographics", "repaired", unknown.sum(), len(users),
                "kept; their demographic fields and text are missing")  # fmt: skip
    home = users["home_ownership"].fillna("home ownership unknown").str.lower()
    text = (
        "A household of " + users["household_comp"].str.lower() + ", aged " + users["age"]
        + ", income " + users["income"] + ", " + home + "."
    )  # fmt: skip
    columns = ["age", "income", "home_ownership", "marital_status", "household_size",
               "household_comp", "kids_count"]  # fmt: skip
    features = {
        name: users[name].astype("object").where(users[name].notna(), None) for name in columns
    }
    return pd.DataFrame(
        {"user_id": users["household_id"].astype(str), **features,
         "text": text.astype("object").where(~unknown, None)}
    )  # fmt: skip


def _tell_promotions(promotions: pd.DataFrame, chosen: pd.DataFrame, account: Account) -> None:
    """Note what became of promotions, which are rows of no table."""
    asked = int(promotions["week"].isin(chosen["week"].unique()).sum())
    account.add("examples", "promotions of other weeks", "dropped", len(promotions) - asked,
                len(promotions), "no examples are of these weeks")  # fmt: skip
    account.add("examples", "promotions", "kept", asked, len(promotions),
                "in no table: some negatives are drawn from those of a home store")  # fmt: skip


def _events(purchases: pd.DataFrame) -> pd.DataFrame:
    ordered = purchases.sort_values(["user", "timestamp"], kind="stable")
    return pd.DataFrame(
        {
            "user_id": ordered["user"].astype(str),
            "item_id": ordered["item"].astype(str),
            "timestamp": ordered["timestamp"],
            "log_spend": np.log1p(ordered["cents"] / 100),
            "discounted": ordered["discounted"].astype(float),
        }
    ).reset_index(drop=True)


def _spend(purchases: pd.DataFrame, chosen: pd.DataFrame) -> pd.Series:
    """``log(1 + sales value)`` of the product in the week, missing where not purchased."""
    keys = ["user", "week", "item"]
    total = purchases.groupby(keys)["cents"].sum()
    cents = total.reindex(pd.MultiIndex.from_frame(chosen[keys])).to_numpy()
    return pd.Series(np.log1p(cents / 100), index=chosen.index).where(chosen["purchase"] == 1)


def _household_rows(
    purchases: pd.DataFrame, households: pd.DataFrame, settings: Settings
) -> pd.DataFrame:
    """One row per household and week: main department besides grocery, and all categories."""
    bought = purchases.merge(households, on=["user", "week"])
    category = _main_department(bought, settings)
    pairs = bought[["user", "week", "category_name"]].drop_duplicates()
    past = pairs[pairs["week"] <= settings.last_training_week]
    labels = past["category_name"].value_counts().index[: settings.basket_labels]
    pairs = pairs[pairs["category_name"].isin(labels)].astype({"category_name": str})
    pairs = pairs.sort_values(["user", "week", "category_name"])
    lists = pairs.groupby(["user", "week"])["category_name"].agg(list)
    rows = households.sort_values(["week", "user"]).reset_index(drop=True)
    index = pd.MultiIndex.from_frame(rows)
    basket_lists = lists.reindex(index)
    return rows.assign(
        category=category.reindex(index).to_numpy(),
        basket=[found if isinstance(found, list) else [] for found in basket_lists],
    )


def _main_department(bought: pd.DataFrame, settings: Settings) -> pd.Series:
    """Department with the largest sales of a household's week, grocery apart, by user and week.

    There is none for a week of groceries alone.
    """
    others = bought[bought["department"] != GROCERY]
    keys = ["user", "week", "department"]
    spent = others.groupby(keys, observed=True)["cents"].sum().reset_index()
    spent = spent.sort_values(["user", "week", "cents"], kind="stable")
    main = spent.groupby(["user", "week"])["department"].last().astype(str)
    training = main[main.index.get_level_values("week") <= settings.last_training_week]
    share = training.value_counts(normalize=True)
    return main.where(main.isin(share.index[share >= settings.min_share]), OTHER)


def _split(weeks: pd.Series, settings: Settings) -> np.ndarray:
    return np.where(
        weeks <= settings.last_training_week,
        "train",
        np.where(weeks <= settings.last_validation_week, "validation", "test"),
    )


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    before = raw.transactions[raw.transactions["transaction_timestamp"] < cutoff]
    return Raw(before, raw.products, raw.demographics, raw.promotions)


def _until(raw: Raw, end: pd.Timestamp, account: Account) -> Raw:
    """The raw data before ``end``, and a line for what comes later."""
    early = truncate(raw, end)
    late = len(raw.transactions) - len(early.transactions)
    account.add("events", "from data.until on", "dropped", late, len(raw.transactions),
                "the settings ask for earlier purchases alone")  # fmt: skip
    return early


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some households; for checks that need not see everyone."""
    households = pd.Series(raw.transactions["household_id"].unique()).sort_values()
    chosen = households.sample(users, random_state=seed)
    mine = raw.transactions[raw.transactions["household_id"].isin(chosen)]
    return Raw(mine, raw.products, raw.demographics, raw.promotions)
