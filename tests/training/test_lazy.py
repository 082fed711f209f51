import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.training.lazy import LazyAdamW
from mtrec.training.parts import divide
from tests.conftest import TRAINING
from tests.training.test_loop import make

SETTINGS = {"learning_rate": 0.1, "weight_decay": 0.05}


def updated(optimizer, gradients, start):
    """The table after a step with each of the gradients."""
    table = keras.Variable(start)
    optimizer.build([table])
    for gradient in gradients:
        optimizer.apply([gradient], [table])
    return np.array(table)


def slices(values, rows, size):
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([size, 2]))


@pytest.fixture
def start():
    return np.random.default_rng(0).normal(size=(5, 2)).astype("float32")


def test_where_all_rows_are_read_it_is_adamw(start):
    draw = np.random.default_rng(1)
    rows = [np.r_[draw.permutation(5), 3, 3] for _ in range(6)]  # one is read three times
    values = [draw.normal(size=(7, 2)).astype("float32") for _ in rows]
    sparse = [slices(v, r, 5) for v, r in zip(values, rows, strict=True)]
    dense = [tf.convert_to_tensor(one) for one in sparse]
    expected = updated(keras.optimizers.AdamW(**SETTINGS), dense, start)
    for gradients in (sparse, dense):
        found = updated(LazyAdamW(**SETTINGS), gradients, start)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rows_that_are_not_read_keep_their_value_and_moments(start):
    optimizer = LazyAdamW(**SETTINGS)
    steps = [[0, 1], [2, 2], [0, 4]]
    draw = np.random.default_rng(2)
    values = [draw.normal(size=(2, 2)).astype("float32") for _ in steps]
    found = updated(optimizer, [slices(v, r, 5) for v, r in zip(values, steps, strict=True)], start)
    expected, first, second = start.astype("float64"), np.zeros((5, 2)), np.zeros((5, 2))
    for number, (value, rows) in enumerate(zip(values, steps, strict=True), 1):
        total = np.zeros((5, 2))
        np.add.at(total, rows, value)
        for row in set(rows):
            first[row] = 0.9 * first[row] + 0.1 * total[row]
            second[row] = 0.999 * second[row] + 0.001 * total[row] ** 2
            mean, square = first[row] / (1 - 0.9**number), second[row] / (1 - 0.999**number)
            expected[row] -= 0.1 * (0.05 * expected[row] + mean / (np.sqrt(square) + 1e-7))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_array_equal(found[3], start[3])


def test_the_compiled_step_leaves_other_users_and_items_alone(few, eagerly):
    settings = TRAINING.model_copy(update={"optimizer": "lazy_adamw", "weight_decay": 0.1})
    trainer = make(few.model(), few, settings)
    shared = divide(trainer.model).shared
    (ids,) = [v for v in shared if v.path.startswith("user") and "user_id" in v.path]
    before = np.array(ids)
    trainer.step(tf.range(2))
    trainer.step(tf.range(2))
    changed = (np.array(ids) != before).any(axis=1)
    read = trainer._data["inputs"]["user"].numpy()[:2]
    assert 1 <= changed.sum() <= len(set(read)) < len(before) - 1


def test_optimiser_comes_back_from_its_settings():
    found = LazyAdamW.from_config(LazyAdamW(**SETTINGS).get_config())
    assert found.decay == SETTINGS["weight_decay"]
    assert float(found.learning_rate) == pytest.approx(SETTINGS["learning_rate"])
