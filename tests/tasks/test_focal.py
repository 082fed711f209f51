import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from mtrec.tasks.binary import Binary
from mtrec.tasks.focal import ASYMMETRIC, FOCAL, Focal
from mtrec.tasks.logistic import Logistic
from mtrec.tasks.multilabel import Multilabel

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, (60, 3)).astype("float32")
LOGITS = (3 * RNG.normal(size=(60, 3))).astype("float32")


def reference(labels, logits, one, zero, margin):
    p = expit(logits.astype("float64"))
    q = np.maximum(p - margin, 0)
    return -np.where(labels == 1, (1 - p) ** one * np.log(p), q**zero * np.log(1 - q))


@pytest.mark.parametrize("settings", [(2, 2, 0), (0, 4, 0.05), (1, 2, 0.1), (0.5, 3, 0)])
def test_loss_is_the_formula_of_the_papers(settings):
    found = Focal(*settings).loss(LABELS, LOGITS)
    np.testing.assert_allclose(found, reference(LABELS, LOGITS, *settings), rtol=1e-4, atol=1e-6)


def test_without_exponents_and_margin_it_is_the_logistic_loss():
    plain, logistic = Focal(0, 0), Logistic()
    np.testing.assert_allclose(
        plain.loss(LABELS, LOGITS), logistic.loss(LABELS, LOGITS), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(plain.probability(LOGITS), logistic.probability(LOGITS), rtol=1e-4)
    rate = np.array([0.01, 0.3, 0.9])
    np.testing.assert_allclose(plain.logit(rate), logistic.logit(rate), rtol=1e-3)


@pytest.mark.parametrize("kind", [FOCAL, ASYMMETRIC, Focal(1, 2, 0.1)])
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_probability_of_the_best_logit_is_the_share_of_ones(kind, rate):
    def risk(z):
        one, zero = (reference(np.array(y), np.array(z), kind.gamma_one, kind.gamma_zero,
                               kind.margin) for y in (1, 0))  # fmt: skip
        return rate * one + (1 - rate) * zero

    best = minimize_scalar(risk, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
    assert float(kind.probability(best)) == pytest.approx(rate, rel=1e-3)
    assert float(kind.logit(np.array(rate))) == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("kind", [FOCAL, ASYMMETRIC])
def test_probability_keeps_the_order_of_logits(kind):
    found = np.array(kind.probability(np.linspace(-9, 9, 500).astype("float32")))
    assert (np.diff(found) > -1e-7).all()
    assert (np.diff(found[found < 0.5]) > 0).all()


@pytest.mark.parametrize("kind", [FOCAL, ASYMMETRIC])
def test_extreme_logits_have_finite_losses_and_probabilities(kind):
    logits = np.array([[-300.0, 300.0, -60.0, 60.0]], dtype="float32")
    for label in (0.0, 1.0):
        assert np.isfinite(kind.loss(np.full((1, 4), label, "float32"), logits)).all()
    most = 1.0 if kind is FOCAL else 0.9637  # see the next test
    np.testing.assert_allclose(kind.probability(logits), [[0, most, 0, most]], atol=1e-4)


def test_margin_has_a_largest_share_of_ones_and_starts_there_with_a_slope():
    slopes = reference(np.array(0), np.array([6.0, 12.0, 12.01]), 0, 4, 0.05)
    assert slopes[1] == pytest.approx(slopes[2], abs=1e-5)  # labels 0 no longer pull
    assert float(ASYMMETRIC.logit(np.array(0.99))) == 6.0


def test_types_use_them_per_label():
    task = Multilabel(("a", "b", "c"), loss_name="asymmetric")
    expected = reference(LABELS, LOGITS, 0, 4, 0.05).mean(axis=1)
    np.testing.assert_allclose(task.loss(LABELS, LOGITS), expected, rtol=1e-4, atol=1e-6)
    expected = reference(LABELS[:, 0], LOGITS[:, 0], 2, 2, 0)
    found = Binary("focal").loss(LABELS[:, 0], LOGITS[:, :1])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
