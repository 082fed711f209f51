"""What a user gets in the contests: nothing of the test is told, and everyone is scored alike."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.harness.frozen import Split
from benchmarks.models import topk
from benchmarks.protocols import rating, served, topn
from mtrec.domains.own.inspect import inspect
from mtrec.paths import find_root

ROOT = find_root()
RNG = np.random.default_rng(0)
DATA = pd.DataFrame({
    "user": np.repeat(np.arange(8), 12), "item": np.concatenate([RNG.permutation(20)[:12]
                                                                 for _ in range(8)]),
    "rating": RNG.integers(1, 6, 96), "time": np.arange(96),
})  # fmt: skip
PARTS = RNG.permutation(96)
SPLIT = Split("s", "", {"train": PARTS[:60], "validation": PARTS[60:70], "test": PARTS[70:]})


@pytest.mark.parametrize("contest", served.CONTESTS)
def test_files_hold_everything_but_the_test(raw_data, contest):
    one = served.CONTESTS[contest]
    split = one.split(ROOT)
    files = served.files(ROOT, split, one.by_lot)
    known = np.sort(np.concatenate([split.rows["train"], split.rows["validation"]]))
    expected = rating.table(ROOT).iloc[known]
    assert len(known) + len(split.rows["test"]) == 100_000
    np.testing.assert_array_equal(
        files["events"][["user_id", "item_id", "rating", "timestamp"]], expected
    )
    if one.by_lot:
        part = files["events"]["split"].to_numpy()
        assert set(known[part == "validation"]) == set(split.rows["validation"])
        assert (part == "test").sum() == len(split.rows["train"]) // served.HELD


def test_the_files_are_read_as_meant(raw_data):
    split = rating.fold(ROOT, 1)
    files = {
        name: frame.head(2000).astype("str")
        for name, frame in served.files(ROOT, split, True).items()
    }
    found = inspect(files)
    roles = {kind: [c.name for c in found.named("events", kind)]
             for kind in ("user_id", "item_id", "rating", "timestamp", "split")}  # fmt: skip
    assert roles == {"user_id": ["user_id"], "item_id": ["item_id"], "rating": ["rating"],
                     "timestamp": ["timestamp"], "split": ["split"]}  # fmt: skip


def test_lists_are_scored_as_the_scores_that_they_come_from():
    scores = RNG.normal(size=(8, 20))
    known = np.concatenate([SPLIT.rows["train"], SPLIT.rows["validation"]])
    users = np.unique(DATA["user"].iloc[SPLIT.rows["test"]])
    lists = np.argsort(-scores, axis=1)[users]
    found = served.scored("next_item", DATA, SPLIT, lists)
    expected = topn.measure(scores, DATA, known, SPLIT.rows["test"])
    for metric, values in expected.items():
        assert found[metric][0] == pytest.approx(values.mean())
    assert set(found) == {"ndcg@10", "recall@10"} == set(topk.per_user(np.ones((1, 2)), np.ones(1)))


def test_ratings_and_likes_are_scored_row_by_row():
    stars = DATA["rating"].iloc[SPLIT.rows["test"]].to_numpy("float64")
    value, low, high = served.scored("rating", DATA, SPLIT, stars + 0.5)["rmse"]
    cut = np.clip(stars + 0.5, 1, 5)
    assert value == pytest.approx(np.sqrt(((cut - stars) ** 2).mean()))
    assert low <= value <= high
    assert served.scored("like", DATA, SPLIT, stars)["auc"][0] == 1.0
