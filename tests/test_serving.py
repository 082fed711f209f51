import numpy as np
import pandas as pd
import pytest

from mtrec import serving
from mtrec.config import Paths
from mtrec.models.store import save_model


@pytest.fixture(scope="module")
def recommender(assembly, world, models, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    folder = Paths(root, "tiny").trained
    folder.mkdir(parents=True)
    serving.save_state(assembly, world, folder)
    save_model(models["joint"], folder / "joint.keras")
    return serving.load("tiny", root)


def test_pairs_are_scored_in_the_labels_units(recommender):
    pairs = pd.DataFrame({"user_id": ["u1", "nobody"], "item_id": ["i3", "nothing"]}, index=[7, 9])
    scores = recommender.score(pairs)
    assert list(scores.columns) == ["rating", "like", "genres", "mood", "kind"]
    assert list(scores.index) == [7, 9]
    assert scores["rating"].between(1, 5).all()
    assert scores["like"].between(0, 1).all()
    assert set(scores["mood"]) <= {"glad", "sad", "calm"}


def test_history_is_the_users_latest_events(recommender, world, assembly):
    user = assembly.encoder.user.rows(pd.Series(["u1"]))[0]
    mine = world.events[world.events["user_id"] == "u1"].sort_values("timestamp", kind="stable")
    expected = assembly.encoder.item.rows(mine["item_id"])[-4:]
    found = recommender.events.item[recommender.events.user == user]
    np.testing.assert_array_equal(found, expected)


def test_context_is_the_latest_known_one_unless_given(recommender, world):
    latest = world.examples[world.examples["user_id"] == "u1"].sort_values("timestamp")
    assert recommender.context["user"].loc["u1", "user_count"] == latest["user_count"].iloc[-1]
    pair = pd.DataFrame({"user_id": ["u1"], "item_id": ["i1"], "user_count": [50.0]})
    assert recommender._rows(pair)["user_count"].item() == 50.0


def test_recommendations_leave_out_what_was_just_seen(recommender, assembly):
    seen = recommender.events.item[recommender.events.user == 2]
    ids = {assembly.encoder.item.ids[row - 1] for row in seen}
    found = recommender.recommend("u1", k=5)
    assert len(found) == 5
    assert not ids & set(found["item_id"])
    assert found["score"].is_monotonic_decreasing


def test_missing_column_and_untrained_domain_are_named(recommender, tmp_path):
    with pytest.raises(KeyError, match="column 'item_id' is missing"):
        recommender.score(pd.DataFrame({"user_id": ["u1"]}))
    with pytest.raises(FileNotFoundError, match="make repro"):
        serving.load("video", tmp_path)
