"""Shared layers against independent NumPy, and the properties that every one must have."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from scipy.special import softmax
from scipy.stats import entropy

from mtrec.models.shared import make_shared
from mtrec.models.shared.adatt import AdaTT
from mtrec.models.shared.base import SharedLayer
from mtrec.models.shared.cross_stitch import CrossStitch, stitches
from mtrec.models.shared.gates import imbalance, mixture, utilisation
from mtrec.models.shared.mmoe import MMoE
from mtrec.models.shared.star import Star
from mtrec.models.shared.task_conditioned import TaskConditioned
from mtrec.registry import SHARED_LAYERS
from mtrec.settings import Shared

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(5, 2, 6)).astype("float32")  # 5 rows, 2 groups, width 6
GROUPS = [0, 1, 1]
TASKS, UNITS = 3, 7
TEXT = RNG.normal(size=(TASKS, 4)).astype("float32")
SIZES = Shared(experts=3, private_experts=2, levels=3, units=UNITS)
GATED = ("mmoe", "cgc", "ple", "adatt", "task_conditioned")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def built(name: str, text_width: int = 4, **sizes) -> SharedLayer:
    """A layer with random weights everywhere: nothing is hidden by a zero or by symmetry."""
    layer = make_shared(SIZES.model_copy(update={"layer": name, **sizes}), GROUPS, text_width)
    layer(INPUTS)
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    if hasattr(layer, "text") and text_width:
        layer.text.assign(TEXT)
    return layer


# --- the same formulas in NumPy, one task at a time ------------------------------------------


def relu(x, kernel, bias):
    return np.maximum(x @ np.array(kernel) + np.array(bias), 0)


def blend(weights, outputs):
    return sum(weights[..., n, None] * output for n, output in enumerate(outputs))


def numpy_shared_bottom(layer, x, task):
    return relu(x, layer.bottom.kernel, layer.bottom.bias)


def numpy_cross_stitch(layer, x, task):
    states = [x] * TASKS
    for kernel, bias, stitch in zip(layer.kernels, layer.biases, layer.stitches, strict=True):
        outs = [relu(states[s], kernel[s], bias[s]) for s in range(TASKS)]
        stitch = np.array(stitch)
        states = [sum(stitch[t, s] * outs[s] for s in range(TASKS)) for t in range(TASKS)]
    return states[task]


def numpy_mmoe(layer, x, task):
    gate = softmax(x @ np.array(layer.gates[task]) + TEXT[task] @ np.array(layer.text_gate), -1)
    return blend(gate, [relu(x, layer.kernel[e], layer.bias[e]) for e in range(3)])


def numpy_levels(layer, x, task, fuse):
    """Levels of private and shared experts, of which ``fuse`` makes the next states."""
    states, common = [x] * TASKS, x
    for level in range(layer.levels):
        own = [
            [
                relu(
                    states[t], layer.private_kernels[level][t, p], layer.private_biases[level][t, p]
                )
                for p in range(2)
            ]
            for t in range(TASKS)
        ]
        shared = [
            relu(common, layer.shared_kernels[level][e], layer.shared_biases[level][e])
            for e in range(3)
        ]
        states, common = fuse(level, states, common, own, shared)
    return states[task]


def numpy_ple(layer, x, task):
    def fuse(level, states, common, own, shared):
        following = []
        for t in range(TASKS):
            text = TEXT[t] @ np.array(layer.text_gates[level])
            gate = softmax(states[t] @ np.array(layer.gates[level][t]) + text, -1)
            following.append(blend(gate, own[t] + shared))
        if level == layer.levels - 1:
            return following, None
        gate = softmax(common @ np.array(layer.shared_gates[level][0]), -1)
        return following, blend(gate, sum(own, []) + shared)

    return numpy_levels(layer, x, task, fuse)


def numpy_adatt(layer, x, task):
    def fuse(level, states, common, own, shared):
        everything, following = sum(own, []) + shared, []
        for t in range(TASKS):
            text = TEXT[t] @ np.array(layer.text_gates[level])
            gate = softmax(states[t] @ np.array(layer.gates[level][t]) + text, -1)
            residual = blend(np.array(layer.residuals[level][t]), own[t])
            following.append(blend(gate, everything) + residual)
        if level == layer.levels - 1:
            return following, None
        gate = softmax(common @ np.array(layer.shared_gates[level][0]), -1)
        residual = blend(np.array(layer.shared_residuals[level][0]), shared)
        return following, blend(gate, everything) + residual

    return numpy_levels(layer, x, task, fuse)


def numpy_star(layer, x, task):
    domain = GROUPS[task]
    for level in range(layer.levels):
        kernel = np.array(layer.kernels[level]) * np.array(layer.domain_kernels[level][domain])
        bias = np.array(layer.biases[level]) + np.array(layer.domain_biases[level][domain])
        x = relu(x, kernel, bias)
    return x


def numpy_task_conditioned(layer, x, task):
    p, q, c, u = (
        np.array(v)
        for v in (layer.input_factor, layer.text_factor, layer.rank_gate, layer.text_gate)
    )
    v = TEXT[task]
    gate = softmax(((x @ p) * (v @ q)) @ c + v @ u, -1)
    return blend(gate, [relu(x, layer.kernel[e], layer.bias[e]) for e in range(3)])


NUMPY = {
    "shared_bottom": numpy_shared_bottom,
    "cross_stitch": numpy_cross_stitch,
    "mmoe": numpy_mmoe,
    "cgc": numpy_ple,
    "ple": numpy_ple,
    "adatt": numpy_adatt,
    "star": numpy_star,
    "task_conditioned": numpy_task_conditioned,
}


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_layer_equals_its_formula_in_numpy(name):
    layer = built(name)
    expected = [NUMPY[name](layer, INPUTS[:, g], t) for t, g in enumerate(GROUPS)]
    np.testing.assert_allclose(layer(INPUTS), np.stack(expected, axis=1), **CLOSE)


# --- what every layer must do ----------------------------------------------------------------


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_output_has_one_row_per_task(name):
    layer = built(name)
    assert layer(INPUTS).shape == (5, TASKS, UNITS)
    assert layer.compute_output_shape((None, 2, 6)) == (None, TASKS, UNITS)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_a_task_depends_on_its_own_groups_input_alone(name, training):
    layer, inputs = built(name, gate_dropout=0.2), tf.constant(INPUTS)
    for task, group in enumerate(GROUPS):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = tf.reduce_sum(layer(inputs, training=training)[:, task] ** 2)
        gradient = tape.gradient(output, inputs).numpy()
        assert np.abs(gradient[:, group]).max() > 0
        assert np.abs(gradient[:, 1 - group]).max() == 0


def task_gradients(layer, task):
    """Gradient of one task's loss by variable id."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(INPUTS)[:, task] ** 2)
    variables = layer.trainable_variables
    found = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
    return {id(v): tf.convert_to_tensor(g).numpy() for v, g in zip(variables, found, strict=True)}


