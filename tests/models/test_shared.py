import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from mtrec.config import Shared
from mtrec.models.shared import SHARED_LAYERS
from mtrec.models.shared.mmoe import MMoE
from mtrec.models.shared.shared_bottom import SharedBottom

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(5, 2, 6)).astype("float32")  # 5 rows, 2 groups, width 6
GROUPS = [0, 1, 1]


def built(name, text_width=4):
    layer = SHARED_LAYERS[name](GROUPS, Shared(experts=3, units=7), text_width)
    layer(INPUTS)
    return layer


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_output_has_one_row_per_task(name):
    assert built(name)(INPUTS).shape == (5, 3, 7)


def test_mmoe_equals_its_formula_in_numpy():
    layer = built("mmoe")
    layer.text.assign(RNG.normal(size=(3, 4)))
    kernel, bias, gates, text, u = (
        np.array(v) for v in (layer.kernel, layer.bias, layer.gates, layer.text, layer.text_gate)
    )
    expected = np.zeros((5, 3, 7))
    for t, g in enumerate(GROUPS):
        x = INPUTS[:, g]
        gate = softmax(x @ gates[t] + text[t] @ u, axis=1)
        experts = np.stack([np.maximum(x @ kernel[e] + bias[e], 0) for e in range(3)], axis=1)
        expected[:, t] = (gate[:, :, None] * experts).sum(axis=1)
    np.testing.assert_allclose(layer(INPUTS), expected, rtol=1e-4, atol=1e-5)


def test_mmoe_with_one_expert_is_a_shared_bottom():
    mmoe, bottom = MMoE(GROUPS, experts=1, units=7), SharedBottom(GROUPS, units=7)
    mmoe(INPUTS), bottom(INPUTS)
    bottom.bottom.kernel.assign(mmoe.kernel[0])
    bottom.bottom.bias.assign(mmoe.bias[0])
    np.testing.assert_allclose(mmoe(INPUTS), bottom(INPUTS), rtol=1e-5, atol=1e-6)


def test_gates_sum_to_one():
    np.testing.assert_allclose(np.sum(built("mmoe").gate(INPUTS), axis=2), 1.0, rtol=1e-5)


def test_tasks_with_the_same_text_and_gate_mix_alike():
    layer = built("mmoe")
    layer.gates.assign(np.zeros(layer.gates.shape))
    layer.text.assign([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    gates = np.array(layer.gate(INPUTS))
    np.testing.assert_allclose(gates[:, 1], gates[:, 2])
    assert not np.allclose(gates[:, 0], gates[:, 1])


def test_a_tasks_loss_reaches_its_own_gate_and_no_other():
    layer = built("mmoe")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(INPUTS)[:, 1] ** 2)
    gradient = tape.gradient(loss, layer.gates.value).numpy()
    assert np.abs(gradient[1]).max() > 0
    assert np.abs(gradient[[0, 2]]).max() == 0


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_permuting_the_tasks_permutes_the_outputs(name):
    layer = built(name, text_width=0)
    other = type(layer).from_config({**layer.get_config(), "groups": [1, 0, 1]})
    other(INPUTS)
    order = [1, 0, 2]
    values = [v[order] if "gates" in w.path else v for w, v in
              zip(layer.weights, layer.get_weights(), strict=True)]  # fmt: skip
    other.set_weights(values)
    np.testing.assert_allclose(other(INPUTS), np.array(layer(INPUTS))[:, order], rtol=1e-5)


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_layer_survives_its_configuration(name, tmp_path):
    inputs = keras.Input((2, 6))
    model = keras.Model(inputs, SHARED_LAYERS[name](GROUPS, Shared(experts=3, units=7), 4)(inputs))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(again(INPUTS), model(INPUTS))
