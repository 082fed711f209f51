from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.assemble import assemble
from mtrec.settings import Columns, Features, Task
from mtrec.tables import leaks
from tests.conftest import DOMAIN, SIZES, TASKS


def frame(n=300, seed=0):
    rng = np.random.default_rng(seed)
    split = np.where(np.arange(n) < n // 2, "train", "test")
    return pd.DataFrame({"category": rng.choice(list("abc"), n), "split": split})


def test_label_in_disguise_is_found_for_every_kind_of_feature():
    data = frame()
    number = data["category"].map({"a": 1.0, "b": 2.0, "c": 3.0})
    features = pd.DataFrame(
        {
            "same": data["category"],
            "coded": number,
            "listed": data["category"].map(lambda c: [c, "z"]),
            "noise": np.random.default_rng(1).choice(list("xyz"), len(data)),
        }
    )
    found = leaks.determining_features(features, data["category"], data["split"])
    assert found == ["same", "coded", "listed"]


def test_number_that_orders_the_labels_is_found():
    rng = np.random.default_rng(2)
    split = frame()["split"]
    label = pd.Series(rng.normal(size=len(split)))
    features = pd.DataFrame({"other units": 2 * label + 1, "noise": rng.normal(size=len(split))})
    assert leaks.determining_features(features, label, split) == ["other units"]
    assert leaks.determining_features(-features, label, split) == ["other units"]
    features.loc[len(split) - 1, "other units"] += 10
    assert leaks.determining_features(features, label, split) == []


@pytest.mark.parametrize(("positives", "found"), [(1, []), (40, ["score"])])
def test_score_that_a_yes_was_cut_from_is_found_unless_it_may_be_luck(positives, found):
    score = pd.Series(np.random.default_rng(3).permutation(300) * 1.0)
    label = (score.rank(ascending=False) <= positives).astype(float)
    split = pd.Series(np.where(np.arange(300) % 2, "train", "test"))
    features = pd.DataFrame({"score": score})
    assert leaks.determining_features(features, label, split) == found


def test_feature_that_errs_once_is_not_a_label_in_disguise():
    data = frame()
    noisy = data["category"].copy()
    noisy.iloc[-1] = "a" if noisy.iloc[-1] != "a" else "b"
    features = pd.DataFrame({"noisy": noisy})
    assert leaks.determining_features(features, data["category"], data["split"]) == []


def test_articles_category_from_category_is_refused_by_name(world, vectors):
    tasks = {**TASKS, "kind": Task(type="multilabel", view="item", label="kind")}
    items = pd.concat([world.items] * 10, ignore_index=True)
    items["item_id"] = [f"i{n}" for n in range(len(items))]
    films = pd.DataFrame(
        {"item_id": items["item_id"], "kind": items["genres"],
         "timestamp": pd.Series(pd.NaT, index=items.index, dtype="datetime64[ms]"),
         "split": np.resize(["train", "test", "train", "validation"], len(items))}
    )  # fmt: skip
    watched = world.examples[world.examples["kind"].isna()]
    planted = replace(world, items=items, examples=pd.concat([watched, films], ignore_index=True))
    domain = DOMAIN.model_copy(update={"tasks": tasks})
    wide = {**vectors, "items": np.repeat(vectors["items"], 10, axis=0)}
    seen = assemble(planted, wide, domain, SIZES).seen
    with pytest.raises(leaks.LeakError, match="task 'kind': feature 'item genres' determines"):
        leaks.refuse_determining_features(planted, tasks, seen)


def test_rating_as_a_feature_of_like_is_refused_by_name(world, vectors):
    features = Features(
        user=Columns(categorical=("user_id",), context=("rating",)),
        item=Columns(categorical=("item_id",)),
    )
    tasks = {"like": TASKS["like"]}
    domain = DOMAIN.model_copy(update={"tasks": tasks, "features": features})
    seen = assemble(world, vectors, domain, SIZES).seen
    with pytest.raises(leaks.LeakError, match="task 'like': feature 'rating' determines"):
        leaks.refuse_determining_features(world, tasks, seen)


def test_honest_heads_pass(world, assembly):
    table = leaks.refuse_determining_features(world, TASKS, assembly.seen)
    assert list(table["task"]) == list(TASKS)


class Made:
    """What make_tables returns, as far as the check looks."""

    def __init__(self, examples):
        self.examples = examples


def build(raw, future: bool):
    raw = raw.sort_values("timestamp")
    mean = raw.groupby("user_id")["y"].transform("mean") if future else (
        raw.groupby("user_id")["y"].transform(lambda y: y.shift().expanding().mean())
    )  # fmt: skip
    return Made(raw.assign(mean=mean, split="train", cold_user=False, cold_item=False))


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    times = pd.to_datetime(np.arange(200), unit="D")
    return pd.DataFrame(
        {"user_id": rng.choice(list("ab"), 200), "item_id": rng.choice(list("xy"), 200),
         "timestamp": times, "y": rng.normal(size=200)}
    )  # fmt: skip


def truncate(raw, cutoff):
    return raw[raw["timestamp"] < cutoff]


def test_mean_over_the_future_is_caught(raw):
    with pytest.raises(leaks.LeakError, match="column 'mean'"):
        leaks.check_past_only(lambda r: build(r, True), raw, truncate, raw["timestamp"][150], ["y"])


def test_mean_over_the_past_passes(raw):
    cutoff = raw["timestamp"][150]
    assert leaks.check_past_only(lambda r: build(r, False), raw, truncate, cutoff, ["y"]) == 150