@pytest.mark.parametrize("experts, private_experts", [(3, 2), (3, 1), (3, 0), (0, 2)])
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("name", ["cross_stitch", "ple", "adatt", "star"])
def test_a_tasks_loss_stays_out_of_what_is_private_to_others(
    name, levels, experts, private_experts
):
    layer = built(name, levels=levels, experts=experts, private_experts=private_experts)
    check_private(layer)


@pytest.mark.parametrize("name", ["shared_bottom", "mmoe", "task_conditioned"])
def test_a_tasks_loss_stays_out_of_what_is_private_to_others_in_flat_layers(name):
    check_private(built(name))


def test_domains_of_one_task_each_are_private():
    layer = Star([0, 1, 1], UNITS, domains=[0, 1, 2])
    layer(INPUTS)
    assert len(layer.private) == 4
    check_private(layer)


def check_private(layer):
    private = {id(variable) for variable in layer.private}
    assert len(private) == len(layer.private)
    reached = {id(v): [] for v in layer.trainable_variables}
    for task in range(TASKS):
        for key, gradient in task_gradients(layer, task).items():
            reached[key].append(gradient)
    for variable in layer.trainable_variables:
        if id(variable) in private:
            for task, gradient in enumerate(reached[id(variable)]):
                others = np.delete(gradient, task, axis=0)
                assert np.abs(gradient[task]).max() > 0, variable.path
                assert np.abs(others).max() == 0, variable.path
        else:
            assert all(np.abs(g).max() > 0 for g in reached[id(variable)]), variable.path
            # Nothing that could be private is missing from the list.
            rows = np.abs(reached[id(variable)]).reshape(TASKS, variable.shape[0], -1).max(axis=2)
            assert rows.shape[1] != TASKS or np.any(rows[~np.eye(TASKS, dtype=bool)] > 0), (
                variable.path
            )


