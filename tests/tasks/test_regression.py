import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import lognorm

from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.regression import Regression

RNG = np.random.default_rng(0)


def normal(*shape, scale=1.0):
    return RNG.normal(scale=scale, size=shape).astype("float32")


def test_squared_loss_is_squared_error_in_units_of_the_training_variance():
    kind = Regression(mean=2.0, deviation=4.0)
    labels, logits = normal(50), normal(50, 1)
    errors = labels - kind.predict(logits)
    np.testing.assert_allclose(kind.loss(labels, logits), (errors / 4) ** 2, rtol=1e-4)


def test_relu_prediction_is_never_negative_and_its_loss_is_squared_error():
    kind = Regression(mean=2.0, deviation=4.0, head="relu")
    labels, logits = normal(500) ** 2, normal(500, 1)
    found = np.array(kind.predict(logits))
    np.testing.assert_allclose(found, 4 * np.maximum(logits[:, 0], 0))
    np.testing.assert_allclose(kind.loss(labels, logits), (labels - found) ** 2 / 16, rtol=1e-4)


def test_relu_head_starts_alive_at_the_mean():
    labels = pd.Series(np.exp(RNG.normal(size=200)) * 1000)
    kind = Regression.fit(labels, (), head="relu")
    base = kind.base_logits(kind.encode(labels)[0])
    assert base[0] > 0
    assert float(kind.predict(base[None])[0]) == pytest.approx(labels.mean(), rel=1e-5)


def test_relu_head_learns_a_number_that_is_often_zero():
    x = RNG.normal(size=(2000, 1)).astype("float32")
    y = 3 * np.maximum(x[:, 0] + 0.2, 0)
    kind = Regression.fit(pd.Series(y), (), head="relu")
    model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
    model.build((None, 1))
    model.layers[0].bias.assign(kind.base_logits(y))
    model.compile(
        keras.optimizers.Adam(0.05),
        loss=lambda labels, z: kind.loss(keras.ops.reshape(labels, (-1,)), z),  # Keras adds an axis
    )
    model.fit(x, y, epochs=15, batch_size=200, verbose=0)
    assert np.abs(y - kind.predict(model(x))).max() < 0.1


def lognormal():
    return LogNormal(mean=1.5, deviation=0.8)


def test_lognormal_loss_is_scipys_log_likelihood_but_for_terms_without_parameters():
    kind = lognormal()
    labels, logits = np.exp(normal(50) + 1), normal(50, 2)
    mean, deviation = (np.array(part, dtype="float64") for part in kind.parameters(logits))
    density = lognorm.logpdf(labels, s=deviation, scale=np.exp(mean))
    expected = -density - np.log(labels) - np.log(kind.deviation)
    np.testing.assert_allclose(kind.loss(labels, logits), expected, rtol=1e-4, atol=1e-5)


def test_lognormal_prediction_is_the_mean_of_the_distribution():
    kind = lognormal()
    logits = normal(50, 2)
    mean, deviation = (np.array(part, dtype="float64") for part in kind.parameters(logits))
    expected = lognorm.mean(s=deviation, scale=np.exp(mean))
    np.testing.assert_allclose(kind.predict(logits), expected, rtol=1e-4)


def test_lognormal_loss_is_positive_and_its_prediction_finite_whatever_the_logits():
    kind = lognormal()
    logits = np.stack([normal(500), normal(500, scale=100.0)], axis=1)
    labels = np.exp(kind.mean + kind.deviation * logits[:, 0]).astype("float32")  # the best labels
    assert np.min(kind.loss(labels, logits)) > 0
    assert np.isfinite(kind.predict(logits)).all()


def test_lognormal_loss_does_not_depend_on_the_unit_of_the_label():
    labels, logits = pd.Series(np.exp(RNG.normal(size=100))), normal(100, 2)
    found = []
    for factor in (1.0, 100.0):
        kind = LogNormal.fit(labels * factor, ())
        found.append(np.array(kind.loss(kind.encode(labels * factor)[0], logits)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


def test_lognormal_recovers_mean_and_spread_that_depend_on_the_row():
    x = RNG.integers(0, 2, 20_000)
    truth = lognorm(s=np.array([0.4, 0.9]), scale=np.array([2.0, 8.0]))
    y = np.exp(np.log([2.0, 8.0])[x] + np.array([0.4, 0.9])[x] * RNG.normal(size=len(x)))
    kind = LogNormal.fit(pd.Series(y), ())
    one_hot = np.eye(2, dtype="float32")[x]
    model = keras.Sequential([keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.Adam(0.02), loss=kind.loss)
    model.fit(one_hot, y.astype("float32"), epochs=10, batch_size=500, verbose=0)
    mean, deviation = kind.parameters(model(np.eye(2, dtype="float32")))
    np.testing.assert_allclose(np.exp(mean), [2.0, 8.0], rtol=0.05)
    np.testing.assert_allclose(deviation, [0.4, 0.9], rtol=0.08)
    found = kind.predict(model(np.eye(2, dtype="float32")))
    np.testing.assert_allclose(found, truth.mean(), rtol=0.08)
