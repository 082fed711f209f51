import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.text import backbone
from mtrec.text.lora import Adapters
from mtrec.text.weights import WeightsError
from tests import tiny_bert
from tests.language_model import PRESET, WIDTH


@pytest.fixture(params=["decoder", "encoder"])
def model(request, tiny_raw, tmp_path):
    """Three blocks of random weights."""
    if request.param == "decoder":
        return backbone.load(PRESET, tiny_raw, "float32")
    return backbone.load(str(tiny_bert.write(tmp_path)), tiny_raw, "float32")


TOKENS = np.array([[4, 5, 6, 7, 8], [9, 5, 4, 0, 0]], "int32")
PADDING = TOKENS > 0


def below(model, block=1):
    return np.asarray(backbone.hidden_states(model, TOKENS, PADDING, block))


def above(model, block=3):
    return np.asarray(backbone.hidden_states(model, TOKENS, PADDING, block))


def perturbed(adapters, seed=0):
    rng = np.random.default_rng(seed)
    for variable in adapters.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))
    return adapters


def test_adapters_that_have_learnt_nothing_give_the_frozen_models_bits(model):
    found = np.asarray(Adapters(model, 1, 2)(below(model), PADDING))
    np.testing.assert_array_equal(found[PADDING], above(model)[PADDING])


def test_an_adapted_block_is_the_block_with_the_changed_kernels(model):
    """The changes, computed in NumPy, are written into the kernels of the model itself."""
    adapters = perturbed(Adapters(model, 1, 2, rank=3, alpha=6.0))
    found, arrays = np.asarray(adapters(below(model), PADDING)), adapters.arrays()
    assert not np.allclose(found, above(model))
    for number in (2, 3):
        for layer in model.backbone.transformer_layers[number - 1]._flatten_layers():
            if layer.name in ("query", "value"):
                path = f"block_{number}/{layer.name}"
                change = 6.0 / 3 * arrays[f"{path}/down"] @ arrays[f"{path}/up"]
                kernel = np.asarray(layer.kernel)
                layer.kernel.assign(kernel + change.reshape(kernel.shape))
    np.testing.assert_allclose(found[PADDING], above(model)[PADDING], atol=1e-5)


def test_merged_kernels_give_the_adapted_states_without_adapters(model):
    adapters, states = perturbed(Adapters(model, 1, 2)), below(model)
    before = np.asarray(adapters(states, PADDING))
    adapters.merge()
    np.testing.assert_array_equal(np.asarray(adapters(states, PADDING)), before)
    np.testing.assert_allclose(above(model)[PADDING], before[PADDING], atol=1e-5)


def test_the_frozen_model_is_left_as_it_was(model):
    before = above(model)
    perturbed(Adapters(model, 1, 2))(below(model), PADDING)
    np.testing.assert_array_equal(above(model), before)


def test_a_gradient_reaches_the_adapters_alone_and_training_moves_only_them(model):
    adapters, states = Adapters(model, 1, 2), below(model)
    assert len(adapters.variables) == len(adapters.trainable_variables) == 2 * 2 * 2
    mine = {id(variable) for variable in model.backbone.variables}
    assert not mine & {id(variable) for variable in adapters.variables}
    before = [np.asarray(variable) for variable in model.backbone.variables]
    optimizer = keras.optimizers.AdamW(0.1)
    for _ in range(2):  # at B = 0 the gradient of A is zero
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                adapters(states, PADDING)[PADDING] ** 2 * np.arange(1, 9.0)[:, None]
            )
        gradients = tape.gradient(loss, adapters.trainable_variables)
        optimizer.apply(gradients, adapters.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    for old, variable in zip(before, model.backbone.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), old)


def test_gradients_are_those_of_finite_differences(model):
    adapters, states = perturbed(Adapters(model, 1, 2)), below(model)
    weights = np.random.default_rng(1).normal(size=states.shape).astype("float32")

    def loss():
        return tf.reduce_sum((adapters(states, PADDING) * weights)[PADDING])

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(
        adapters.trainable_variables, tape.gradient(value, adapters.trainable_variables),
        strict=True,
    ):  # fmt: skip
        direction = np.sign(np.asarray(gradient)).astype("float32")
        start, step = np.asarray(variable), 1e-3
        variable.assign(start + step * direction)
        high = float(loss())
        variable.assign(start - step * direction)
        slope = (high - float(loss())) / (2 * step)
        variable.assign(start)
        assert slope == pytest.approx(float(np.abs(gradient).sum()), rel=0.05)


def test_a_reload_gives_the_same_bits_and_each_layer_its_own_adapter(model, tmp_path):
    adapters, states = perturbed(Adapters(model, 1, 2)), below(model)
    adapters.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as found:
        assert set(found.files) == {
            "alpha", *(f"block_{n}/{layer}/{part}" for n in (2, 3) for layer in ("query", "value")
                       for part in ("down", "up")),
        }  # fmt: skip
    other = perturbed(Adapters(model, 1, 2, seed=9), seed=9)
    other.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(
        np.asarray(other(states, PADDING)), np.asarray(adapters(states, PADDING))
    )


def test_adapters_of_other_blocks_ranks_or_torn_files_are_refused(model, tmp_path):
    path = tmp_path / "a.npz"
    Adapters(model, 1, 2).save(path)
    for other in ({"below": 2, "blocks": 1}, {"below": 1, "blocks": 2, "rank": 4},
                  {"below": 1, "blocks": 2, "alpha": 1.0}):  # fmt: skip
        with pytest.raises(WeightsError, match="of other blocks or of another rank"):
            Adapters(model, **other).load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="no readable adapters"):
        Adapters(model, 1, 2).load(path)
    with pytest.raises(WeightsError, match="no readable adapters"):
        Adapters(model, 1, 2).load(tmp_path / "none.npz")


def test_blocks_and_layers_that_are_not_there_are_refused(model):
    with pytest.raises(ValueError, match="blocks 2 to 4 of a model that has 3"):
        Adapters(model, 1, 3)
    with pytest.raises(ValueError, match="blocks 1 to 3"):
        Adapters(model, 0, 3)
    with pytest.raises(ValueError, match="block 2 has no layer 'gate'"):
        Adapters(model, 1, 2, targets=("gate",))


@pytest.mark.parametrize("targets", [("key", "attention_output")])
def test_other_kernels_can_be_changed(model, targets):
    adapters = perturbed(Adapters(model, 1, 2, targets=targets))
    assert np.asarray(adapters(below(model), PADDING)).shape == (
        *TOKENS.shape,
        below(model).shape[-1],
    )


def test_the_tiny_decoder_is_grouped_so_that_query_and_value_differ_in_width(tiny_raw):
    adapters = Adapters(backbone.load(PRESET, tiny_raw, "float32"), 1, 1)
    assert [variable.shape[-1] for variable in adapters.up] == [WIDTH, WIDTH // 2]