def test_private_parts_by_name():
    names = {name: sorted(v.name for v in built(name, levels=2).private) for name in SHARED_LAYERS}
    assert names == {
        "shared_bottom": [],
        "cross_stitch": ["stitch_1"],
        "mmoe": ["gates"],
        "cgc": ["gates_0", "private_0", "private_0_bias"],
        "ple": ["gates_0", "gates_1", "private_1", "private_1_bias"],
        "adatt": ["gates_1", "residual_1"],
        "star": [],
        "task_conditioned": [],
    }


def permuted(variable, order, layer):
    """A variable's value with the tasks in another order."""
    value, name = np.array(variable), re.sub(r"_\d+", "", variable.name)
    private = getattr(layer, "private_experts", 0)
    columns = [t * private + p for t in order for p in range(private)]
    columns += range(TASKS * private, getattr(layer, "all_experts", 0))
    if name in ("gates", "private", "private_bias", "networks", "networks_bias", "residual",
                "task_text", "stitch"):  # fmt: skip
        value = value[order]
    if name == "stitch":
        value = value[:, order]
    if name == "shared_gate" or (isinstance(layer, AdaTT) and name in ("gates", "text_gate")):
        value = value[..., columns]
    return value


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_permuting_the_tasks_permutes_the_outputs(name):
    layer, order = built(name), [1, 0, 2]
    config = layer.get_config()
    config |= {key: [config[key][t] for t in order] for key in ("groups", "domains")
               if key in config}  # fmt: skip
    other = type(layer).from_config(config)
    other(INPUTS)
    other.set_weights([permuted(v, order, layer) for v in layer.weights])
    np.testing.assert_allclose(other(INPUTS), np.array(layer(INPUTS))[:, order], **CLOSE)


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_layer_survives_saving_and_its_configuration(name, tmp_path):
    sizes = SIZES.model_copy(
        update={"layer": name, "levels": 2, "gate_dropout": 0.1, "load_balance": 0.5}
    )
    inputs = keras.Input((2, 6))
    model = keras.Model(inputs, make_shared(sizes, GROUPS, 4)(inputs))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(again(INPUTS), model(INPUTS))
    made, loaded = model.get_layer("shared"), again.get_layer("shared")
    for argument in ("groups", "units", "experts", "private_experts", "levels", "text_width",
                     "gate_dropout", "load_balance", "domains", "rank"):  # fmt: skip
        assert getattr(loaded, argument, None) == getattr(made, argument, None), argument


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_layer_trains_in_mixed_precision(name):
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = built(name, gate_dropout=0.2, load_balance=0.1)
    finally:
        keras.config.set_dtype_policy(before)
    assert layer(INPUTS).dtype == "bfloat16"
    variables = layer.trainable_variables
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(variables)

    def error(inputs, training):
        return tf.reduce_mean((tf.cast(layer(inputs, training=training), "float32") - 1) ** 2)

    @tf.function(input_signature=[tf.TensorSpec((None, 2, 6))])
    def step(inputs):
        with tf.GradientTape() as tape:
            loss = error(inputs, training=True) + sum(layer.losses)
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    before = float(error(INPUTS, training=False))
    for _ in range(60):
        assert all(np.isfinite(gradient).all() for gradient in step(INPUTS))
    assert float(error(INPUTS, training=False)) < before / 2


