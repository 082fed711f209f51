"""Parts of a model are found in its graph, and building one leaves no trace in the process."""

import random
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mtrec.models import twins
from mtrec.models.encoders import EntityEncoder
from mtrec.models.model import MultiTaskModel
from mtrec.models.shared import make_shared
from mtrec.models.store import load_model, save_model
from mtrec.training.parts import Forward, complete, cut, divide, weighted
from tests.conftest import SIZES, TASKS

OLD = Path(__file__).with_name("saved_before_parts.keras")  # written when parts went by names
CATEGORY = {"name": "id", "kind": "categorical", "rows": 9, "size": 9, "width": 9}


def odd():
    """A model whose layers have misleading names; task b reads an input by a layer of its own."""
    inputs = {
        "user": keras.Input((), dtype="int32", name="user"),
        "words": keras.Input((3,), name="words"),
        "start": keras.Input((2,), name="start"),
    }
    encoder = EntityEncoder([CATEGORY], 4, name="x1")
    states = ops.stack([encoder(inputs["user"])], axis=1)
    layer = make_shared(SIZES.shared.model_copy(update={"layer": "mmoe"}), [0, 0], 0)
    a, b = ops.unstack(keras.layers.Dropout(0.0, name="x2")(layer(states)), axis=1)
    reader = keras.layers.Dense(4, activation="tanh", name="x3")
    towers = [keras.layers.Dense(3, name=name) for name in ("shared_tower", "a_head")]
    heads = [keras.layers.Dense(2, name=name) for name in ("a_tower", "x4")]
    outputs = {
        "a": heads[0](towers[0](a)) + inputs["start"],
        "b": heads[1](towers[1](ops.concatenate([b, reader(inputs["words"])], axis=-1))),
    }
    model = MultiTaskModel(inputs, outputs, name="odd")
    return model, encoder, layer, reader, towers, heads


def test_parts_are_found_whatever_the_layers_are_called():
    model, encoder, layer, reader, towers, heads = odd()
    assert model.encoders == {"user": encoder}
    assert model.shared is layer
    assert model.towers == dict(zip("ab", towers, strict=True))
    assert model.heads == dict(zip("ab", heads, strict=True))
    assert model.owned == {"a": (towers[0], heads[0]), "b": (reader, towers[1], heads[1])}
    assert [part.inputs for part in model.tasks.values()] == [("start",), ("words",)]
    assert model.representation.shape == (None, 1, 4)
    assert model.only("b").owned == {"b": model.owned["b"]}


def test_what_a_task_reads_itself_is_trained_with_the_task_alone():
    model, *_, reader, _, _ = odd()
    variables = divide(model)
    above = {id(variable) for variable in variables.above}
    assert all(id(variable) in above for variable in reader.trainable_variables)
    rng = np.random.default_rng(0)
    batch = {
        "user": tf.constant([1, 2, 3]),
        "words": tf.constant(rng.normal(size=(3, 3)), "float32"),
        "start": tf.constant(rng.normal(size=(3, 2)), "float32"),
    }
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_mean(logits**2) for logits in model(batch).values()])
    sources = [*variables.shared, *variables.owned]
    whole = complete(tape.gradient(total, sources), sources)
    run = Forward(cut(model), variables, batch)
    with run.above:
        means = [tf.reduce_mean(logits**2) for logits in run.logits.values()]
    found = [run.to_seam(mean) for mean in means]
    at_seam, above = (weighted([pair[k] for pair in found], [1.0, 1.0]) for k in range(2))
    pieces = [
        *run.to_shared(at_seam), *run.to_private(at_seam), *complete(above, variables.above)
    ]  # fmt: skip
    for ours, theirs in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    own = {id(variable) for variable in reader.trainable_variables}
    of_a = zip(complete(found[0][1], variables.above), variables.above, strict=True)
    assert not any(np.any(gradient) for gradient, variable in of_a if id(variable) in own)


def test_a_catalogue_is_read_past_the_shared_layer(models):
    part = models["joint"].tasks["next_item"]
    assert [table.shape for table in part.tables] == [(20, SIZES.width)]
    assert part.inputs == ()
    assert set(models["joint"].tasks) == set(TASKS)
    assert all(not one.tables for task, one in models["joint"].tasks.items() if task != "next_item")


def test_a_model_without_a_shared_layer_has_no_parts():
    given = keras.Input((2,), name="user")
    model = MultiTaskModel({"user": given}, {"a": keras.layers.Dense(1)(given)}, name="bare")
    with pytest.raises(ValueError, match="'bare' has 0 shared layers, and needs one"):
        _ = model.tasks


