import keras
import numpy as np
import pytest
from scipy.special import expit

from mtrec.models import assemble
from mtrec.models.assemble import build_some
from mtrec.models.store import load_model
from mtrec.tasks import Binary
from mtrec.tasks.base import smoothed_rate
from mtrec.training import experiment
from mtrec.training.loop import predict
from mtrec.training.recalibration import recalibrate, shift
from tests.conftest import FEW, PAIR, SIZES, TRAINING


@pytest.fixture
def parts(few_data, world):
    split = world.examples["split"]
    return {part: few_data.take((split == part).to_numpy()) for part in ("train", "validation")}


@pytest.fixture
def model(few_assembly, vectors):
    """A joint model whose logits depend on the row."""
    model = build_some(few_assembly, tuple(FEW), vectors["tasks"], SIZES, seed=1)
    for name in FEW:
        for variable in model.get_layer(f"{name}_head").trainable_variables:
            variable.assign(keras.random.normal(variable.shape, seed=7))
    return model


def drawn(sooner=0.8, rows=400):
    """Logits, and labels that come true less often than these say."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(rows, 1))
    return logits, (rng.uniform(size=rows) < expit(logits[:, 0] - sooner)).astype("float32")


def test_shift_has_the_greatest_likelihood_of_a_fine_grid():
    logits, labels = drawn()
    grid = np.arange(-2, 2, 1e-3)
    moved = logits + grid
    losses = np.mean(np.logaddexp(0, moved) - labels[:, None] * moved, axis=0)
    assert shift(Binary(), labels, logits) == pytest.approx(grid[losses.argmin()], abs=0.01)


@pytest.mark.parametrize("loss", ["logistic", "focal"])
def test_shifted_probabilities_have_the_rate_of_the_labels(loss):
    logits, labels = drawn()
    kind = Binary(loss)
    moved = logits + shift(kind, labels, logits)
    rate = (labels.sum() + 1) / (len(labels) + 2)
    assert np.mean(kind.predict(moved)) == pytest.approx(rate, abs=1e-5)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_that_are_all_alike_are_no_certainty(label):
    logits, labels = drawn()
    moved = expit(logits + shift(Binary(), np.full_like(labels, label), logits))
    assert abs(label - moved.mean()) == pytest.approx(1 / (len(labels) + 2), rel=1e-3)


def test_only_binary_heads_move_and_all_their_logits_alike(model, few_assembly, parts):
    held = parts["validation"]
    before = predict(model, held.inputs)
    shifts = recalibrate(model, few_assembly.types, held)
    after = predict(model, held.inputs)
    assert list(shifts) == ["like"]
    assert abs(shifts["like"]) > 0.1
    np.testing.assert_allclose(after["like"], before["like"] + shifts["like"], atol=1e-5)
    for name in set(FEW) - {"like"}:
        np.testing.assert_array_equal(after[name], before[name])
    known = held.masks["like"]
    rate = smoothed_rate(held.labels["like"][known])
    assert expit(after["like"][known]).mean() == pytest.approx(rate, abs=1e-5)


def test_task_without_validation_labels_is_left_alone(model, few_assembly, parts):
    empty = parts["validation"].take(np.flatnonzero(~parts["validation"].masks["like"]))
    assert recalibrate(model, few_assembly.types, empty) == {}


def train_pair(pair, vectors, world, settings, untrained, trained):
    """Build the joint model, its ablations and the twins of two tasks, and train them."""
    assembly, data = pair
    models = assemble.build_models(assembly, vectors["tasks"][: len(PAIR)], SIZES, seed=3)
    assemble.save_models(models, untrained)
    experiment.train_models(
        assembly, data, world.examples["split"], PAIR, settings, 0, untrained, trained, trained
    )


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("asked", [False, True])
def test_pipeline_recalibrates_joint_model_and_twins_if_it_is_asked_to(
    pair, vectors, world, tmp_path, asked
):
    settings = TRAINING.model_copy(update={"epochs": 1, "recalibrate": asked})
    untrained, trained = tmp_path / "untrained", tmp_path / "trained"
    for folder in (untrained, trained):
        folder.mkdir()
    train_pair(pair, vectors, world, settings, untrained, trained)
    held = pair[1].take((world.examples["split"] == "validation").to_numpy())
    known = held.masks["like"]
    rate = smoothed_rate(held.labels["like"][known])
    for name in ("joint", "like"):
        said = expit(predict(load_model(trained / f"{name}.keras"), held.inputs)["like"][known])
        assert (abs(said.mean() - rate) < 1e-4) == asked


@pytest.mark.usefixtures("eagerly")
def test_twin_teaches_what_it_said_before_the_shift(pair, vectors, world, tmp_path, monkeypatch):
    heard, teach = {}, experiment.teach

    def listen(model, name, training):
        heard[name] = model.get_layer(f"{name}_head").bias.numpy()
        return teach(model, name, training)

    monkeypatch.setattr(experiment, "teach", listen)
    settings = TRAINING.model_copy(update={"epochs": 1, "recalibrate": True, "distillation": 0.5})
    train_pair(pair, vectors, world, settings, tmp_path, tmp_path)
    kept = load_model(tmp_path / "like.keras").get_layer("like_head").bias.numpy()
    assert abs(kept - heard["like"]) > 1e-3
