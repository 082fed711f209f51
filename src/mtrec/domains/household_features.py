"""Behaviour of households and products before a week: counts, recency, prices, discounts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtrec.tables.past import Past

PRODUCT_KEY = 2**25  # above the largest product number


def context_columns(purchases: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Context of each row, from purchases of earlier weeks only.

    Args:
        purchases: clean purchases; ``cents``, ``quantity`` and ``discounted`` are integers.
        rows: ``user``, ``item`` (missing for household rows) and ``week``.

    Returns:
        ``user_*`` columns for all rows; ``item_*``, ``pair_*`` and ``category_count`` where there
        is a product. Counts and prices are in ``log(1 + x)``, prices in dollars per unit.
    """
    user, week = rows["user"].to_numpy(), rows["week"].to_numpy()
    has_item = rows["item"].notna().to_numpy()
    item = rows["item"].fillna(0).to_numpy().astype("int64")
    columns = _household(purchases, user, week)
    product = {**_product(purchases, item, week), **_pair(purchases, user, item, week)}
    columns |= {name: np.where(has_item, values, np.nan) for name, values in product.items()}
    return pd.DataFrame(columns, index=rows.index)


def _household(purchases: pd.DataFrame, user: np.ndarray, week: np.ndarray) -> dict:
    baskets = purchases.groupby(["user", "week", "basket"])["cents"].sum().reset_index()
    past = Past.of(baskets["user"].to_numpy(), baskets["week"].to_numpy())
    spent = past.sum(user, week, baskets["cents"].to_numpy()) / 100
    return {
        "user_baskets": np.log1p(past.sum(user, week, window=8)),
        "user_weeks_since": np.log1p(past.since(user, week)),
        "user_spend": np.log1p(spent / (week - 1)),
    }


def _product(purchases: pd.DataFrame, item: np.ndarray, week: np.ndarray) -> dict:
    past = Past.of(purchases["item"].to_numpy(), purchases["week"].to_numpy())
    count = past.sum(item, week)
    units = past.sum(item, week, purchases["quantity"].to_numpy())
    cents = past.sum(item, week, purchases["cents"].to_numpy())
    return {
        "item_popularity": np.log1p(past.sum(item, week, window=4)),
        "item_price": np.log1p(_ratio(cents / 100, units)),
        "item_discount_share": _ratio(
            past.sum(item, week, purchases["discounted"].to_numpy()), count
        ),
    }


def _pair(purchases: pd.DataFrame, user: np.ndarray, item: np.ndarray, week: np.ndarray) -> dict:
    weeks = purchases["week"].to_numpy()
    pair = Past.of(_key(purchases["user"], purchases["item"]), weeks)
    query = _key(user, item)
    count = pair.sum(query, week)
    category = purchases.groupby("item")["category"].first().reindex(item).fillna(-1).to_numpy()
    same = Past.of(_key(purchases["user"], purchases["category"]), weeks)
    return {
        "pair_count": np.log1p(count),
        "pair_weeks_since": np.log1p(pair.since(query, week)),
        "pair_discount_share": _ratio(
            pair.sum(query, week, purchases["discounted"].to_numpy()), count
        ),
        "category_count": np.log1p(same.sum(_key(user, category.astype("int64")), week)),
    }


def _key(left: pd.Series | np.ndarray, right: pd.Series | np.ndarray) -> np.ndarray:
    return np.asarray(left).astype("int64") * PRODUCT_KEY + np.asarray(right)


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
