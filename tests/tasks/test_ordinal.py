import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from mtrec.models.heads import make_head
from mtrec.tasks.ordinal import Ordinal

RNG = np.random.default_rng(0)
STARS = Ordinal((1.0, 2.0, 3.5, 5.0))


def test_loss_is_the_sum_of_scikit_learns_log_losses_of_the_thresholds():
    labels, logits = RNG.integers(0, 4, 50), RNG.normal(size=(50, 3)).astype("float32")
    expected = sum(log_loss(labels > k, expit(logits[:, k])) for k in range(3))
    assert np.mean(STARS.loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_levels_are_learnt_in_order_and_new_ones_are_masked():
    kind = Ordinal.fit(pd.Series([5.0, 1.0, 3.5, 2.0, 1.0]), ())
    assert kind == STARS
    values, known = kind.encode(pd.Series([3.5, 4.0, np.nan, 1.0]))
    assert values[known].tolist() == [2, 0]
    assert known.tolist() == [True, False, False, True]
    assert kind.class_names == ("1", "2", "3.5", "5")


def test_probabilities_are_valid_for_any_logits():
    found = np.array(STARS.predict((5 * RNG.normal(size=(500, 3))).astype("float32")))
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_probabilities_of_ordered_logits_are_differences_of_the_cumulative_ones():
    logits = -np.sort(-RNG.normal(size=(50, 3)), axis=1).astype("float32")
    found = np.array(STARS.predict(logits))
    above = 1 - np.cumsum(found, axis=1)[:, :-1]
    np.testing.assert_allclose(above, expit(logits), atol=1e-6)


def test_constant_prediction_is_the_frequency_of_levels():
    labels = np.repeat([0, 1, 2, 3], [4000, 3000, 2000, 1000])
    found = STARS.predict(STARS.base_logits(labels)[None])
    np.testing.assert_allclose(np.array(found)[0], [0.4, 0.3, 0.2, 0.1], atol=1e-3)


def test_thresholds_stay_in_order_and_probabilities_come_close_to_the_truth():
    x = RNG.normal(size=(8000, 1)).astype("float32")
    cuts = np.array([-1.0, 0.5, 2.0])
    truth = expit(1.5 * x - cuts)  # a proportional-odds model, which this head can express
    draws = RNG.random((8000, 1))
    labels = (draws < truth).sum(axis=1)
    head = make_head("stars", STARS)
    model = keras.Sequential([head])
    model.build((None, 1))
    head.bias.assign(STARS.base_logits(labels))
    model.compile(keras.optimizers.Adam(0.05), loss=STARS.loss)
    model.fit(x, labels.astype("int32"), epochs=10, batch_size=400, verbose=0)
    assert (np.diff(np.array(head.bias)) < 0).all()
    found = 1 - np.cumsum(STARS.predict(model(x)), axis=1)[:, :-1]
    assert np.abs(found - truth).max() < 0.05
