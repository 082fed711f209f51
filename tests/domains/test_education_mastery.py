import numpy as np
import pandas as pd
import pytest

from mtrec.domains import education_mastery as mastery
from mtrec.features.events import make_events, training_events
from mtrec.features.fields import Scaler, make_side
from mtrec.fetch.manifest import FetchError
from mtrec.settings import Columns
from mtrec.tables import leaks
from mtrec.tables.schema import SchemaError, validate

LABELS = {"math": "regression", "reading": "regression", "progress": "multiclass"}


@pytest.fixture(scope="module")
def raw(raw_data):
    return mastery.load_raw(raw_data / "star")


@pytest.fixture(scope="module")
def tables(raw):
    return validate(mastery.make_tables(raw, mastery.Settings(), 42), LABELS)


def test_published_counts(tables):
    assert len(tables.users) == 11_598
    assert len(tables.items) == 1387
    assert len(tables.events) == 26_796
    grades = tables.examples["progress"].value_counts()
    assert grades.to_dict() == {"K": 6325, "1": 6829, "2": 6840, "3": 6802}


def test_missing_scores_stay_missing(raw, tables):
    assert tables.examples["math"].isna().sum() == raw.years["math"].isna().sum() == 2183
    assert tables.examples["reading"].isna().sum() == raw.years["read"].isna().sum() == 2534


def test_a_missing_score_of_a_past_year_counts_as_the_mean(tables):
    scaler = Scaler.fit(tables.events[["math", "reading"]])
    sides = [
        make_side(table, key, Columns(), tables.events[key].value_counts(), 1, ())
        for table, key in ((tables.users, "user_id"), (tables.items, "item_id"))
    ]
    features = make_events(tables.events, *sides, scaler).features
    assert np.isfinite(features).all()
    assert (features[1:] == 0).sum(axis=0).min() >= 2183


def test_last_known_scores_equal_brute_force(tables):
    for row in tables.examples.sample(300, random_state=0).itertuples():
        mine = tables.events[
            (tables.events["user_id"] == row.user_id) & (tables.events["timestamp"] < row.timestamp)
        ].sort_values("timestamp")
        for subject in ("math", "reading"):
            known, found = mine[subject].dropna(), getattr(row, f"last_{subject}")
            assert np.isnan(found) if known.empty else found == known.iloc[-1]


def test_no_feature_depends_on_the_future(raw):
    rows = leaks.check_past_only(
        lambda data: mastery.make_tables(data, mastery.Settings(), 42),
        mastery.sample_raw(raw, 400, 0), mastery.truncate, pd.Timestamp("1989-01-01"),
        list(LABELS),
    )  # fmt: skip
    assert rows > 500


def test_whole_children_are_held_out_and_keep_their_own_past(tables):
    splits = tables.examples.groupby("user_id")["split"].nunique()
    assert splits.max() == 1
    events, own_past_is_known = training_events(tables.events, tables.examples)
    assert own_past_is_known
    training = tables.examples[tables.examples["split"] == "train"]
    assert set(events["user_id"]) == set(training["user_id"])


def test_a_teacher_has_one_grade_and_the_texts_tell_no_score_or_race(tables):
    by_teacher = tables.examples.groupby("item_id")["progress"].nunique()
    assert by_teacher.max() == 1
    teacher = tables.items.set_index("item_id").loc["1"]
    assert teacher["text"] == (
        "A kindergarten teacher with a specialist's degree and 14 years of experience, teaching a "
        "small class in a rural school."
    )
    assert (
        tables.users["text"]
        .dropna()
        .str.fullmatch(
            r"A (girl|boy|child) born in the (first|second|third|last) quarter of 19\d\d\."
        )
        .all()
    )


def test_another_file_is_not_opened_and_a_missing_column_is_named(tmp_path, monkeypatch, raw_data):
    folder = tmp_path / "star"
    with pytest.raises(FetchError, match="star.pkl.xz: missing or differs"):
        mastery.load_raw(folder)
    folder.mkdir()
    frame = pd.read_pickle(raw_data / "star" / "star.pkl.xz", compression="xz")
    frame.drop(columns="tch").to_pickle(folder / "star.pkl.xz", compression="xz")
    monkeypatch.setattr(mastery, "verified", lambda file: file)
    with pytest.raises(SchemaError, match=r"star.pkl.xz: column 'tch' is missing \(found"):
        mastery.load_raw(folder)


def test_account_counts_what_is_not_known_of_children_and_teachers(raw, tables):
    account = tables.account.set_index("step")["rows"]
    assert len(raw.years) - account["same year twice"] == len(tables.events)
    users, items = tables.users, tables.items
    unknown = users[["sex", "ethnicity"]].isna().any(axis=1)
    assert account["no sex or ethnicity"] == unknown.sum() > 0
    untold = items[["career_ladder", "race"]].isna().any(axis=1)
    assert account["no career ladder or race"] == untold.sum() > 0
