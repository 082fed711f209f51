from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.models import synthetic
from mtrec import backend
from mtrec.serving.catalogue import best, open_catalogue


@pytest.fixture(scope="module")
def recommender():
    made = synthetic.tables(events=400, users=30, items=60, tasks=1, seed=5)
    return synthetic.recommender(made, synthetic.domain(1, ranking=True), seed=5)


@pytest.mark.parametrize("k", [6, 1000])
def test_a_query_and_a_product_answer_as_the_whole_network_does(recommender, k):
    ids = np.array(recommender.assembly.encoder.item.ids)
    for user in (recommender.assembly.encoder.user.ids[7], "a stranger"):
        row = pd.DataFrame({"user_id": [user], "item_id": [None]})
        scores = recommender.predict(row)["next_item"][0]
        met = recommender.met_by(recommender.assembly.encoder.user.rows(row["user_id"])[0])
        free = np.setdiff1d(np.arange(60), met - 1)
        expected = free[np.argsort(-scores[free], kind="stable")][:k]
        found = recommender.recommend(user, k)
        assert found["item_id"].tolist() == ids[expected].tolist()
        np.testing.assert_allclose(found["score"], scores[expected], rtol=1e-4)


def test_items_of_the_same_score_are_in_the_order_of_the_catalogue(recommender):
    level = np.arange(60) % 3
    catalogue = replace(
        recommender.catalogue, items=np.zeros_like(recommender.catalogue.items), bias=level * 1.0
    )
    met = recommender.met_by(catalogue.users[recommender.assembly.encoder.user.ids[7]])
    free = np.setdiff1d(np.arange(60), met - 1)
    first = np.r_[free[level[free] == 2], free[level[free] == 1]]
    for k in (0, 1, 7, 25):
        found, _ = catalogue.recommend(recommender.assembly.encoder.user.ids[7], k)
        assert found.tolist() == catalogue.ids[first[:k]].tolist()


def test_a_row_compiled_for_speed_is_answered_as_any_other(recommender):
    one, other = (open_catalogue(recommender, fused) for fused in (False, True))
    for user in (*recommender.assembly.encoder.user.ids[:3], "a stranger"):
        (ids, scores), (same, close) = one.recommend(user, 20), other.recommend(user, 20)
        assert ids.tolist() == same.tolist()
        np.testing.assert_allclose(close, scores, atol=1e-5)


def test_a_model_too_large_to_be_copied_is_read_in_place(recommender, monkeypatch):
    copied = open_catalogue(recommender, fused=True)
    monkeypatch.setattr(backend, "FROZEN_BYTES", 0)
    in_place = open_catalogue(recommender, fused=True)
    for user in (*recommender.assembly.encoder.user.ids[:3], "a stranger"):
        (ids, scores), (same, close) = copied.recommend(user, 20), in_place.recommend(user, 20)
        assert ids.tolist() == same.tolist()
        np.testing.assert_allclose(close, scores, atol=1e-5)


@given(
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.5, -np.inf]), min_size=1, max_size=2000),
    k=st.integers(0, 30),
)
def test_the_best_are_those_of_a_stable_sort(scores, k):
    values, k = np.array(scores), min(k, len(scores))
    assert best(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()
