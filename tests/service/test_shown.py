"""Items that lists may show, in the order of the catalogue, and those that follow."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.service.rows import Ids
from mtrec.service.shown import Shown


@pytest.fixture
def shown():
    ids = Ids(("a", "b", "c"))
    return ids, Shown(ids, pd.DataFrame({"item_id": ["a", "b", "c", "a"]}), None)


def test_popularity_counts_events_of_the_data_and_those_that_come(shown):
    _, found = shown
    assert found.popularity.tolist() == [2, 1, 1]
    found.count(3)
    found.count(0)  # an event without an item
    found.count(9)  # an item that is not shown
    assert found.popularity.tolist() == [2, 1, 2]


def test_a_later_item_has_a_place_of_its_own_and_keeps_it(shown):
    ids, found = shown
    ids.add("without text")
    row = ids.add("later")
    assert found.places([row]).tolist() == []
    found.add(row, np.zeros(0))
    found.add(row, np.zeros(0))
    assert len(found) == 4
    assert found.places([row, 1, 4]).tolist() == [0, 3]
    assert found.name(3) == "later"
    assert found.rows(np.array([3])).tolist() == [row]
    assert found.popularity.tolist() == [2, 1, 1, 0]


def test_scores_are_the_product_and_the_bias_also_of_what_came_later():
    draw, ids = np.random.default_rng(3), Ids(("a", "b", "c"))
    items, bias = draw.normal(size=(3, 4)).astype("float32"), np.array([1, 2, 5], "float32")
    catalogue = SimpleNamespace(items=np.asfortranarray(items), bias=bias)
    found = Shown(ids, pd.DataFrame({"item_id": ["a"]}), catalogue)
    query = draw.normal(size=4).astype("float32")
    np.testing.assert_allclose(found.scores(query), items @ query + bias, rtol=1e-5)
    state = draw.normal(size=4).astype("float32")
    for name in "defgh":  # the table grows twice
        found.add(ids.add(name), state)
    expected = np.append(items @ query + bias, [state @ query / 2 + 2] * 5)  # the median bias
    np.testing.assert_allclose(found.scores(query), expected, rtol=1e-5)


def test_a_table_that_has_grown_is_not_copied_for_each_list():
    items, ids = np.zeros((20_000, 16), "float32"), Ids(tuple(map(str, range(20_000))))
    catalogue = SimpleNamespace(items=np.asfortranarray(items), bias=items[:, 0])
    found = Shown(ids, pd.DataFrame({"item_id": ["1"]}), catalogue)
    found.add(ids.add("later"), items[0])
    found.scores(items[0])
    tracemalloc.start()
    found.scores(items[0])
    assert tracemalloc.get_traced_memory()[1] < items.nbytes / 10
    tracemalloc.stop()
