"""MovieLens-100K as arrays: what every rating and like system may see, ours and peers' alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

Array = np.ndarray
ITEMS = 1682
DAY = 86_400  # seconds
INTERACTIONS = ["user", "item", "rating", "time"]


def interactions(folder: Path) -> pd.DataFrame:
    """``user``, ``item`` (from 0), ``rating``, ``time`` (s), in the rows' original order.

    Args:
        folder: ``data/ml-100k``.
    """
    table = pd.read_csv(folder / "ml-100k.inter", sep="\t", names=INTERACTIONS, header=0)
    return table.assign(user=table["user"] - 1, item=table["item"] - 1).astype("int64")


def sides(folder: Path) -> dict[str, Array]:
    """Side tables by position of user or item.

    Returns:
        ``user_age`` years, ``user_gender`` and ``user_occupation`` codes, ``(users,)``;
        ``item_year`` (0 if unknown), ``(items,)``; ``item_genres`` 0/1 ``(items, genres)``.
    """
    users = pd.read_csv(folder / "ml-100k.user", sep="\t")
    users.columns = [name.split(":")[0] for name in users.columns]
    users = users.set_index("user_id").sort_index()
    items = pd.read_csv(folder / "ml-100k.item", sep="\t")
    items.columns = [name.split(":")[0] for name in items.columns]
    items = items.set_index("item_id").reindex(range(1, ITEMS + 1))
    years = pd.to_numeric(items["release_year"], errors="coerce").fillna(0)
    return {
        "user_age": users["age"].to_numpy("int64"),
        "user_gender": (users["gender"] == "F").to_numpy("int64"),
        "user_occupation": users["occupation"].astype("category").cat.codes.to_numpy("int64"),
        "item_year": years.to_numpy("int64"),
        "item_genres": items["class"].fillna("").str.get_dummies(" ").to_numpy("float64"),
    }


def given(
    table: pd.DataFrame, known: Array, asked: Array, tables: Mapping[str, Array]
) -> dict[str, Array]:
    """What a system sees: the known rows with their ratings, the asked rows without.

    Args:
        table: of :func:`interactions`.
        known: row numbers to learn from, ``(n,)``.
        asked: row numbers to predict, ``(m,)``.
        tables: of :func:`sides`.
    """
    training, question = table.iloc[known], table.iloc[asked]
    arrays = {name: training[name].to_numpy() for name in INTERACTIONS}
    arrays |= {f"asked_{name}": question[name].to_numpy() for name in ("user", "item", "time")}
    return arrays | dict(tables)
