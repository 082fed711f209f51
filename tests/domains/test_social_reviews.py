import numpy as np
import pandas as pd
import pytest

from mtrec.domains import social_reviews
from mtrec.features.encoder import fit_encoder
from mtrec.features.events import training_events
from mtrec.features.visibility import visible
from mtrec.settings import Columns, Features, ModelBuilding, Task
from mtrec.tables import leaks
from mtrec.tables.schema import SchemaError, validate

LABELS = {
    "sentiment": "ordinal", "recommended": "binary", "tags": "multilabel",
    "engagement": "regression",
}  # fmt: skip
FEATURES = Features(
    user=Columns(numeric=("age",)),
    item=Columns(categorical=("product",), context=("product_count", "product_mean_rating")),
)


@pytest.fixture(scope="module")
def raw(raw_data):
    return social_reviews.load_raw(raw_data / "clothing-reviews")


@pytest.fixture(scope="module")
def tables(raw):
    return validate(social_reviews.make_tables(raw, social_reviews.Settings(), 42), LABELS)


def test_published_counts(raw, tables):
    assert len(raw.posts) == 23_486
    assert raw.posts["product"].nunique() == 1206
    assert raw.posts["recommended"].sum() == 19_314
    assert len(tables.items) == len(tables.users) == len(tables.events) == len(tables.examples)
    assert tables.examples["split"].value_counts().to_dict() == {
        "train": 18_783, "validation": 2349, "test": 2347,
    }  # fmt: skip


def test_account_holds_every_row_that_was_dropped_or_repaired(raw, tables):
    account = tables.account.set_index("step")
    dropped = account.loc[account["kind"] == "dropped", "rows"].sum()
    assert len(raw.posts) - dropped == len(tables.examples)
    assert account.loc["posted again", "rows"] == 7
    assert account.loc["no text", "rows"] == tables.items["text"].isna().sum() == 844
    assert account.loc["no tags", "rows"] == tables.examples["tags"].isna().sum() == 14
    repaired = tables.examples["tags"].map(lambda tags: isinstance(tags, list) and tags[0])
    assert (repaired == "division: Intimates").sum() == account.loc["misspelt division", "rows"]
    assert not tables.examples["tags"].astype(str).str.contains("Initmates").any()


def test_no_review_stands_in_two_posts(raw, tables):
    review = raw.posts["review"].loc[tables.items["item_id"].astype(int)].dropna()
    assert review.is_unique


def test_labels_are_the_ones_of_the_post(raw, tables):
    for row in tables.examples.sample(200, random_state=0).itertuples():
        post = raw.posts.loc[int(row.item_id)]
        assert row.user_id == row.item_id
        assert (row.sentiment, row.recommended) == (post["rating"], post["recommended"])
        assert np.expm1(row.engagement) == pytest.approx(post["feedback"])
        assert row.tags[1:] == [f"department: {post['department']}", f"class: {post['class']}"]


def test_text_is_title_and_review_on_one_line():
    title = pd.Series(["Too  bad", "Love it!", None, None])
    review = pd.Series(["i sent\nit back", None, "fits", None])
    found = social_reviews._text(title, review)
    assert found.tolist() == ["Too bad. i sent it back", "Love it!", "fits", None]


def test_product_context_counts_training_posts_before_and_no_others(tables):
    joined = tables.examples.assign(product=tables.items["product"])
    training = joined[joined["split"] == "train"]
    chosen = joined.groupby("split").sample(40, random_state=0)
    assert chosen["product_mean_rating"].notna().any()
    for row in chosen.itertuples():
        before = training[training["timestamp"] < row.timestamp]
        stars = before.loc[before["product"] == row.product, "sentiment"]
        assert row.product_count == pytest.approx(np.log1p(len(stars)))
        assert np.isnan(row.product_mean_rating) if stars.empty else (
            row.product_mean_rating == pytest.approx(stars.mean())
        )  # fmt: skip


def test_no_feature_depends_on_later_posts(raw):
    sample = social_reviews.sample_raw(raw, 4000, 0)

    def make(part):
        return social_reviews.make_tables(part, social_reviews.Settings(), 42)

    times = make(sample).examples["timestamp"].sort_values(ignore_index=True)
    rows = leaks.check_past_only(make, sample, social_reviews.truncate, times[2000], list(LABELS))
    assert rows == 2000
    assert len(make(social_reviews.truncate(sample, times[2000])).examples) == 2000


def test_order_and_split_of_a_post_do_not_depend_on_the_sample(raw, tables):
    part = social_reviews.sample_raw(raw, 300, 0)
    found = social_reviews.make_tables(part, social_reviews.Settings(), 42).examples
    keys = ["item_id", "timestamp", "split", "sentiment", "engagement"]
    merged = found[keys].merge(tables.examples[keys], on="item_id", suffixes=("", "_full"))
    assert len(merged) > 290
    for name in keys[1:]:
        assert (merged[name] == merged[f"{name}_full"]).all()


def test_split_is_one_in_the_shuffled_time_and_training_events_are_the_training_posts(tables):
    events, in_time = training_events(tables.events, tables.examples)
    training = tables.examples[tables.examples["split"] == "train"]
    assert in_time
    assert set(events["item_id"]) == set(training["item_id"])


def test_no_visible_feature_determines_a_label_and_the_product_would(tables):
    vectors = {"items": np.random.default_rng(0).normal(size=(len(tables.items), 2))}
    encoder = fit_encoder(tables, FEATURES, ModelBuilding(), vectors)
    tasks = {
        name: Task(type=kind, view="joint", label=name)
        for name, kind in LABELS.items() if name != "tags"
    }  # fmt: skip
    tasks["tags"] = Task(type="multilabel", view="item", label="tags", features=("text",))
    seen = {name: visible(name, task, encoder) for name, task in tasks.items()}
    assert seen["tags"].item == ("text",)
    assert seen["tags"].item_context == ()
    assert len(leaks.refuse_determining_features(tables, tasks, seen)) == 4
    known = tables.examples[tables.examples["tags"].notna()]
    product = tables.items.loc[known.index, ["product"]]
    department = known["tags"].str[1]
    assert leaks.determining_features(product, department, known["split"]) == ["product"]


def test_missing_file_and_column_are_named(tmp_path, raw_data):
    with pytest.raises(FileNotFoundError, match=r"reviews\.parquet"):
        social_reviews.load_raw(tmp_path)
    frame = pd.read_parquet(raw_data / "clothing-reviews" / "reviews.parquet")
    frame.drop(columns="Rating").to_parquet(tmp_path / "reviews.parquet")
    with pytest.raises(SchemaError, match="column 'Rating' is missing"):
        social_reviews.load_raw(tmp_path)
