"""Training, validation and test rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd


def temporal(examples: pd.DataFrame, shares: tuple[float, float], seed: int) -> pd.Series:
    """Split by one clock for all users: the earliest rows train, the latest test.

    Rows of the same instant stay together, so shares are met up to ties.

    Args:
        examples: rows with ``timestamp``.
        shares: shares of validation and test rows.
        seed: not used; every split has the same signature.
    """
    times = examples["timestamp"]
    validation, test = (
        times.sort_values().iloc[min(len(times) - 1, round(len(times) * share))]
        for share in (1 - sum(shares), 1 - shares[1])
    )
    split = np.where(times < validation, "train", np.where(times < test, "validation", "test"))
    return pd.Series(split, index=examples.index)


def random(examples: pd.DataFrame, shares: tuple[float, float], seed: int) -> pd.Series:
    """Split by a seeded permutation; histories and statistics then use training events only."""
    order = np.random.default_rng(seed).permutation(len(examples))
    validation, test = (round(len(examples) * share) for share in shares)
    split = np.full(len(examples), "train", dtype=object)
    split[order[:validation]] = "validation"
    split[order[validation : validation + test]] = "test"
    return pd.Series(split, index=examples.index)


def leave_last_out(examples: pd.DataFrame, shares: tuple[float, float], seed: int) -> pd.Series:
    """Each user's last row tests, the one before validates (stable order at equal times).

    Users with fewer than three rows only train.
    """
    ordered = examples.sort_values("timestamp", kind="stable")
    from_last = ordered.groupby("user_id").cumcount(ascending=False)
    enough = ordered.groupby("user_id")["user_id"].transform("size") >= 3
    split = np.where(
        enough & (from_last == 0),
        "test",
        np.where(enough & (from_last == 1), "validation", "train"),
    )
    return pd.Series(split, index=ordered.index).reindex(examples.index)


def users(examples: pd.DataFrame, shares: tuple[float, float], seed: int) -> pd.Series:
    """Split whole users by a seeded permutation; nobody is in two splits.

    Histories may then show a held-out user's own earlier events, from which nothing was learnt.

    Args:
        examples: rows with ``user_id``.
        shares: shares of validation and test users.
        seed: of the permutation.
    """
    ids = pd.DataFrame({"user_id": np.sort(examples["user_id"].unique())})
    chosen = pd.Series(random(ids, shares, seed).to_numpy(), index=ids["user_id"])
    return examples["user_id"].map(chosen)


def by_lot(size: int, shares: tuple[float, float], seed: int) -> pd.DataFrame:
    """``split`` and ``timestamp`` of every row number of a file without times.

    Args:
        size: rows of the whole file, so that an answer does not depend on which of them are read.
        shares: of validation and test.
        seed: of split and order.
    """
    split = random(pd.DataFrame(index=range(size)), shares, seed)
    return pd.DataFrame({"split": split, "timestamp": shuffled_times(split, seed)})


def shuffled_times(split: pd.Series, seed: int) -> pd.Series:
    """Times for data that has none: training rows first, then validation, then test, shuffled.

    A seeded shuffle plays the part of time, one minute per row. "Strictly before" then is a valid
    rule for what a row may know, and a random split is a split in this order.

    Args:
        split: ``train``, ``validation`` or ``test`` per row.
        seed: of the shuffle.

    Returns:
        ``datetime64[ms]`` per row, from 2000-01-01 on.

    Example:
        >>> shuffled_times(pd.Series(["test", "train"]), seed=0).dt.minute.tolist()
        [1, 0]
    """
    shuffled = np.random.default_rng(seed).permutation(len(split))
    place = split.map({"train": 0, "validation": 1, "test": 2}).to_numpy()
    order = np.lexsort((shuffled, place))
    minutes = np.empty(len(split), dtype="int64")
    minutes[order] = np.arange(len(split))
    times = np.datetime64("2000-01-01", "ms") + minutes * np.timedelta64(60_000, "ms")
    return pd.Series(times, index=split.index)


SPLIT_METHODS: dict[str, Callable[[pd.DataFrame, tuple[float, float], int], pd.Series]] = {
    "temporal": temporal,
    "random": random,
    "leave_last_out": leave_last_out,
    "users": users,
}


def official_fold(examples: pd.DataFrame, fold: int, rows: int, share: float, seed: int) -> Any:
    """An official fold: rows ``(fold-1)*rows+1 … fold*rows`` of the file test.

    Args:
        examples: rows in the file's order.
        fold: 1, 2, …
        rows: rows per fold.
        share: share of the other rows, at random, that validates.
        seed: seed of that choice.

    Raises:
        ValueError: the file has no such fold.
    """
    if not 0 < fold * rows <= len(examples):
        raise ValueError(
            f"fold {fold} of {rows} rows does not exist in {len(examples)} rows; "
            f"choose 1 to {len(examples) // rows}."
        )
    split = random(examples, (share, 0.0), seed)
    split.iloc[(fold - 1) * rows : fold * rows] = "test"
    return split


def add_cold_flags(examples: pd.DataFrame) -> pd.DataFrame:
    """Add ``cold_user`` and ``cold_item``: the id occurs in no training row.

    A row that names both a user and an item is an event. Where there are such rows in training,
    others, such as one row per item for a task about items alone, make nothing known.
    """
    training = examples[examples["split"] == "train"]
    events = training.dropna(subset=["user_id", "item_id"])
    training = training if events.empty else events
    cold = {
        f"cold_{side}": examples[f"{side}_id"].notna()
        & ~examples[f"{side}_id"].isin(training[f"{side}_id"].dropna().unique())
        for side in ("user", "item")
    }
    return examples.assign(**{name: flag.astype(bool) for name, flag in cold.items()})