@pytest.mark.parametrize("name", SHARED_LAYERS)
def test_layer_works_for_a_single_task(name):
    layer = make_shared(SIZES.model_copy(update={"layer": name}), [0], 0)
    assert layer(INPUTS[:, :1]).shape == (5, 1, UNITS)
    assert np.isfinite(layer(INPUTS[:, :1])).all()


# --- one layer is another in a special case --------------------------------------------------


def test_mmoe_with_one_expert_is_a_shared_bottom():
    mmoe, bottom = built("mmoe", experts=1), built("shared_bottom")
    bottom.bottom.kernel.assign(mmoe.kernel[0])
    bottom.bottom.bias.assign(mmoe.bias[0])
    np.testing.assert_allclose(mmoe(INPUTS), bottom(INPUTS), **CLOSE)


@pytest.mark.parametrize("name", ["cgc", "adatt"])
def test_one_level_without_private_experts_is_mmoe(name):
    layer, mmoe = built(name, private_experts=0, levels=1), built("mmoe")
    mmoe.kernel.assign(layer.shared_kernels[0])
    mmoe.bias.assign(layer.shared_biases[0])
    mmoe.gates.assign(layer.gates[0])
    mmoe.text_gate.assign(layer.text_gates[0])
    np.testing.assert_allclose(layer(INPUTS), mmoe(INPUTS), **CLOSE)
    np.testing.assert_allclose(layer.gate(INPUTS), mmoe.gate(INPUTS), **CLOSE)


def test_ple_of_one_level_is_cgc():
    ple, cgc = built("ple", levels=1), built("cgc")
    cgc.set_weights(ple.get_weights())
    np.testing.assert_array_equal(ple(INPUTS), cgc(INPUTS))


def separate_networks(kernels, biases):
    """Outputs of one network per task, each on its own group."""
    outputs = []
    for task, group in enumerate(GROUPS):
        x = INPUTS[:, group]
        for kernel, bias in zip(kernels, biases, strict=True):
            x = relu(x, kernel[task], bias[task])
        outputs.append(x)
    return np.stack(outputs, axis=1)


def test_cross_stitch_with_identity_stitches_is_separate_networks():
    layer = built("cross_stitch")
    for stitch in layer.stitches:
        stitch.assign(np.eye(TASKS))
    np.testing.assert_allclose(
        layer(INPUTS), separate_networks(layer.kernels, layer.biases), **CLOSE
    )


def test_adatt_whose_gates_take_own_experts_only_is_separate_networks():
    layer = AdaTT(GROUPS, experts=0, units=UNITS, private_experts=1, levels=1, text_width=TASKS)
    layer(INPUTS)
    layer.text.assign(np.eye(TASKS))
    layer.text_gates[0].assign(1000 * np.eye(TASKS))
    networks = separate_networks([layer.private_kernels[0][:, 0]], [layer.private_biases[0][:, 0]])
    # Once through the gate, once through the residual.
    np.testing.assert_allclose(layer(INPUTS), 2 * networks, **CLOSE)


def test_ple_without_shared_experts_is_separate_networks():
    layer = built("ple", experts=0, private_experts=1, levels=2)
    kernels = [kernel[:, 0] for kernel in layer.private_kernels]
    biases = [bias[:, 0] for bias in layer.private_biases]
    np.testing.assert_allclose(layer(INPUTS), separate_networks(kernels, biases), **CLOSE)


