import numpy as np
import pandas as pd
import pytest

from mtrec.domains import education_courses as courses
from mtrec.features.events import training_events
from mtrec.fetch.manifest import FetchError
from mtrec.tables import leaks
from mtrec.tables.schema import SchemaError, validate

LABELS = {
    "evaluation": "ordinal", "progress": "multiclass", "department": "multiclass",
    "next_course": "ranking",
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(raw_data):
    return courses.load_raw(raw_data / "insteval")


@pytest.fixture(scope="module")
def tables(raw):
    return validate(courses.make_tables(raw, courses.Settings(), 42), LABELS)


def test_published_counts(tables):
    assert len(tables.users) == 2972
    assert len(tables.items) == 1128
    assert tables.examples["evaluation"].notna().sum() == 73_421
    assert len(tables.events) == 58_737  # the training ratings
    assert tables.items["department"].nunique() == 14
    assert set(tables.examples["evaluation"].dropna()) == {1, 2, 3, 4, 5}


def test_what_was_known_before_equals_brute_force(tables):
    rated = tables.examples[tables.examples["evaluation"].notna()]
    training = rated[rated["split"] == "train"]
    for row in tables.examples.sample(60, random_state=0).itertuples():
        before = training[training["timestamp"] < row.timestamp]
        for name, key in (("student", "user_id"), ("lecturer", "item_id")):
            if getattr(row, key) is None:
                continue
            mine = before.loc[before[key] == getattr(row, key), "evaluation"]
            assert getattr(row, f"{name}_count") == pytest.approx(np.log1p(len(mine)))
            mean = getattr(row, f"{name}_mean")
            assert np.isnan(mean) if mine.empty else mean == pytest.approx(mine.mean())


def test_no_feature_depends_on_later_rows_of_the_shuffle(raw, tables):
    cutoff = tables.examples.loc[tables.examples["split"] == "test", "timestamp"].median()
    rows = leaks.check_past_only(
        lambda data: courses.make_tables(data, courses.Settings(), 42),
        courses.sample_raw(raw, 150, 0), courses.truncate, cutoff, list(LABELS),
    )  # fmt: skip
    assert rows > 3000


def test_the_semester_of_a_test_student_stands_in_no_training_row(raw, tables):
    assert "studage" not in tables.users and "semester" not in tables.examples
    labelled = tables.examples[tables.examples["progress"].notna()]
    assert labelled["user_id"].is_unique and len(labelled) == 2972
    assert labelled["item_id"].isna().all()
    semester = raw.ratings.drop_duplicates("s").set_index("s")["studage"].astype(str)
    assert (labelled["progress"] == labelled["user_id"].astype(int).map(semester)).all()


def test_rows_of_students_know_all_training_ratings_and_no_other(tables):
    rated = tables.examples[tables.examples["evaluation"].notna()]
    moment = tables.examples.loc[tables.examples["progress"].notna(), "timestamp"].unique()
    assert len(moment) == 1
    pd.testing.assert_series_equal(
        rated["timestamp"] < moment[0], rated["split"] == "train", check_names=False
    )
    events, in_time = training_events(tables.events, tables.examples)
    assert in_time and len(events) == (rated["split"] == "train").sum()


def test_another_file_is_not_opened_and_a_missing_column_is_named(tmp_path, monkeypatch, raw_data):
    with pytest.raises(FetchError, match="InstEval.pkl.xz: missing or differs"):
        courses.load_raw(tmp_path / "insteval")
    frame = pd.read_pickle(raw_data / "insteval" / "InstEval.pkl.xz", compression="xz")
    folder = tmp_path / "insteval"
    folder.mkdir()
    frame.drop(columns="lectage").to_pickle(folder / "InstEval.pkl.xz", compression="xz")
    with pytest.raises(FetchError, match="differs from the manifest"):
        courses.load_raw(folder)
    monkeypatch.setattr(courses, "verified", lambda file: file)
    with pytest.raises(SchemaError, match=r"InstEval.pkl.xz: column 'lectage' is missing \(found"):
        courses.load_raw(folder)


def test_account_explains_why_a_rating_is_no_event(raw, tables):
    account = tables.account.set_index("step")["rows"]
    gone = account["rated twice"] + account["held-out ratings"]
    assert len(raw.ratings) - gone == len(tables.events)
