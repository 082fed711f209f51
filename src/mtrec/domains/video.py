"""MovieLens-100K: films watched and rated online (article §6.3).

Films are linked to the Freebase knowledge graph: cast, crew, companies, countries, subjects. Links
that tell the future (awards, sequels) or repeat the genres are left out.

Source: Harper and Konstan 2015, https://doi.org/10.1145/2827872; the links: Zhao et al. 2019,
"KB4Rec", https://doi.org/10.1162/dint_a_00008.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from mtrec.tables import split as splits
from mtrec.tables.past import running
from mtrec.tables.schema import Account, Tables, require_columns

FOLD_ROWS = 20_000
LIKED = 4
RELATIONS = (
    "actor", "directed_by", "written_by", "produced_by", "cinematography", "production_companies",
    "language", "country", "rating", "subjects",
)  # fmt: skip
UNNAMED = ("", "unknown", "unkonwn")  # the file's own spelling


class Settings(BaseModel):
    """``domains.video.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = True  # ratings have times
    earlier: ClassVar[Mapping[str, str]] = {  # for `mtrec held-out`: the earliest four fifths
        "until": "1998-03-07T02:21:09"
    }

    split: Literal["temporal", "random", "leave_last_out", "folds"] = Field(
        "temporal", description="how ratings are split"
    )
    validation_share: float = Field(0.1, gt=0, lt=0.5, description="share of rows that validate")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of rows that test")
    fold: int = Field(1, ge=1, le=5, description="official fold u1 … u5, with split: folds")
    until: NaiveDatetime | None = Field(None, description="ratings before it alone")


@dataclass(frozen=True)
class Raw:
    """The raw files as tables, columns without their type suffix."""

    ratings: pd.DataFrame
    films: pd.DataFrame
    users: pd.DataFrame
    links: pd.DataFrame
    graph: pd.DataFrame


def load_raw(folder: Path) -> Raw:
    """Read the files in ``folder``.

    Raises:
        FileNotFoundError: a file is missing.
        SchemaError: a column is missing.
    """
    return Raw(
        _read(folder, "inter", ["user_id", "item_id", "rating", "timestamp"]),
        _read(folder, "item", ["item_id", "movie_title", "release_year", "class"]),
        _read(folder, "user", ["user_id", "age", "gender", "occupation", "zip_code"]),
        _read(folder, "link", ["item_id", "entity_id"]),
        _read(folder, "kg", ["head_id", "relation_id", "tail_id"]),
    )


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are all ratings (labels ``rating``, ``like``, ``genres``, ``next_item``) and, without
    user or time, all films (label ``genre_of_item``), which are split by film at random.
    """
    account = Account()
    if settings.until is not None:
        raw = _until(raw, pd.Timestamp(settings.until), account)
    items = _items(raw.films, account)
    items["graph"] = _graph(raw, items["item_id"], account)
    users = _users(raw.users, account)
    ratings = _ratings(raw.ratings, items, account)
    events = ratings.sort_values(["user_id", "timestamp"], kind="stable")
    genres = items.set_index("item_id")["genres"]
    split = _split(ratings, settings, seed)
    watched = ratings.assign(
        like=(ratings["rating"] >= LIKED).astype(float),
        genres=ratings["item_id"].map(genres),
        next_item=ratings["item_id"],
        split=split,
        **_past(ratings, split, settings.split == "temporal"),
    )
    films = _film_examples(items, settings, seed)
    examples = splits.add_cold_flags(pd.concat([watched, films], ignore_index=True))
    account.add("examples", "rows of films", "derived", len(films), len(examples),
                "one row per film for genre_of_item, split by film")  # fmt: skip
    return Tables(users, items, events.reset_index(drop=True), examples, account.frame())


def _read(folder: Path, name: str, columns: list[str]) -> pd.DataFrame:
    file = folder / f"ml-100k.{name}"
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


def _graph(raw: Raw, films: pd.Series, account: Account) -> pd.Series:
    """Sorted list of ``relation neighbour`` per film."""
    relation = raw.graph["relation_id"].str.removeprefix("film.film.")
    told = raw.graph.assign(link=relation + " " + raw.graph["tail_id"])
    told = account.drop(told, ~relation.isin(RELATIONS), "items", "other links of the graph",
                        "awards, sequels (tell the future), genres, reverse links")  # fmt: skip
    entities = films.map(raw.links.set_index("item_id")["entity_id"])
    told = account.drop(told, ~told["head_id"].isin(entities), "items", "links of no film",
                        "they start from no film of the list")  # fmt: skip
    account.add("items", "links of films", "kept", len(told), len(raw.graph),
                "in the graph of their film, by relation")  # fmt: skip
    found = entities.map(told.groupby("head_id")["link"].agg(sorted))
    account.add("items", "not in the graph", "kept", found.isna().sum(), len(films),
                "an empty list")  # fmt: skip
    return found.map(lambda part: part if isinstance(part, list) else [])


def _users(users: pd.DataFrame, account: Account) -> pd.DataFrame:
    account.add("users", "zip code", "left out", len(users), len(users),
                "this column identifies people more than it predicts taste")  # fmt: skip
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


def _past(ratings: pd.DataFrame, split: pd.Series, in_time: bool) -> dict[str, pd.Series]:
    """Number and mean of earlier ratings by the same user and of the same film.

    Held-out ratings count only if the split respects time.
    """
    columns = {}
    for side in ("user", "item"):
        count, mean = running(ratings, f"{side}_id", "rating", (split == "train") | in_time)
        columns[f"{side}_count"] = np.log1p(count)
        columns[f"{side}_mean_rating"] = mean
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
    return replace(raw, ratings=raw.ratings[before])


def _until(raw: Raw, end: pd.Timestamp, account: Account) -> Raw:
    """The raw data before ``end``, and a line for what comes later."""
    early = truncate(raw, end)
    late = len(raw.ratings) - len(early.ratings)
    account.add("events", "from data.until on", "dropped", late, len(raw.ratings),
                "the settings ask for earlier ratings alone")  # fmt: skip
    return early


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some users; for checks that need not see everyone."""
    chosen = raw.users["user_id"].sample(users, random_state=seed)
    return replace(raw, ratings=raw.ratings[raw.ratings["user_id"].isin(chosen)])