def test_untrained_star_of_one_level_is_a_shared_bottom():
    star, bottom = Star(GROUPS, UNITS, levels=1), built("shared_bottom")
    star(INPUTS)
    bottom.bottom.kernel.assign(star.kernels[0])
    bottom.bottom.bias.assign(star.biases[0])
    np.testing.assert_allclose(star(INPUTS), bottom(INPUTS), **CLOSE)


def test_star_tells_the_domains_of_one_group_apart():
    layer = Star(GROUPS, UNITS, levels=1, domains=[0, 1, 2])
    layer(INPUTS)
    np.testing.assert_array_equal(layer(INPUTS)[:, 1], layer(INPUTS)[:, 2])
    layer.domain_biases[0].assign(np.arange(3)[:, None] * np.ones(UNITS))
    assert not np.allclose(layer(INPUTS)[:, 1], layer(INPUTS)[:, 2])


def test_stitches_start_with_rows_that_sum_to_one():
    assert stitches(3).tolist() == [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
    assert stitches(1).tolist() == [[1.0]]
    layer = CrossStitch(GROUPS, UNITS)
    layer(INPUTS)
    np.testing.assert_allclose(layer.stitches[0], stitches(3), rtol=1e-6)


# --- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mmoe", "cgc"])
def test_tasks_with_the_same_text_and_gate_mix_alike(name):
    layer = built(name, private_experts=0)
    gates = layer.gates if name == "mmoe" else layer.gates[0]
    gates.assign(np.zeros(gates.shape))
    layer.text.assign([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    mixed = np.array(layer.gate(INPUTS))
    np.testing.assert_array_equal(mixed[:, 1], mixed[:, 2])
    assert not np.allclose(mixed[:, 0], mixed[:, 1])


def test_task_conditioned_gives_tasks_of_the_same_text_the_same_output():
    layer = built("task_conditioned")
    outputs = np.array(layer(INPUTS))
    assert not np.allclose(outputs[:, 1], outputs[:, 2])
    layer.text.assign(TEXT[[0, 1, 1]])
    outputs = np.array(layer(INPUTS))
    np.testing.assert_array_equal(outputs[:, 1], outputs[:, 2])


@pytest.mark.parametrize("tasks, width, rows", [(1, 6, 5), (3, 6, 5), (7, 33, 64), (8, 96, 257)])
def test_a_task_added_by_its_text_leaves_the_others_as_they_were(tasks, width, rows):
    """To the last bits, which follow the size of a product on processors without AVX-512."""
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(rows, 2, width)).astype("float32")
    text = rng.normal(size=(tasks + 1, 13))
    groups = [task % 2 for task in range(tasks)]
    old = TaskConditioned(groups, 4, UNITS, 13)
    old(inputs)
    old.text.assign(text[:tasks])
    new = TaskConditioned.from_config({**old.get_config(), "groups": [*groups, 1]})
    new(inputs)
    for mine, theirs in zip(new.trainable_variables, old.trainable_variables, strict=True):
        mine.assign(theirs)
    new.text.assign(text)
    found = np.array(new(inputs))[:, :tasks]
    np.testing.assert_allclose(found, old(inputs), rtol=1e-5, atol=2e-6)


def test_task_conditioned_built_without_text_tells_tasks_apart_by_one_hot_rows():
    layer = built("task_conditioned", text_width=0)
    np.testing.assert_array_equal(layer.text, np.eye(TASKS))
    gates = np.array(layer.gate(INPUTS))
    assert not np.allclose(gates[:, 1], gates[:, 2])


# --- gates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GATED)
def test_gates_sum_to_one(name):
    gates = np.array(built(name).gate(INPUTS))
    assert gates.shape[:2] == (5, TASKS)
    np.testing.assert_allclose(gates.sum(axis=2), 1.0, rtol=1e-5)


def test_ple_gives_the_private_experts_of_others_no_weight():
    gates = np.array(built("ple").gate(INPUTS))
    for task in range(TASKS):
        others = [t * 2 + p for t in range(TASKS) if t != task for p in range(2)]
        assert gates[:, task, others].max() == 0
        assert gates[:, task, [task * 2, task * 2 + 1, 6, 7, 8]].min() > 0


@pytest.mark.parametrize("name", GATED)
def test_gate_dropout_is_off_at_inference(name):
    layer, plain = built(name, gate_dropout=0.5), built(name)
    plain.set_weights(layer.get_weights()[: len(plain.weights)])
    np.testing.assert_array_equal(layer(INPUTS, training=False), plain(INPUTS))
    np.testing.assert_array_equal(layer(INPUTS), layer(INPUTS))
    assert not np.allclose(layer(INPUTS, training=True), layer(INPUTS))


ALLOWED = np.array([[True, True, True, True], [True, False, True, True]])


@pytest.mark.parametrize("dropout", [0.3, 0.9, 1.0])
def test_gate_dropout_leaves_out_whole_experts_and_never_all_of_them(dropout):
    rows = 20_000
    generator = keras.random.SeedGenerator(0)
    logits = np.broadcast_to([[0.0, 0, 0, 0], [0, 90, 0, 0]], (rows, 2, 4))
    gates = np.array(mixture(logits, ALLOWED, dropout, generator))
    np.testing.assert_allclose(gates.sum(axis=2), 1.0, rtol=1e-5)
    assert gates[:, 1, 1].max() == 0  # not allowed, however large its logit
    kept = gates > 0
    for task, experts in enumerate([4, 3]):
        one, several = gates[:, task].max(axis=1), kept[:, task].sum(axis=1)
        np.testing.assert_allclose(one, 1 / several, rtol=1e-5)  # the rest share alike
        share = kept[:, task].sum() / rows / experts
        expected = 1 - dropout + dropout**experts / experts  # or the lucky one of all left out
        assert share == pytest.approx(expected, abs=0.01)


def test_gate_dropout_survives_saturated_gates():
    logits = np.broadcast_to([[1e4, 0.0, 0.0]], (1000, 1, 3))
    gates = np.array(mixture(logits, dropout=0.8, generator=keras.random.SeedGenerator(0)))
    assert np.isfinite(gates).all()
    np.testing.assert_allclose(gates.sum(axis=2), 1.0, rtol=1e-5)


def test_gate_dropout_is_drawn_from_the_seed():
    def draw():
        keras.utils.set_random_seed(3)
        return np.array(built("mmoe", gate_dropout=0.5)(INPUTS, training=True))

    np.testing.assert_array_equal(draw(), draw())


def test_imbalance_is_zero_for_even_use_even_if_tasks_specialise():
    assert float(imbalance(np.full((6, 4, 4), 0.25, "float32"))) == 0
    each_its_own = np.broadcast_to(np.eye(4, dtype="float32"), (6, 4, 4))
    assert float(imbalance(each_its_own)) == 0


def test_imbalance_is_the_squared_coefficient_of_variation():
    gates = softmax(3 * RNG.normal(size=(9, 3, 4)), axis=2).astype("float32")
    importance = gates.sum(axis=(0, 1))
    expected = np.var(importance) / np.mean(importance) ** 2
    assert float(imbalance(gates)) == pytest.approx(expected, rel=1e-4)
    one_for_all = np.broadcast_to(np.eye(4, dtype="float32")[0], (9, 3, 4))
    assert float(imbalance(one_for_all)) == pytest.approx(3)  # experts - 1


def test_imbalance_asks_no_more_of_a_private_expert_than_its_task_can_give():
    allowed = np.array([[True, False, True], [False, True, True]])  # two private, one shared
    even = np.broadcast_to(allowed / 2, (5, 2, 3)).astype("float32")
    assert float(imbalance(even, allowed)) == 0
    assert float(imbalance(even)) > 0.1


@pytest.mark.parametrize("name", GATED)
def test_load_balance_adds_its_loss_in_training_only(name):
    layer = built(name, load_balance=0.5, levels=1)
    layer(INPUTS)
    assert layer.losses == []
    layer(INPUTS, training=True)
    allowed = layer.place().any(axis=1) if name in ("cgc", "ple") else None
    expected = 0.5 * float(imbalance(layer.gate(INPUTS), allowed))
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-5)
    assert built(name).losses == []


def test_every_level_is_balanced():
    layer = built("ple", load_balance=0.5, levels=3)
    layer(INPUTS, training=True)
    assert len(layer.losses) == 3


@pytest.mark.parametrize("load_balance", [0.0, 0.1])
def test_load_balance_brings_collapsed_experts_back(load_balance):
    inputs = np.concatenate([INPUTS, np.ones((5, 2, 1), "float32")], axis=2)
    keras.utils.set_random_seed(0)
    layer = MMoE(GROUPS, 4, UNITS, load_balance=load_balance)
    layer(inputs)
    start = np.zeros(layer.gates.shape)
    start[:, -1, 0] = 5  # the constant input opens the first expert to all tasks
    layer.gates.assign(start)
    assert utilisation(layer.gate(inputs)).collapsed == (1, 2, 3)
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(inputs, training=True) - 1) ** 2) + sum(layer.losses)
        gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
        optimizer.apply(gradients, layer.trainable_variables)
    after = utilisation(layer.gate(inputs))
    if load_balance:
        assert after.collapsed == ()
        assert after.effective > 3.5
    else:
        assert after.effective < 2  # the task's loss alone leaves the work to one expert


