from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import logsumexp

from mtrec.features.encoder import without
from mtrec.models.predict import predict
from mtrec.studies import workbench
from mtrec.studies.cold_split import OTHER, make_cold
from mtrec.studies.cold_systems import SYSTEMS, prepare, restrict, select, systems
from mtrec.studies.group_ranking import GroupRanking
from mtrec.tasks.ranking import Ranking
from tests.conftest import DOMAIN
from tests.studies.conftest import SHORT

GROUPS = np.array([0, 1, 0, 2, 2, 0])


@pytest.fixture(scope="module")
def kind():
    return GroupRanking.of(Ranking(tuple("abcdef")), GROUPS)


def test_candidate_competes_with_its_own_group_only(kind):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 6)).astype("float32"), np.arange(6)
    expected = [
        logsumexp(row[GROUPS[label] == GROUPS]) - row[label]
        for row, label in zip(logits, labels, strict=True)
    ]
    for loss in (kind.loss, kind.validation_loss):
        np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-5, atol=1e-6)
    assert (kind.absent(labels) == (GROUPS[labels][:, None] != GROUPS)).all()


def test_training_row_has_no_gradient_on_held_out_candidates(kind):
    import tensorflow as tf

    logits = tf.Variable(np.random.default_rng(1).normal(size=(2, 6)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = keras.ops.sum(kind.loss(np.array([0, 2]), logits))
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[:, GROUPS > 0] == 0).all()
    assert (gradient[:, GROUPS == 0] != 0).all()


def test_unit_of_the_loss_is_that_of_the_constant_prediction_within_the_group(kind):
    labels = np.array([0, 0, 2, 5])
    frequencies = np.array([3, 2, 2]) / 7  # with one pseudo-count, among the group's three
    expected = -(2 * np.log(frequencies[0]) + 2 * np.log(frequencies[1])) / 4
    assert kind.scale(labels) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("system", "user", "item", "context"),
    [
        ("ids", ["user_id"], ["item_id"], []),
        ("tables", ["user_id", "age"], ["colour", "genres", "year"], ["user"]),
        ("llm", ["user_id", "text"], ["text"], []),
        ("both", ["user_id", "age", "text"], ["colour", "genres", "year", "text"], ["user"]),
    ],
)  # fmt: skip
def test_system_sees_its_features_and_no_other(cold_benches, system, user, item, context):
    encoder = select(cold_benches["cold_items"].bench.assembly.encoder, SYSTEMS[system], "item")
    assert [f.name for f in encoder.user.fields] == user
    assert [f.name for f in encoder.item.fields] == item
    assert list(encoder.contexts) == context


def test_domain_without_text_has_two_systems_and_one_without_tables_too(cold_benches):
    encoder = cold_benches["cold_items"].bench.assembly.encoder
    assert list(systems(encoder, "item")) == list(SYSTEMS)
    assert list(systems(without("text", encoder), "item")) == ["ids", "tables"]
    assert list(systems(select(encoder, SYSTEMS["llm"], ""), "item")) == ["ids", "llm"]


def test_id_of_the_cold_side_stays_where_nothing_else_tells_entities_apart(cold_benches):
    encoder = cold_benches["cold_items"].bench.assembly.encoder
    bare = select(encoder, frozenset(), "item")
    some = select(bare, SYSTEMS["both"], "item")
    assert [f.name for f in some.item.fields] == ["item_id"]
    users = select(encoder, SYSTEMS["both"], "user")
    assert [f.name for f in users.user.fields] == ["age", "text"]
    assert users.item.fields[0].name == "item_id"


def test_model_of_ids_says_the_same_whatever_tables_and_text_say(cold_benches):
    """Twins in tables and text only: the same ids and history give the same prediction."""
    cold = cold_benches["cold_items"]
    bench = restrict(cold.bench, SYSTEMS["ids"], "item")
    ((_, model, _),) = workbench.fit(bench, tuple(bench.assembly.types), [3])
    test = bench.data.take(cold.test[:50])
    logits = predict(model, test.inputs)
    other = {**test.inputs, "item": np.roll(test.inputs["item"], 1)}  # another new item
    for name, values in predict(model, other).items():
        np.testing.assert_array_equal(values, logits[name])
    full = restrict(cold.bench, SYSTEMS["both"], "item")
    ((_, model, _),) = workbench.fit(full, ("rating",), [3])
    inputs = full.data.take(cold.test[:50]).inputs
    before = predict(model, inputs)
    after = predict(model, {**inputs, "item": np.roll(inputs["item"], 1)})
    assert np.abs(after["rating"] - before["rating"]).max() > 1e-4


def test_every_split_keeps_its_rows_apart(cold_benches):
    for split, cold in cold_benches.items():
        bench = cold.bench
        side = split.removeprefix("cold_")[:-1]
        groups = [set(cold.entities.iloc[r]) for r in (bench.training_rows, bench.validation_rows,
                                                       cold.test)]  # fmt: skip
        assert all(groups)
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
        assert cold.side == side
    assert isinstance(cold_benches["cold_items"].bench.assembly.types["next_item"], GroupRanking)
    assert type(cold_benches["cold_users"].bench.assembly.types["next_item"]) is Ranking


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_head_starts_from_training_means_of_the_side_that_is_known(
    cold_run, cold_world, cold_vectors, split
):
    task = DOMAIN.tasks["rating"].model_copy(update={"offset": "running_mean"})
    domain = DOMAIN.model_copy(update={"tasks": {**DOMAIN.tasks, "rating": task}})

    def prepared(world):
        held = make_cold(world, domain, split, (0.1, 0.2), 0)
        return held, prepare(cold_run, SHORT, held, cold_vectors, 0)

    held, cold = prepared(cold_world)
    data, means = cold.bench.data, cold.bench.assembly.offsets["rating"]
    known = {"cold_items": "user", "cold_users": "item"}[split]
    k = {"user": means.user_k, "item": means.item_k}
    assert k[known] is not None and k[OTHER[known]] is None
    rating, ids = data.labels["rating"].astype("float64"), data.inputs[known]
    training = np.isin(np.arange(len(data)), cold.bench.training_rows) & data.masks["rating"]
    kind, mean = cold.bench.assembly.types["rating"], rating[training].mean()
    for row in np.flatnonzero(data.masks["rating"])[::25]:
        others = training & (ids == ids[row]) & (np.arange(len(data)) != row)
        add = (rating[others] - mean).sum() / (others.sum() + k[known]) if ids[row] else 0.0
        expected = kind.logits(np.clip(mean + add, rating[training].min(), rating[training].max()))
        assert data.inputs["rating_offset"][row, 0] == pytest.approx(expected, abs=1e-4)
    examples, key = cold_world.examples.copy(), f"{held.side}_id"
    planted = examples[key].isin(held.groups.index[held.groups == "test"])
    examples.loc[planted & examples["rating"].notna(), "rating"] = 1.0
    _, other = prepared(replace(cold_world, examples=examples))
    assert (other.bench.data.labels["rating"] != data.labels["rating"]).any()
    np.testing.assert_array_equal(
        other.bench.data.inputs["rating_offset"], data.inputs["rating_offset"]
    )


def test_new_users_have_no_history_so_no_row_has_one(cold_benches):
    with_history = {
        split: cold.bench.data.inputs["history_items"].any(axis=1).mean()
        for split, cold in cold_benches.items()
    }
    assert with_history["cold_users"] == 0
    assert with_history["cold_items"] > 0.5
    assert not cold_benches["cold_users"].bench.training.inputs["history_events"].any()
