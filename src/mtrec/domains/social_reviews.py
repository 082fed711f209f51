"""Women's E-Commerce Clothing Reviews: a community of shoppers who post about clothes.

An item is a post (its text and the product it is about), a user is its author, of whom only the
age is known. The file has no user id and no time: every post has an author of its own, so nobody
has a history, and a seeded shuffle plays the part of time: training posts first, then validation,
then test. The stated input of every task is what the author wrote; 'I gave it 4 stars' in a text is
therefore left as it is, and counted in the account. No other label of a post is a feature of it.

Source: nicapotato, "Women's E-Commerce Clothing Reviews", 2018, CC0 1.0,
https://www.kaggle.com/datasets/nicapotato/womens-ecommerce-clothing-reviews; described by Agarap
2018, https://arxiv.org/abs/1805.03687.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from mtrec.tables import split as splits
from mtrec.tables.past import running
from mtrec.tables.schema import Account, Tables, require_columns

NAMES = {
    "Clothing ID": "product",
    "Age": "age",
    "Title": "title",
    "Review Text": "review",
    "Rating": "rating",
    "Recommended IND": "recommended",
    "Positive Feedback Count": "feedback",
    "Division Name": "division",
    "Department Name": "department",
    "Class Name": "class",
}
TAGS = ("division", "department", "class")
MISSPELT = {"Initmates": "Intimates"}
STARS = r"(?i)\b(?:[1-5]|one|two|three|four|five)[- ]?stars?\b"


class Settings(BaseModel):
    """``domains.social_reviews.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = False  # posts have no times; a shuffle orders them

    validation_share: float = Field(0.1, gt=0, lt=0.5, description="share of posts that validate")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of posts that test")


@dataclass(frozen=True)
class Raw:
    """The raw file.

    Attributes:
        posts: some or all rows of the file, with its row numbers as index.
        size: rows of the whole file: split and order do not depend on which of them are here.
        until: posts from this moment of the shuffled order on are left out, if set.
    """

    posts: pd.DataFrame
    size: int
    until: pd.Timestamp | None = None


def load_raw(folder: Path) -> Raw:
    """Read ``reviews.parquet`` in ``folder``.

    Raises:
        FileNotFoundError: the file is missing.
        SchemaError: a column is missing.
    """
    file = folder / "reviews.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Run `make repro` to fetch the raw data.")
    require_columns(pd.DataFrame(columns=pq.read_schema(file).names), list(NAMES), file.name)
    posts = pq.read_table(file, columns=list(NAMES)).to_pandas().rename(columns=NAMES)
    return Raw(posts.reset_index(drop=True), len(posts))


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Each post is one user, one item, one event and one example with the labels ``sentiment`` (1 to
    5), ``recommended`` (0 or 1), ``tags`` (names of division, department and class) and
    ``engagement`` (``log(1 + positive feedback)``).
    """
    account = Account()
    posts = _posts(raw.posts, account)
    shares = (settings.validation_share, settings.test_share)
    order = splits.by_lot(raw.size, shares, seed)
    account.add("examples", "time", "derived", len(posts), len(posts),
                "none in the file: a seeded shuffle orders train, validation, test")  # fmt: skip
    posts = posts.join(order)
    if raw.until is not None:
        posts = posts[posts["timestamp"] < raw.until]
    posts = posts.assign(
        user_id=posts.index.astype(str), item_id=posts.index.astype(str), **_product_past(posts)
    ).reset_index(drop=True)
    columns = ["user_id", "item_id", "timestamp"]
    events = posts[[*columns, "rating"]].sort_values("timestamp", ignore_index=True)
    examples = splits.add_cold_flags(
        posts[[*columns, "split", "product_count", "product_mean_rating"]].assign(
            sentiment=posts["rating"],
            recommended=posts["recommended"],
            tags=posts["tags"],
            engagement=np.log1p(posts["feedback"]),
        )
    )
    users = posts[["user_id", "age"]].assign(
        text="A " + posts["age"].map("{:.0f}".format) + "-year-old customer."
    )
    items = posts[["item_id", "product", "department", "text"]]
    return Tables(users, items, events, examples, account.frame())


def _posts(posts: pd.DataFrame, account: Account) -> pd.DataFrame:
    """Clean posts with text and tags; the index stays the row number of the file."""
    account.add("items", "no author id", "derived", len(posts), len(posts),
                "every post gets an author of its own, so histories are empty")  # fmt: skip
    again = posts["review"].notna() & posts["review"].duplicated()
    posts = account.drop(posts, again, "items", "posted again",
                         "the same words in training and test would be known by heart")  # fmt: skip
    text = _text(posts["title"], posts["review"])
    account.add("items", "no text", "kept", text.isna().sum(), len(posts),
                "without title and review; the labels are known all the same")  # fmt: skip
    stars = text.str.contains(STARS, na=False)
    account.add("items", "names stars", "kept", stars.sum(), len(posts),
                "the author's own words about the rating are part of the stated input")  # fmt: skip
    wrong = posts["division"].isin(MISSPELT)
    account.add("examples", "misspelt division", "repaired", wrong.sum(), len(posts),
                "the file writes Initmates; the language model reads Intimates")  # fmt: skip
    posts = posts.assign(division=posts["division"].replace(MISSPELT))
    untagged = posts[list(TAGS)].isna().any(axis=1)
    account.add("examples", "no tags", "kept", untagged.sum(), len(posts),
                "division, department and class are missing; the label is too")  # fmt: skip
    names = [f"{tag}: " + posts[tag] for tag in TAGS]
    tags = pd.Series(list(map(list, zip(*names, strict=True))), index=posts.index, dtype=object)
    department = posts["department"].astype(object)
    return pd.DataFrame(
        {
            "product": posts["product"].astype(str),
            "department": department.where(department.notna(), None),
            "age": posts["age"].astype(float),
            "text": text,
            "rating": posts["rating"].astype(float),
            "recommended": posts["recommended"].astype(float),
            "feedback": posts["feedback"].astype(float),
            "tags": tags.where(~untagged, None),
        }
    )


def _text(title: pd.Series, review: pd.Series) -> pd.Series:
    """Title and review in one line, each ended like a sentence; None without both."""
    title, review = (
        column.fillna("").str.split().str.join(" ").astype(object) for column in (title, review)
    )
    ended = title.where(title.str.contains(r"[.!?…]$") | (title == ""), title + ".")
    text = (ended + " " + review).str.strip()
    return text.where(text != "", None)


def _product_past(posts: pd.DataFrame) -> dict[str, pd.Series]:
    """How many training posts the product had before, as ``log(1 + n)``, and their mean rating."""
    count, mean = running(posts, "product", "rating", posts["split"] == "train")
    return {"product_count": np.log1p(count), "product_mean_rating": mean}


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    return replace(raw, until=cutoff)


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some authors; for checks that need not see everyone."""
    return replace(raw, posts=raw.posts.sample(users, random_state=seed).sort_index())
