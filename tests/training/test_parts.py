import numpy as np
import pytest
import tensorflow as tf

from mtrec.models.twins import build_models
from mtrec.training.parts import Forward, complete, cut, divide, weighted
from tests.conftest import SIZES


@pytest.fixture(scope="module")
def model(assembly, vectors):
    shared = SIZES.shared.model_copy(update={"gate_dropout": 0.3, "load_balance": 0.1})
    sizes = SIZES.model_copy(update={"shared": shared})
    model = build_models(assembly, vectors["tasks"], sizes, seed=3)["joint"]
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # heads of zeros have no gradient below them
        variable.assign(variable + rng.normal(size=variable.shape) * 0.1)
    return model


@pytest.fixture(scope="module")
def batch(data):
    return {name: tf.constant(values[:64]) for name, values in data.inputs.items()}


def restored(model, call):
    """What ``call`` returns from the model's present weights and streams of random numbers."""
    state = [np.asarray(variable) for variable in model.variables]
    try:
        return call()
    finally:
        for variable, value in zip(model.variables, state, strict=True):
            variable.assign(value)


def test_parts_compute_what_the_model_does_dropout_and_gate_losses_included(model, batch):
    whole, losses = restored(model, lambda: (model(batch, training=True), [*model.losses]))
    parts = cut(model)
    run = restored(model, lambda: Forward(parts, divide(model), batch))
    for name, logits in whole.items():
        np.testing.assert_allclose(run.logits[name], logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.shared.losses, losses, rtol=1e-5)


def test_ways_back_meet_the_gradient_of_the_whole_model(model, batch):
    variables, names = divide(model), list(model.output)
    weights = np.linspace(0.5, 2.0, len(names)).astype("float32")

    def whole():
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
            means = [tf.reduce_mean(logits[name] ** 2) for name in names]
            total = tf.tensordot(weights, tf.stack(means), 1) + tf.add_n([*model.losses])
        sources = [*variables.shared, *variables.owned]
        return complete(tape.gradient(total, sources), sources)

    def pieces():
        run = Forward(cut(model), variables, batch)
        with run.above:
            means = [tf.reduce_mean(run.logits[name] ** 2) for name in names]
        found = [run.to_seam(mean) for mean in means]
        at_seam = weighted([gradients for gradients, _ in found], weights)
        above = weighted([own for _, own in found], weights)
        return [
            *run.to_shared(at_seam), *run.to_private(at_seam), *complete(above, variables.above)
        ]  # fmt: skip

    for ours, theirs in zip(restored(model, pieces), restored(model, whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_every_trainable_variable_is_in_one_part(model):
    variables = divide(model)
    found = [id(variable) for variable in [*variables.shared, *variables.owned]]
    assert sorted(found) == sorted(id(variable) for variable in model.trainable_variables)
    assert len(variables.private) == 1


def test_cutting_leaves_the_model_as_it_was(model):
    before = model.get_config()
    cut(model)
    assert model.get_config() == before
