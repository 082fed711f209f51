import numpy as np
import pandas as pd
import pytest

from mtrec.domains import social_trust
from mtrec.features.events import training_events
from mtrec.report import data_plots, describe
from mtrec.tables import leaks
from mtrec.tables.schema import SchemaError, validate
from mtrec.text import embeddings

LABELS = {"rating": "regression", "like": "binary", "trusts": "ranking", "next_item": "ranking"}
SETTINGS = social_trust.Settings()


@pytest.fixture(scope="module")
def raw(raw_data):
    return social_trust.load_raw(raw_data / "filmtrust")


@pytest.fixture(scope="module")
def tables(raw):
    return validate(social_trust.make_tables(raw, SETTINGS, 42), LABELS)


@pytest.fixture
def small(tmp_path):
    """A function that writes both files, with some lines of its own, and returns their folder."""

    def write(ratings=("user\tmovie\tscore",), trust=("truster\ttrustee\tscore",), rows=()):
        for name, lines in (("ratings", ratings), ("trust", trust)):
            header = [*lines, "c\tc\tc", "row=1\tcol=1\tclass"]
            (tmp_path / f"{name}.tab").write_text("\n".join([*header, *rows]) + "\n")
        return tmp_path

    return write


def test_published_counts(raw, tables):
    assert len(raw.ratings) == 35_497
    assert raw.ratings["user"].nunique() == 1508
    assert len(tables.items) == 2071
    assert len(raw.trust) == 1853
    assert raw.trust["truster"].nunique() == 609
    assert raw.trust["trustee"].nunique() == 732
    everyone = set(raw.ratings["user"]) | set(raw.trust["truster"]) | set(raw.trust["trustee"])
    assert set(tables.users["user_id"]) == everyone
    assert len(everyone) == 1642


def test_scores_are_halves_from_a_half_to_four(raw, tables):
    assert sorted(raw.ratings["score"].unique()) == [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    rated = tables.examples[tables.examples["rating"].notna()]
    assert ((rated["rating"] >= 3.5) == (rated["like"] == 1)).all()


def test_account_explains_every_row_of_the_files(raw, tables):
    account = tables.account
    dropped = account[(account["table"] == "examples") & (account["kind"] == "dropped")]
    assert dict(zip(dropped["step"], dropped["rows"], strict=True)) == {
        "rated twice": 3, "trusts himself": 0, "same link twice": 0,
    }  # fmt: skip
    assert len(raw.ratings) + len(raw.trust) - dropped["rows"].sum() == len(tables.examples)
    score = account.set_index("step").loc["score of a link"]
    assert (score["kind"], score["rows"]) == ("left out", len(raw.trust))
    held = account.set_index("step").loc["held-out ratings", "rows"]
    assert len(tables.events) == tables.examples["rating"].notna().sum() - held


def test_ratings_and_links_are_each_split_by_the_stated_shares(tables):
    for label in ("rating", "trusts"):
        part = tables.examples[tables.examples[label].notna()]["split"]
        share = part.value_counts(normalize=True)
        assert share["validation"] == pytest.approx(0.1, abs=0.001)
        assert share["test"] == pytest.approx(0.2, abs=0.001)


def test_split_is_one_in_the_shuffled_time_and_only_training_ratings_are_events(tables):
    times = tables.examples.groupby("split")["timestamp"].agg(["min", "max"])
    assert times.loc["train", "max"] < times.loc["validation", "min"]
    assert times.loc["validation", "max"] < times.loc["test", "min"]
    events, in_time = training_events(tables.events, tables.examples)
    assert in_time
    assert len(events) == len(tables.events)
    keys = ["user_id", "item_id", "timestamp", "rating"]
    rated = tables.examples["rating"].notna() & (tables.examples["split"] == "train")
    expected = tables.examples.loc[rated, keys].sort_values(["user_id", "timestamp"])
    pd.testing.assert_frame_equal(tables.events, expected.reset_index(drop=True))


def test_what_was_known_before_equals_brute_force(tables):
    examples = tables.examples
    some = pd.concat(
        [
            examples[examples["trusts"].notna()].sample(60, random_state=0),
            examples[examples["rating"].notna()].sample(60, random_state=0),
        ]
    )
    for row in some.itertuples():
        earlier = (examples["split"] == "train") & (examples["timestamp"] < row.timestamp)
        before = examples[earlier]
        given = (before["trusts"].notna() & (before["user_id"] == row.user_id)).sum()
        received = (before["trusts"] == row.user_id).sum()
        assert row.user_trusts == pytest.approx(np.log1p(given))
        assert row.user_trusted == pytest.approx(np.log1p(received))
        for side in ("user", "item") if pd.notna(row.item_id) else ("user",):
            own = before[f"{side}_id"] == getattr(row, f"{side}_id")
            mine = before.loc[own, "rating"].dropna()
            assert getattr(row, f"{side}_count") == pytest.approx(np.log1p(len(mine)))
            mean = getattr(row, f"{side}_mean_rating")
            assert np.isnan(mean) if mine.empty else mean == pytest.approx(mine.mean())


def test_links_have_no_item_and_no_label_of_a_rating(tables):
    links = tables.examples[tables.examples["trusts"].notna()]
    assert links[["item_id", "rating", "like", "next_item", "item_count"]].isna().all(axis=None)
    assert not links["cold_item"].any()


def test_no_feature_depends_on_the_future(raw, tables):
    cutoff = describe.middle_of_test(tables.examples)
    rows = leaks.check_past_only(
        lambda data: social_trust.make_tables(data, SETTINGS, 42),
        social_trust.sample_raw(raw, 150, 0), social_trust.truncate, cutoff, list(LABELS),
    )  # fmt: skip
    assert rows > 2000


def test_seed_moves_the_split_and_nothing_else(raw, tables):
    again, other = (social_trust.make_tables(raw, SETTINGS, seed) for seed in (42, 43))
    pd.testing.assert_frame_equal(again.examples, tables.examples)
    assert (other.examples["split"] != tables.examples["split"]).any()
    keys = ["user_id", "item_id", "rating", "trusts"]
    pd.testing.assert_frame_equal(other.examples[keys], tables.examples[keys])


def test_missing_file_or_column_is_named(tmp_path, small):
    with pytest.raises(FileNotFoundError, match=r"ratings\.tab: no such file"):
        social_trust.load_raw(tmp_path)
    folder = small(trust=("truster\tfriend\tscore",))
    with pytest.raises(SchemaError, match=r"trust\.tab: column 'trustee' is missing"):
        social_trust.load_raw(folder)


@pytest.mark.parametrize("score", ["8", "0", "many", ""])
def test_score_off_the_published_scale_is_named(small, score):
    with pytest.raises(
        SchemaError, match=rf"ratings\.tab: column 'score': found '{score}' .1 such"
    ):
        social_trust.load_raw(small(rows=("1\t2\t1", f"1\t3\t{score}")))


def test_notebook_of_texts_says_that_there_are_none(tables):
    vectors, _ = embeddings.reduce(
        np.full((len(tables.items), 9), np.nan, "float32"), np.ones(len(tables.items), bool), 4
    )
    assert describe.neighbours(tables.items, vectors, 0).empty
    assert "no item" in describe.text_note(tables.items)
    found = data_plots.embedding_map(vectors, describe.groups(tables.items), "map")
    assert "no texts" in repr(found)
    sample = describe.sample_table(tables, {}, 0)
    assert sample.empty
