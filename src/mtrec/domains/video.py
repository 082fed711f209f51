"""MovieLens-100K: films watched and rated online (article §6.3).

Source: Harper and Konstan 2015, https://doi.org/10.1145/2827872.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mtrec.data import split as splits
from mtrec.data.schema import Account, Tables, require_columns

FOLD_ROWS = 20_000
LIKED = 4
UNNAMED = ("", "unknown", "unkonwn")  # the file's own spelling


class Settings(BaseModel):
    """``domains.video.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Literal["temporal", "random", "leave_last_out", "folds"] = Field(
        "temporal", description="how ratings are split"
    )
    validation_share: float = Field(0.1, gt=0, lt=0.5, description="share of rows that validate")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of rows that test")
    fold: int = Field(1, ge=1, le=5, description="official fold u1 … u5, with split: folds")


@dataclass(frozen=True)
class Raw:
    """The raw files as tables, columns without their type suffix."""

    ratings: pd.DataFrame
    films: pd.DataFrame
    users: pd.DataFrame


def load_raw(raw: Path) -> Raw:
    """Read ``ml-100k/`` below ``raw``.

    Raises:
        FileNotFoundError: a file is missing.
        SchemaError: a column is missing.
    """
    return Raw(
        _read(raw, "inter", ["user_id", "item_id", "rating", "timestamp"]),
        _read(raw, "item", ["item_id", "movie_title", "release_year", "class"]),
        _read(raw, "user", ["user_id", "age", "gender", "occupation", "zip_code"]),
    )


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are all ratings (labels ``rating``, ``like``, ``genres``, ``next_item``) and, without
    user or time, all films (label ``genre_of_item``), which are split by film at random.
    """
    account = Account()
    items = _items(raw.films, account)
    users = _users(raw.users, account)
    ratings = _ratings(raw.ratings, items, account)
    events = ratings.sort_values(["user_id", "timestamp"], kind="stable")
    genres = items.set_index("item_id")["genres"]
    watched = ratings.assign(
        like=(ratings["rating"] >= LIKED).astype(float),
        genres=ratings["item_id"].map(genres),
        next_item=ratings["item_id"],
        split=_split(ratings, settings, seed),
        **_past(ratings),
    )
    films = _film_examples(items, settings, seed)
    examples = splits.add_cold_flags(pd.concat([watched, films], ignore_index=True))
    account.add("examples", "rows of films", "derived", len(films), len(examples),
                "one row per film for genre_of_item, split by film")  # fmt: skip
    return Tables(users, items, events.reset_index(drop=True), examples, account.frame())


def _read(raw: Path, name: str, columns: list[str]) -> pd.DataFrame:
    file = raw / "ml-100k" / f"ml-100k.{name}"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Run `make repro` to fetch the raw data.")
    frame = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    frame.columns = [column.split(":")[0] for column in frame.columns]
    require_columns(frame, columns, file.name)
    return frame


def _items(films: pd.DataFrame, account: Account) -> pd.DataFrame:
    unnamed = films["movie_title"].isin(UNNAMED)
    account.add("items", "no title", "repaired", unnamed.sum(), len(films),
                "kept without text, so that the published folds stay exact")  # fmt: skip
    genres = films["class"].str.split().map(lambda names: [g for g in names if g != "unknown"])
    account.add("items", "no genre", "repaired", (genres.map(len) == 0).sum(), len(films),
                "genre 'unknown' becomes an empty list")  # fmt: skip
    year = pd.to_numeric(films["release_year"], errors="coerce")
    account.add("items", "no year", "repaired", year.isna().sum(), len(films),
                "kept as missing; the model sees a flag")  # fmt: skip
    twice = films.duplicated(["movie_title", "release_year"], keep=False)
    account.add("items", "same title and year", "kept", twice.sum(), len(films),
                "films listed under two ids are kept apart, as in the published folds")  # fmt: skip
    text = films["movie_title"] + year.map(lambda y: f" ({y:.0f})", na_action="ignore").fillna("")
    return pd.DataFrame(
        {
            "item_id": films["item_id"],
            "title": films["movie_title"],
            "year": year.astype(float),
            "genres": genres.map(sorted),
            "text": text.str.strip().where(~unnamed, None),
        }
    ).reset_index(drop=True)


def _users(users: pd.DataFrame, account: Account) -> pd.DataFrame:
    account.add("users", "zip code", "derived", len(users), len(users),
                "not used: it identifies people more than it predicts taste")  # fmt: skip
    sex = users["gender"].map({"M": "male", "F": "female"}).fillna("")
    job = users["occupation"].where(~users["occupation"].isin(["other", "none"]), "person")
    text = "A " + users["age"] + "-year-old " + sex + " " + job + " who watches films."
    return pd.DataFrame(
        {
            "user_id": users["user_id"],
            "age": pd.to_numeric(users["age"], errors="coerce").astype(float),
            "gender": users["gender"],
            "occupation": users["occupation"],
            "text": text,
        }
    )


def _ratings(ratings: pd.DataFrame, items: pd.DataFrame, account: Account) -> pd.DataFrame:
    known = ratings["item_id"].isin(items["item_id"])
    ratings = account.drop(ratings, ~known, "events", "no such film", "the film list lacks it")
    ratings = account.drop(
        ratings, ratings.duplicated(["user_id", "item_id"]), "events", "rated twice",
        "a user rates a film once; the first row stays",
    )  # fmt: skip
    seconds = ratings["timestamp"].astype(float)
    return pd.DataFrame(
        {
            "user_id": ratings["user_id"],
            "item_id": ratings["item_id"],
            "timestamp": pd.to_datetime(seconds, unit="s").astype("datetime64[ms]"),
            "rating": ratings["rating"].astype(float),
        }
    ).reset_index(drop=True)


def _split(ratings: pd.DataFrame, settings: Settings, seed: int) -> pd.Series:
    if settings.split == "folds":
        share = settings.validation_share
        return splits.official_fold(ratings, settings.fold, FOLD_ROWS, share, seed)
    shares = (settings.validation_share, settings.test_share)
    return splits.SPLIT_METHODS[settings.split](ratings, shares, seed)


def _past(ratings: pd.DataFrame) -> dict[str, pd.Series]:
    """Number and mean of earlier ratings by the same user and of the same film."""
    columns = {}
    for side in ("user", "item"):
        ordered = ratings.sort_values([f"{side}_id", "timestamp"], kind="stable")
        by_id, instant = (
            ordered.groupby(f"{side}_id"),
            [ordered[f"{side}_id"], ordered["timestamp"]],
        )
        count = by_id.cumcount().groupby(instant).transform("min")  # earlier, not at this instant
        total = (by_id["rating"].cumsum() - ordered["rating"]).groupby(instant).transform("min")
        columns[f"{side}_count"] = np.log1p(count.astype(float))
        columns[f"{side}_mean_rating"] = total / count.where(count > 0)
    return columns


def _film_examples(items: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    films = items[items["genres"].map(len) > 0]
    shares = (settings.validation_share, settings.test_share)
    return pd.DataFrame(
        {
            "item_id": films["item_id"],
            "timestamp": pd.Series(pd.NaT, index=films.index, dtype="datetime64[ms]"),
            "genre_of_item": films["genres"],
            "split": splits.random(films, shares, seed),
        }
    )


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    before = raw.ratings["timestamp"].astype(float) < cutoff.timestamp()
    return Raw(raw.ratings[before], raw.films, raw.users)


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some users; for checks that need not see everyone."""
    chosen = raw.users["user_id"].sample(users, random_state=seed)
    return Raw(raw.ratings[raw.ratings["user_id"].isin(chosen)], raw.films, raw.users)
