import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.special import expit

from mtrec.tasks.dependent import entire_space_loss, product_logit

RNG = np.random.default_rng(0)


def batch(rows=40, scale=2.0):
    labels, parents = (RNG.integers(0, 2, rows).astype("float32") for _ in range(2))
    logits, above = ((scale * RNG.normal(size=(rows, 1))).astype("float32") for _ in range(2))
    return labels, parents, logits, above


def test_loss_is_the_log_loss_of_the_product():
    labels, parents, logits, above = batch()
    p = expit(logits[:, 0].astype("float64")) * expit(above[:, 0].astype("float64"))
    expected = -np.where(labels * parents == 1, np.log(p), np.log(1 - p))
    np.testing.assert_allclose(
        entire_space_loss(labels, parents, logits, above), expected, rtol=1e-4, atol=1e-6
    )


def test_product_logit_is_exact_where_probabilities_are_not():
    a, b = np.array([-200.0, 200.0, 200.0, -60.0]), np.array([-200.0, 200.0, -200.0, 3.0])
    found = product_logit(a, b)
    np.testing.assert_allclose(found, [-400, 200 - np.log(2), -200, -60.0486], rtol=1e-5)


def test_gradient_agrees_with_finite_differences_and_reaches_both_heads():
    labels, parents, logits, above = batch(8)
    a, b = tf.Variable(logits, dtype="float64"), tf.Variable(above, dtype="float64")
    labels, parents = labels.astype("float64"), parents.astype("float64")

    def total(x, y):
        return ops.sum(entire_space_loss(labels, parents, x, y))

    with tf.GradientTape() as tape:
        value = total(a, b)
    found = np.stack([part.numpy() for part in tape.gradient(value, [a, b])])
    point, step = np.stack([a.numpy(), b.numpy()]), 1e-5
    expected = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        expected[index] = (float(total(*up)) - float(total(*down))) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (np.abs(found) > 0).all()


def test_extreme_logits_have_finite_losses_and_gradients():
    values = np.array([-200.0, -30.0, 0.0, 30.0, 200.0], dtype="float32")
    a, b = (tf.constant(part.reshape(-1, 1)) for part in np.meshgrid(values, values))
    for label in (0.0, 1.0):
        ones = np.full(25, label, dtype="float32")
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            loss = entire_space_loss(ones, ones, a, b)
        assert np.isfinite(loss).all()
        assert all(np.isfinite(part).all() for part in tape.gradient(loss, [a, b]))


# Clicks and purchases in eight cells of x. Click rates are U-shaped in x, which the click model,
# linear in x, cannot express; the purchase model has a parameter per cell.
CLICK = np.array([0.5, 0.3, 0.2, 0.1, 0.1, 0.2, 0.3, 0.5])
BUY = np.array([0.3, 0.2, 0.5, 0.6, 0.1, 0.4, 0.2, 0.3])
X = np.linspace(-1, 1, 8)


def simulate(rows=40_000):
    cell = RNG.integers(0, 8, rows)
    click = RNG.random(rows) < CLICK[cell]
    bought = click & (RNG.random(rows) < BUY[cell])
    return cell, np.stack([click, bought], axis=1).astype("float32")


def trained(loss, cell, labels):
    """Logits of the two heads per cell, ``(8, 2)``, after training by ``loss``."""
    inputs = keras.Input((), dtype="int32")
    one_hot = keras.layers.CategoryEncoding(8, output_mode="one_hot")(inputs[:, None])
    position = ops.matmul(one_hot, X[:, None].astype("float32"))
    heads = [keras.layers.Dense(1)(position), keras.layers.Dense(1)(one_hot)]
    model = keras.Model(inputs, keras.layers.Concatenate()(heads))
    model.compile(keras.optimizers.Adam(0.05), loss=loss)
    model.fit(cell, labels, epochs=12, batch_size=1000, verbose=0)
    return ops.convert_to_numpy(model(np.arange(8)))


def click_loss(labels, logits):
    return ops.binary_crossentropy(labels[:, :1], logits[:, :1], from_logits=True)[:, 0]


def naive_loss(labels, logits):
    rows = ops.binary_crossentropy(labels[:, 1:], logits[:, 1:], from_logits=True)[:, 0]
    return click_loss(labels, logits) + labels[:, 0] * rows


def both_loss(labels, logits):
    own = entire_space_loss(labels[:, 1], labels[:, 0], logits[:, 1:], logits[:, :1])
    return click_loss(labels, logits) + own


@pytest.fixture(scope="module")
def fits():
    keras.utils.set_random_seed(0)
    cell, labels = simulate()
    return {loss: trained(loss, cell, labels) for loss in (naive_loss, both_loss)}


def test_entire_space_loss_recovers_purchases_of_all_rows_where_clicked_rows_do_not(fits):
    truth = CLICK * BUY
    naive, both = (expit(fits[loss]).prod(axis=1) for loss in (naive_loss, both_loss))
    assert np.abs(both - truth).max() < 0.015
    assert np.abs(naive - truth).max() > 0.06
    only_clicked = expit(fits[naive_loss][:, 1])  # taken for all rows, as selection tempts one to
    assert only_clicked.mean() > 3 * truth.mean()


def test_price_is_that_the_conditional_probability_takes_up_the_click_models_error(fits):
    naive, both = (expit(fits[loss][:, 1]) for loss in (naive_loss, both_loss))
    assert np.abs(naive - BUY).max() < 0.06
    assert np.abs(both - BUY).max() > 0.2
