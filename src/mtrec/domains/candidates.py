"""Which products a household is asked about in a week: purchases, promotions, popular products.

All draws of a week are seeded by ``(seed, week)``, so that they do not depend on later weeks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray
POPULAR_WEEKS = 4
OVERDRAW = 4  # candidates drawn per negative wanted, before those bought are taken out


def choose(
    purchases: pd.DataFrame, promotions: pd.DataFrame, settings: Any, seed: int
) -> pd.DataFrame:
    """Choose candidates for every household that shops in a week.

    Positives are sampled from the products that the household buys in the week; negatives are
    products it does not buy, drawn from those promoted in its home store that week and by
    popularity over the past weeks. Only products sold before the week are candidates, on both
    sides, or a product's novelty would give its label away.

    Args:
        purchases: clean purchases with ``user``, ``item``, ``store``, ``week``.
        promotions: ``product_id``, ``store_id``, ``week``.
        settings: :class:`mtrec.domains.ecommerce.Settings`.
        seed: seed of all draws.

    Returns:
        ``user``, ``item``, ``week``, ``purchase`` (1.0 or 0.0).
    """
    weekly = purchases[["week", "user", "item"]].drop_duplicates()
    by_week = {int(week): part for week, part in weekly.groupby("week")}
    counts = purchases.groupby(["week", "item"]).size()
    first_sold = purchases.groupby("item")["week"].min()
    stores = _home_stores(purchases)
    promoted = _by_store_and_week(promotions)
    parts = []
    for week in sorted(week for week in by_week if week >= settings.first_week):
        known = np.sort(first_sold.index[first_sold < week].to_numpy())
        bought = by_week[week]
        bought = bought[np.isin(bought["item"].to_numpy(), known)].sort_values(["user", "item"])
        popular = counts.loc[week - POPULAR_WEEKS : week - 1].groupby("item").sum()
        rng = np.random.default_rng([seed, week])
        parts.append(_choose_week(week, bought, known, popular, stores, promoted, settings, rng))
    return pd.concat(parts, ignore_index=True)


def _choose_week(
    week: int,
    bought: pd.DataFrame,
    known: Array,
    popular: pd.Series,
    stores: dict[int, pd.Series],
    promoted: dict[tuple[int, int], Array],
    settings: Any,
    rng: np.random.Generator,
) -> pd.DataFrame:
    users = bought["user"].unique()
    if week <= settings.last_training_week:
        users = users[rng.random(int(users.max()) + 1)[users] < settings.training_share]
        bought = bought[bought["user"].isin(users)]
    order = bought.assign(draw=rng.random(len(bought))).sort_values(["user", "draw"])
    positives = order.groupby("user").head(settings.positives)[["user", "item"]]
    wanted = settings.negatives_per_positive * settings.positives
    from_promotions = round(wanted * settings.promoted_share)
    home = stores[week].reindex(users)
    draws = []
    for user, store in zip(users, home, strict=True):
        offers = promoted.get((int(store), week)) if pd.notna(store) else None
        if offers is not None:
            offers = offers[np.isin(offers, known, assume_unique=True)]
        share = from_promotions if offers is not None and len(offers) else 0
        if offers is not None and share:
            draws.append((user, rng.choice(offers, size=share * OVERDRAW), share))
        popular_items = rng.choice(
            popular.index.to_numpy(), size=(wanted - share) * OVERDRAW, p=popular / popular.sum()
        )
        draws.append((user, popular_items, wanted - share))
    negatives = _without_bought(draws, bought)
    rows = pd.concat([positives.assign(purchase=1.0), negatives.assign(purchase=0.0)])
    return rows.assign(week=week)


def _without_bought(draws: list[tuple[int, Array, int]], bought: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "user": np.repeat([user for user, _, _ in draws], [len(d) for _, d, _ in draws]),
            "item": np.concatenate([items for _, items, _ in draws]),
            "source": np.repeat(np.arange(len(draws)), [len(d) for _, d, _ in draws]),
            "wanted": np.repeat([n for _, _, n in draws], [len(d) for _, d, _ in draws]),
        }
    ).drop_duplicates(["user", "item"])
    taken = pd.MultiIndex.from_frame(frame[["user", "item"]]).isin(
        pd.MultiIndex.from_frame(bought[["user", "item"]])
    )
    frame = frame[~taken]
    return frame[frame.groupby("source").cumcount() < frame["wanted"]][["user", "item"]]


def _home_stores(purchases: pd.DataFrame) -> dict[int, pd.Series]:
    """For each week, the store where each household bought most often before it."""
    visits = purchases.groupby(["week", "user", "store"]).size().reset_index(name="visits")
    total = pd.Series(dtype="int64")
    homes = {}
    for week in range(1, int(purchases["week"].max()) + 1):
        ranked = total.reset_index()
        if len(ranked):
            ranked.columns = ["user", "store", "visits"]
            ranked = ranked.sort_values(["user", "visits", "store"])
            homes[week] = ranked.groupby("user")["store"].last()
        else:
            homes[week] = pd.Series(dtype="float64")
        now = visits[visits["week"] == week].set_index(["user", "store"])["visits"]
        total = now if total.empty else total.add(now, fill_value=0)
    return homes


def _by_store_and_week(promotions: pd.DataFrame) -> dict[tuple[int, int], Array]:
    """Sorted products promoted in each store and week."""
    if promotions.empty:
        return {}
    store, week, product = (
        promotions[name].to_numpy("int64") for name in ("store_id", "week", "product_id")
    )
    # One number a row is sorted in half the time of two columns.
    pairs = np.sort((store * 64 + week) << 32 | product)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    key, items = pairs >> 32, pairs & 0xFFFF_FFFF
    bounds = np.flatnonzero(np.diff(key)) + 1
    starts = np.concatenate([[0], bounds])
    return {
        (int(key[start] // 64), int(key[start] % 64)): part
        for start, part in zip(starts, np.split(items, bounds), strict=True)
    }
