import numpy as np
import pytest

from benchmarks.models.rating_table import interactions
from benchmarks.protocols import like
from benchmarks.protocols.rating_rows import Parts
from tests.conftest import ROOT

DATA = ROOT / "data" / "ml-100k"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="data/ml-100k is not checked out")


@needs_data
@pytest.mark.parametrize("order", ["random", "temporal"])
def test_rows_are_split_eight_one_one(order):
    rows = like.split(ROOT, order).rows
    assert {part: len(found) for part, found in rows.items()} == {
        "train": 80_000, "validation": 10_000, "test": 10_000,
    }  # fmt: skip
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(100_000))


@needs_data
def test_no_row_of_the_temporal_split_is_earlier_than_one_of_an_earlier_part():
    time = interactions(DATA)["time"].to_numpy()
    rows = like.split(ROOT, "temporal").rows
    assert time[rows["train"]].max() <= time[rows["validation"]].min()
    assert time[rows["validation"]].max() <= time[rows["test"]].min()


@needs_data
def test_ties_in_time_are_split_in_the_order_of_the_file():
    time = interactions(DATA)["time"].to_numpy()
    rows = like.split(ROOT, "temporal").rows
    for before, after in (("train", "validation"), ("validation", "test")):
        edge = time[rows[after]].min()
        tied = [rows[part][time[rows[part]] == edge] for part in (before, after)]
        assert not len(tied[0]) or tied[0].max() < tied[1].min()


def test_the_chance_of_a_like_is_that_of_the_two_highest_levels():
    levels = np.array([[[0.1, 0.2, 0.3, 0.25, 0.15]]])
    found = like.chances(Parts(levels, np.array([0.7]), "", 0.0, 0.0, 0.0))
    np.testing.assert_allclose(found, [[0.4], [0.7]])
