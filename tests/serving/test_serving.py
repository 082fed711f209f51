import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.evaluation import domain as experiment
from mtrec.features import assemble
from mtrec.features.state import save_state
from mtrec.models import twins
from mtrec.models.store import save_model
from mtrec.paths import Paths
from mtrec.serving import recommender as serving
from mtrec.tasks.ordinal import Ordinal
from tests.conftest import DOMAIN, SIZES, TASKS

STARS = {1: 0.5, 2: 1.0, 3: 4.0, 4: 5.0, 5: 20.0}  # levels that are not their positions


@pytest.fixture(scope="module")
def recommender(assembly, world, models, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    folder = Paths(root, "tiny").trained
    folder.mkdir(parents=True)
    save_model(models["joint"], folder / "joint.keras")
    save_state(assembly, world, DOMAIN.tasks, folder)
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
    assert recommender.rows(pair)["user_count"].item() == 50.0


def test_recommendations_leave_out_whatever_was_met_before(recommender, world):
    met = set(world.events.loc[world.events["user_id"] == "u1", "item_id"])
    assert len(met) > recommender.assembly.encoder.history_length
    left = set(world.items["item_id"]) - met
    found = recommender.recommend("u1", k=3)
    assert len(found) == 3
    assert found["score"].is_monotonic_decreasing
    found = recommender.recommend("u1", k=1000)
    assert set(found["item_id"]) == left  # no more than there are
    assert np.isfinite(found["score"]).all()
    assert len(recommender.recommend("nobody", k=1000)) == len(world.items)


def test_a_process_that_built_no_model_loads_one(assembly, models, tmp_path):
    save_model(models["joint"], tmp_path / "joint.keras")
    code = "import sys; from mtrec.models.store import load_model; load_model(Path(sys.argv[1]))"
    command = [sys.executable, "-c", f"from pathlib import Path; {code}", tmp_path / "joint.keras"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_column_and_untrained_domain_are_named(recommender, tmp_path):
    with pytest.raises(KeyError, match="column 'item_id' is missing"):
        recommender.score(pd.DataFrame({"user_id": ["u1"]}))
    with pytest.raises(FileNotFoundError, match="make repro"):
        serving.load("video", tmp_path)


@pytest.mark.filterwarnings("ignore::mtrec.serving.recommender.RequestWarning")
@pytest.mark.parametrize("ids", [[1, 2], [1.0, None], ["1.0", " 2"], np.array([1, 2], "float32")])
def test_an_id_is_the_same_however_it_is_stored(recommender, ids):
    known = replace(
        recommender.assembly.encoder.user,
        ids=tuple(i.removeprefix("u") for i in recommender.assembly.encoder.user.ids),
    )
    encoder = replace(recommender.assembly.encoder, user=known)
    model = replace(
        recommender, assembly=replace(recommender.assembly, encoder=encoder), context={}
    )
    found = model.score(pd.DataFrame({"user_id": ids, "item_id": "i3"}))
    expected = model.score(pd.DataFrame({"user_id": ["1", "2"], "item_id": "i3"}))
    assert found["rating"].iloc[0] == expected["rating"].iloc[0]
    assert found.attrs["unknown"] == {"user_id": 0, "item_id": 0}
    assert model.recommend(1, k=3).equals(model.recommend("1", k=3))


def test_answers_say_how_many_ids_are_unknown(recommender):
    pairs = pd.DataFrame({"user_id": ["u1", "x", "y"], "item_id": ["i3", "i4", None]})
    with pytest.warns(serving.RequestWarning, match="2 of 3 user ids are unknown .*'x'.* as new"):
        found = recommender.score(pairs)
    assert found.attrs["unknown"] == {"user_id": 2, "item_id": 0}
    with pytest.warns(serving.RequestWarning, match="1 of 1 user ids"):
        assert recommender.recommend("x", k=1).attrs["unknown"]["user_id"] == 1


def test_an_id_that_lost_its_zeros_is_named(recommender):
    item = replace(recommender.assembly.encoder.item, ids=("066", "7"))
    encoder = replace(recommender.assembly.encoder, item=item)
    model = replace(recommender, assembly=replace(recommender.assembly, encoder=encoder))
    with pytest.warns(serving.RequestWarning, match="is '66' the '066' that lost its zeros"):
        model.score(pd.DataFrame({"user_id": ["u1"], "item_id": [66]}))


def test_an_empty_request_has_an_empty_answer(recommender):
    full = recommender.score(pd.DataFrame({"user_id": ["u1"], "item_id": ["i3"]}))
    empty = recommender.score(pd.DataFrame({"user_id": [], "item_id": []}))
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_item_cannot_be_asked_for(recommender, k):
    with pytest.raises(ValueError, match=f"k is {k}; ask for one item or more"):
        recommender.recommend("u1", k=k)


def test_columns_that_are_not_used_are_named(recommender):
    pairs = pd.DataFrame({"user_id": ["u1"], "item_id": ["i3"], "user_cuont": [3.0]})
    with pytest.warns(serving.RequestWarning, match="not used: user_cuont .*user_count"):
        recommender.score(pairs)


@pytest.fixture(scope="module")
def levels(world, vectors, tmp_path_factory):
    """The served world with ratings as ordered levels, its models' heads away from the constant."""
    tasks = {
        "rating": TASKS["rating"].model_copy(update={"type": "ordinal"}),
        "mood": TASKS["mood"],
    }
    world = replace(
        world, examples=world.examples.assign(rating=world.examples["rating"].map(STARS))
    )
    domain = DOMAIN.model_copy(update={"tasks": tasks})
    assembly = assemble.assemble(world, vectors, domain, SIZES)
    models = twins.build_models(assembly, vectors["tasks"][:2], SIZES, seed=0)
    for model in models.values():
        for task in model.output:
            head = model.get_layer(f"{task}_head")
            head.kernel.assign(np.random.default_rng(1).normal(size=head.kernel.shape) * 5)
    root = tmp_path_factory.mktemp("levels")
    folder = Paths(root, "tiny").trained
    folder.mkdir(parents=True)
    twins.save_models(models, folder)
    save_state(assembly, world, tasks, folder)
    return world, assembly, tasks, root


def test_ordered_levels_are_answered_in_the_labels_units(levels):
    *_, root = levels
    recommender = serving.load("tiny", root)
    kind = recommender.assembly.types["rating"]
    assert isinstance(kind, Ordinal)
    assert kind.levels == tuple(STARS.values())
    pairs = pd.DataFrame(
        {"user_id": ["u1", "u2"] * 20, "item_id": [f"i{n % 20}" for n in range(40)]}
    )
    scores, predictions = recommender.score(pairs), recommender.predict(pairs)["rating"]
    assert predictions.shape == (40, 5)
    np.testing.assert_allclose(predictions.sum(axis=1), 1.0, rtol=1e-5)
    assert scores["rating"].isin(STARS.values()).all()
    assert scores["rating"].nunique() > 1
    expected = [list(STARS.values())[row.argmax()] for row in predictions]
    assert scores["rating"].tolist() == expected


def test_ordered_levels_are_evaluated_by_position_beside_a_baseline(levels):
    world, assembly, tasks, root = levels
    encoded = assemble.dataset(assembly, world, tasks)
    trained = Paths(root, "tiny").trained
    found = experiment.predict_tasks(assembly, encoded, world, tasks, trained, 0)
    p = found["rating"]
    assert p.type == "ordinal"
    test = world.examples[(world.examples["split"] == "test") & world.examples["rating"].notna()]
    np.testing.assert_array_equal(np.array(list(STARS.values()))[p.labels], test["rating"])
    for system in ("joint", "single", "baseline"):
        assert p.systems[system].shape == (len(test), 5)
        np.testing.assert_allclose(p.systems[system].sum(axis=1), 1.0, rtol=1e-5)
    metrics = experiment.score({"rating": p}, resamples=20, seed=0)["rating"]
    assert metrics["type"] == "ordinal"
    for system in ("joint", "baseline"):
        mean = p.systems[system] @ np.arange(5)
        expected = np.abs(mean - p.labels).mean()
        assert metrics[system]["mae"]["value"] == pytest.approx(expected, rel=1e-4)
    actual, chosen = experiment.confusion(p)
    names = experiment.class_tasks(assembly)["rating"]
    assert names == ("0.5", "1", "4", "5", "20")
    assert set(actual) | set(chosen) <= set(range(5))


def test_a_recommender_in_a_cell_is_one_line(recommender):
    said = repr(recommender)
    assert said.startswith("Recommender('tiny': rating, like, ")
    assert len(said) < 300 and "\n" not in said
