import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from mtrec.features import assemble
from mtrec.features.dataset import fit_types
from mtrec.features.encoder import fit_encoder
from mtrec.features.state import save_state
from mtrec.models import twins
from mtrec.models.extend import add_task
from mtrec.models.store import load_model, save_model
from mtrec.paths import Paths
from mtrec.serving import recommender
from mtrec.settings import Task
from mtrec.tables.schema import Tables
from mtrec.tables.split import add_cold_flags
from mtrec.tasks.ranking import Ranking
from tests.conftest import DOMAIN, SIZES, TASKS, make_world

TRUST = Task(
    type="ranking", view="user", label="trusts", candidates="users", loss="sampled_softmax"
)
SOCIAL = {"trust": TRUST, "rating": TASKS["rating"], "next_item": TASKS["next_item"]}
SOCIAL_DOMAIN = DOMAIN.model_copy(update={"tasks": SOCIAL})


def make_social(seed: int = 0, links: int = 120) -> Tables:
    """The tiny world with links of trust between its users, and one user who only has links."""
    world, rng = make_world(), np.random.default_rng(seed)
    users = pd.concat([world.users, pd.DataFrame({"user_id": ["hermit"], "age": [50.0]})])
    pairs = rng.permutation(30 * 30)[:links]
    source = np.where(np.arange(links) % 10 == 0, 30, pairs // 30)
    other = np.where(source == pairs % 30, (pairs + 1) % 30, pairs % 30)
    ids = users["user_id"].to_numpy()
    minutes = np.sort(rng.integers(1, 10_000, links))
    rows = pd.DataFrame(
        {
            "user_id": ids[source],
            "trusts": ids[other],
            "timestamp": pd.to_datetime(minutes * 60, unit="s").astype("datetime64[ms]"),
            "user_count": rng.integers(0, 9, links).astype(float),
            "split": np.repeat(["train", "validation", "test"], [links - 40, 20, 20]),
        }
    )
    examples = add_cold_flags(pd.concat([world.examples, rows], ignore_index=True))
    users = users.reset_index(drop=True)
    return Tables(users, world.items, world.events, examples, world.account)


@pytest.fixture(scope="module")
def social():
    return make_social()


@pytest.fixture(scope="module")
def made(social):
    rng = np.random.default_rng(1)
    vectors = {"items": rng.normal(size=(20, 6)), "tasks": rng.normal(size=(3, 6))}
    vectors = {name: values.astype("float32") for name, values in vectors.items()}
    found = assemble.assemble(social, vectors, SOCIAL_DOMAIN, SIZES)
    model = twins.build_models(found, vectors["tasks"], SIZES, seed=3)["joint"]
    for name in ("trust", "next_item"):
        query = model.get_layer(f"{name}_head").query
        query.assign(rng.normal(size=query.shape))
    return found, model, assemble.dataset(found, social, SOCIAL)


def test_candidates_are_scored_by_the_state_of_the_user_encoder(made, social):
    found, model, data = made
    head, tower = model.get_layer("trust_head"), model.get_layer("trust_tower")
    towers = keras.Model(model.input, tower.output).predict(data.inputs, verbose=0)
    encoder = model.get_layer("user_encoder")
    states = np.zeros((31, SIZES.width))
    for field, projection in zip(encoder.fields, encoder.projections, strict=True):
        values = found.encoder.user.field(field["name"]).table[1:]
        kernel = np.array(projection.weights[0])
        states += kernel[values] if field["kind"] == "categorical" else values @ kernel
    expected = towers @ np.array(head.query) @ states.T / SIZES.width**0.5 + np.array(head.bias)
    logits = model.predict(data.inputs, verbose=0)["trust"]
    assert logits.shape == (len(social.examples), 31)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_items_are_still_scored_by_the_state_of_the_item_encoder(made):
    _, model, data = made
    towers = keras.Model(model.input, model.get_layer("next_item_tower").output)
    head = model.get_layer("next_item_head")
    states = np.array(model.get_layer("item_encoder")(np.arange(1, 21)))
    query = towers.predict(data.inputs, verbose=0) @ np.array(head.query) / SIZES.width**0.5
    logits = model.predict(data.inputs, verbose=0)["next_item"]
    np.testing.assert_allclose(logits, query @ states.T + np.array(head.bias), rtol=1e-4, atol=1e-4)


def test_gradient_reaches_the_embeddings_of_the_users_that_compete(made):
    found, model, data = made
    rows = np.flatnonzero(data.masks["trust"])[:16]
    inputs = {name: values[rows] for name, values in data.inputs.items()}
    embedding = model.get_layer("user_encoder").projections[0].trainable_weights[0]
    with tf.GradientTape() as tape:
        logits = model(inputs, training=False)["trust"]
        loss = tf.reduce_sum(found.types["trust"].loss(data.labels["trust"][rows], logits))
    gradient = tf.convert_to_tensor(tape.gradient(loss, embedding.value))
    moved = set(np.flatnonzero(np.abs(gradient).sum(axis=1)))
    table = found.encoder.user.field("user_id").table
    asking = set(table[inputs["user"]])
    competing = set(table[data.labels["trust"][rows] + 1])
    assert competing - asking
    assert competing <= moved


def test_catalogue_is_the_users_table_and_survives_its_config(made, social):
    found = made[0]
    kind = found.types["trust"]
    assert kind.catalogue == tuple(social.users["user_id"])
    assert kind.candidates == "users"
    assert found.types["next_item"].candidates == "items"
    plain = json.loads(json.dumps(kind.to_config()))
    assert Ranking.from_config(plain) == kind


def test_config_saved_before_users_could_compete_ranks_items():
    old = {"catalogue": ["a", "b"], "loss_name": "softmax", "log_popularity": []}
    assert Ranking.from_config(old) == Ranking(("a", "b"))
    assert Ranking.from_config(old).candidates == "items"


def test_label_that_is_no_candidate_is_named(social):
    wrong = {"trust": TRUST.model_copy(update={"candidates": "items"})}
    catalogues = {"items": ("i1",), "users": tuple(social.users["user_id"])}
    with pytest.raises(ValueError, match=r"'trusts' .* names 'u\d+', which .* candidates"):
        fit_types(social.examples, wrong, catalogues)


def test_saved_model_with_user_candidates_predicts_the_same(made, tmp_path):
    found, model, data = made
    save_model(model, tmp_path / "joint.keras")
    again = load_model(tmp_path / "joint.keras")
    before, after = (m.predict(data.inputs, verbose=0)["trust"] for m in (model, again))
    np.testing.assert_array_equal(before, after)
    assemble.save(found, tmp_path)
    assert assemble.load(tmp_path).types == found.types


def test_links_count_as_events_of_both_users(social, made):
    table = made[0].encoder.user.field("user_id").table
    assert not (social.events["user_id"] == "hermit").any()
    assert table[-1] > 0  # an embedding of its own, though it has no event
    without = fit_encoder(social, DOMAIN.features, SIZES, {})
    assert without.user.field("user_id").table[-1] == 0


def test_held_out_links_teach_no_embedding(social):
    late = social.examples.assign(
        split=social.examples["split"].where(social.examples["user_id"] != "hermit", "test")
    )
    changed = Tables(social.users, social.items, social.events, late, social.account)
    vectors = {"tasks": np.zeros((3, 6), "float32")}
    found = assemble.assemble(changed, vectors, SOCIAL_DOMAIN, SIZES)
    assert found.encoder.user.field("user_id").table[-1] == 0


def test_recommended_are_items_though_a_task_that_ranks_users_comes_first(made, social, tmp_path):
    found, model, _ = made
    folder = Paths(tmp_path, "tiny").trained
    folder.mkdir(parents=True)
    save_model(model, folder / "joint.keras")
    save_state(found, social, SOCIAL_DOMAIN.tasks, folder)
    recommended = recommender.load("tiny", tmp_path).recommend("u1", k=3)
    assert set(recommended["item_id"]) <= set(social.items["item_id"])


def test_domain_that_ranks_users_only_recommends_no_items(made):
    found, model, _ = made
    users_only = {"trust": found.types["trust"]}
    some = assemble.Assembly(found.encoder, users_only, {}, {}, {})
    nothing = recommender.Recommender("tiny", some, model, None, {}, pd.Timestamp(0), None)
    with pytest.raises(ValueError, match="no task that ranks items"):
        nothing.recommend("u1")


def test_task_that_ranks_users_is_no_donor_of_one_that_ranks_items(social):
    sizes = SIZES.model_copy(
        update={"shared": SIZES.shared.model_copy(update={"layer": "task_conditioned"})}
    )
    tasks = {"trust": TRUST.model_copy(update={"loss": None}), "rating": TASKS["rating"]}
    domain = DOMAIN.model_copy(update={"tasks": tasks})
    vectors = np.random.default_rng(1).normal(size=(3, 6)).astype("float32")
    found = assemble.assemble(social, {"tasks": vectors[:2]}, domain, sizes)
    model = twins.build_some(found, ("trust", "rating"), vectors[:2], sizes, seed=0)
    with pytest.raises(ValueError, match="no task of the model has its type ranking"):
        add_task(model, found, "next", TASKS["next_item"], vectors[2], sizes, 0)
    labels = social.examples["next_item"].dropna()
    new, extended = add_task(model, found, "next", TASKS["next_item"], vectors[2], sizes, 0, labels)
    assert extended.types["next"].catalogue == tuple(social.items["item_id"])
    assert new.output["next"].shape == (None, 20)
