import numpy as np
import pandas as pd
import pytest

from mtrec.domains import video
from mtrec.tables import leaks
from mtrec.tables.schema import SchemaError, validate

LABELS = {
    "rating": "regression", "like": "binary", "genres": "multilabel", "next_item": "ranking",
    "genre_of_item": "multilabel",
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(raw_data):
    return video.load_raw(raw_data / "ml-100k")


@pytest.fixture(scope="module")
def tables(raw):
    return validate(video.make_tables(raw, video.Settings(), 42), LABELS)


def test_published_counts(tables):
    assert len(tables.users) == 943
    assert len(tables.items) == 1682
    assert len(tables.events) == 100_000
    assert tables.examples["genre_of_item"].notna().sum() == 1680


def test_official_fold_is_the_published_one(raw):
    examples = video.make_tables(raw, video.Settings(split="folds", fold=1), 42).examples
    test = examples[(examples["split"] == "test") & examples["user_id"].notna()]
    assert len(test) == 20_000
    first = test.assign(u=test["user_id"].astype(int), i=test["item_id"].astype(int))
    first = first.sort_values(["u", "i"]).head(3)
    assert first[["u", "i", "rating"]].to_numpy().tolist() == [[1, 6, 5], [1, 10, 3], [1, 12, 5]]


def test_what_was_known_before_equals_brute_force(tables):
    rated = tables.examples[tables.examples["rating"].notna()]
    for row in rated.sample(40, random_state=0).itertuples():
        before = rated[rated["timestamp"] < row.timestamp]
        for side in ("user", "item"):
            mine = before.loc[before[f"{side}_id"] == getattr(row, f"{side}_id"), "rating"]
            assert getattr(row, f"{side}_count") == pytest.approx(np.log1p(len(mine)))
            mean = getattr(row, f"{side}_mean_rating")
            assert np.isnan(mean) if mine.empty else mean == pytest.approx(mine.mean())


def test_no_feature_depends_on_the_future(raw):
    sample = video.sample_raw(raw, 150, 0)
    rows = leaks.check_past_only(
        lambda data: video.make_tables(data, video.Settings(), 42),
        sample, video.truncate, pd.Timestamp("1998-02-01"), list(LABELS),
    )  # fmt: skip
    assert rows > 5000


def test_text_of_a_film_does_not_hold_its_genres(tables):
    assert tables.items.loc[0, "text"] == "Toy Story (1995)"
    assert tables.items["text"].isna().sum() == 1  # the film named 'unknown'


def test_missing_file_and_column_are_named(tmp_path, raw_data):
    with pytest.raises(FileNotFoundError, match="ml-100k.inter"):
        video.load_raw(tmp_path)
    (tmp_path / "ml-100k.inter").write_text("user_id:token\titem:token\n1\t2\n")
    with pytest.raises(SchemaError, match=r"ml-100k.inter: column 'item_id' is missing \(found"):
        video.load_raw(tmp_path)


def test_until_a_date_nothing_later_is_known(raw):
    until = pd.Timestamp(video.Settings.earlier["until"])
    tables = video.make_tables(raw, video.Settings(**video.Settings.earlier), 43)
    assert tables.events["timestamp"].max() < until
    rated = tables.examples[tables.examples["timestamp"].notna()]
    whole = video.make_tables(raw, video.Settings(), 42).examples
    once = whole.set_index(["user_id", "item_id"])["split"]
    tested = rated.loc[rated["split"] == "test", ["user_id", "item_id"]]
    assert set(once.reindex(pd.MultiIndex.from_frame(tested))) == {"train"}


def test_account_explains_every_row_of_the_files(raw, tables):
    account = tables.account.set_index("step")
    assert account.loc["other links of the graph", "rows"] == 35_441
    gone = account.loc[["other links of the graph", "links of no film"], "rows"].sum()
    kept = tables.items["graph"].map(len).sum()
    assert account.loc["links of films", "rows"] == kept == len(raw.graph) - gone
    assert account.loc["zip code", "kind"] == "left out"
    assert "zip_code" not in tables.users
    ratings = account[(account["table"] == "events") & (account["kind"] == "dropped")]
    assert len(raw.ratings) - ratings["rows"].sum() == len(tables.events)
    early = video.make_tables(raw, video.Settings(until="1998-01-01T00:00:00"), 42)
    late = early.account.set_index("step").loc["from data.until on", "rows"]
    assert len(raw.ratings) - late == len(early.events) < len(raw.ratings)