def test_utilisation_equals_its_closed_form():
    gates = np.zeros((10, 2, 4))
    gates[:, 0] = [0.5, 0.5, 0, 0]
    gates[:5, 1], gates[5:, 1] = [1, 0, 0, 0], [0.96, 0, 0.04, 0]
    found = utilisation(gates)
    means = np.array([[0.5, 0.5, 0, 0], [0.98, 0, 0.02, 0]])
    np.testing.assert_allclose(found.by_task, means)
    np.testing.assert_allclose(found.load, means.mean(axis=0))
    np.testing.assert_allclose(found.effective_by_task, np.exp(entropy(means, axis=1)))
    assert found.effective == pytest.approx(np.exp(entropy(means.mean(axis=0))))
    assert found.effective_by_task[0] == pytest.approx(2)
    assert found.collapsed == (2, 3)  # 0.02 < 0.1 / 4, and nothing
    again = utilisation(means)
    np.testing.assert_allclose(again.load, found.load)
    table = found.table(["watch", "like"])
    assert list(table.index) == ["watch", "like", "all tasks"]
    assert table.loc["watch", "effective experts"] == pytest.approx(2)
    assert table.loc["like", "expert 3"] == pytest.approx(0.02)


# --- errors ----------------------------------------------------------------------------------


def test_unknown_layer_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match="no shared layer 'moe' .*shared_bottom.*star"):
        make_shared(SIZES.model_copy(update={"layer": "moe"}), GROUPS, 0)


@pytest.mark.parametrize("name", GATED)
def test_no_expert_at_all_is_refused(name):
    sizes = SIZES.model_copy(update={"layer": name, "experts": 0, "private_experts": 0})
    with pytest.raises(ValueError, match="there is no expert to mix .*experts 0.*to 1 or more"):
        make_shared(sizes, GROUPS, 4)


def test_task_conditioned_without_text_is_refused():
    with pytest.raises(ValueError, match="task_conditioned: the width of the task vectors is 0"):
        TaskConditioned(GROUPS, 3, UNITS, text_width=0)


def test_star_wants_a_domain_for_each_task():
    with pytest.raises(ValueError, match="2 domains for 3 tasks"):
        Star(GROUPS, UNITS, domains=[0, 1])


@pytest.mark.parametrize(
    "wrong",
    [{"experts": -1}, {"private_experts": -1}, {"levels": 0}, {"gate_dropout": 1.0},
     {"gate_dropout": -0.1}, {"load_balance": -1.0}],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        Shared(**wrong)