def test_a_task_that_reads_the_states_of_two_is_refused():
    given = keras.Input((1, 3), name="user")
    layer = make_shared(SIZES.shared.model_copy(update={"layer": "shared_bottom"}), [0, 0], 0)
    a, b = ops.unstack(layer(given), axis=1)
    model = MultiTaskModel({"user": given}, {"a": keras.layers.Dense(1)(a + b)})
    with pytest.raises(ValueError, match="follow from 2 states of the shared layer"):
        _ = model.tasks


def test_a_file_from_before_models_had_parts_has_them(tmp_path):
    model = load_model(OLD)
    assert list(model.tasks) == ["rating", "like", "next_item"]
    assert model.tasks["rating"].inputs == ("rating_offset",)
    assert len(model.tasks["next_item"].tables) == 1
    assert {*model.encoders} == {"user", "item"}
    rng = np.random.default_rng(0)
    inputs = {
        "user": rng.integers(0, 30, 4).astype("int32"),
        "item": rng.integers(0, 20, 4).astype("int32"),
        "history_items": rng.integers(0, 20, (4, 4)).astype("int32"),
        "history_events": rng.normal(size=(4, 4, 2)).astype("float32"),
        "user_context": rng.normal(size=(4, 1, 2)).astype("float32"),
        "rating_offset": rng.normal(size=(4, 1)).astype("float32"),
    }
    graph = keras.models.load_model(OLD, safe_mode=True)
    whole = graph(inputs, training=False)
    parts = cut(model).predict({k: tf.constant(v) for k, v in inputs.items()}, dict.fromkeys(whole))
    for task, logits in model(inputs, training=False).items():
        np.testing.assert_array_equal(logits, whole[task])
        np.testing.assert_allclose(parts[task], logits, rtol=1e-5, atol=1e-6)
    save_model(model, tmp_path / "again.keras")
    assert type(keras.models.load_model(tmp_path / "again.keras")) is type(graph)


def test_building_changes_no_name_no_stream_and_no_policy_of_the_process(assembly, vectors):
    def next_number():
        return int(keras.layers.Dense(1).name.removeprefix("dense_"))

    def draws():
        keras.utils.set_random_seed(5)
        yield random.random(), np.random.rand(), float(keras.random.uniform(()))  # noqa: NPY002
        yield random.random(), np.random.rand(), float(keras.random.uniform(()))  # noqa: NPY002

    undisturbed = [*draws()]
    keras.layers.Dense(1)
    before, stream = next_number(), draws()
    sizes = SIZES.model_copy(update={"dropout": 0.5, "precision": "mixed_bfloat16"})
    found = [next(stream)]
    names = ("like", "next_item")
    model = twins.build_some(assembly, names, vectors["tasks"], sizes, seed=3)
    found.append(next(stream))
    assert found == undisturbed
    assert next_number() == before + 1
    assert keras.config.dtype_policy().name == "float32"
    assert model.towers["like"].dtype_policy.name == "mixed_bfloat16"


def test_what_the_process_did_before_changes_nothing_of_a_model(assembly, vectors):
    one = twins.build_some(assembly, ("like",), vectors["tasks"], SIZES, seed=3)
    keras.utils.set_random_seed(7)
    keras.layers.LSTM(3)
    ops.stack([keras.Input((2,)), keras.Input((2,))])
    again = twins.build_some(assembly, ("like",), vectors["tasks"], SIZES, seed=3)
    assert one.get_config() == again.get_config()
    assert [v.path for v in one.variables] == [v.path for v in again.variables]
    for ours, theirs in zip(one.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_process_is_as_it_was_after_a_model_that_cannot_be_built(assembly, vectors):
    broken = {"width": "eight", "precision": "mixed_bfloat16"}
    state = random.getstate()
    with pytest.raises((TypeError, ValueError)):
        twins.build_some(assembly, ("like",), vectors["tasks"], SIZES.model_copy(update=broken), 3)
    assert random.getstate() == state
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("encoder", ["lstm", "attention"])
def test_a_loaded_model_computes_in_the_precision_it_was_built_in(assembly, vectors, tmp_path,
                                                                  encoder):  # fmt: skip
    history = SIZES.history.model_copy(update={"encoder": encoder})
    sizes = SIZES.model_copy(update={"precision": "mixed_bfloat16", "history": history})
    model = twins.build_some(assembly, ("like",), vectors["tasks"], sizes, seed=3)
    save_model(model, tmp_path / "like.keras")
    built, loaded = (
        {layer.path: layer.dtype_policy.name for layer in one._flatten_layers(include_self=False)}
        for one in (model, load_model(tmp_path / "like.keras"))
    )
    assert built == loaded
    assert "mixed_bfloat16" in built.values()
