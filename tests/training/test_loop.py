import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import BALANCERS
from mtrec.models import assemble
from mtrec.training import checkpoint, loop
from mtrec.training.experiment import clear_checkpoints, train_models
from tests.conftest import SIZES, TASKS, TRAINING


@pytest.fixture
def parts(data, world):
    split = world.examples["split"]
    return data.take((split == "train").to_numpy()), data.take((split == "validation").to_numpy())


def fresh(assembly, vectors):
    return assemble.build_models(assembly, vectors["tasks"], SIZES, seed=3)["joint"]


def fit(model, assembly, parts, file=None, settings=TRAINING):
    ones = dict.fromkeys(TASKS, 1.0)
    return loop.train(
        model, assembly.types, assembly.scales, ones, *parts, settings, 0, steps=5,
        checkpoint_file=file,
    )  # fmt: skip


def weights(model):
    return [np.array(v) for v in model.variables]


def test_training_lowers_the_loss_of_every_task_that_can_be_learnt(assembly, vectors, parts):
    curve = fit(fresh(assembly, vectors), assembly, parts).curve.pivot(
        index="epoch", columns="task", values="loss"
    )
    assert curve.iloc[0].between(0.9, 1.1).all()  # starts at the constant prediction
    assert (curve.iloc[-1] < curve.iloc[0]).all()


def test_same_seed_gives_the_same_weights(assembly, vectors, parts):
    runs = [fresh(assembly, vectors) for _ in range(2)]
    for model in runs:
        keras.utils.set_random_seed(0)
        fit(model, assembly, parts)
    for a, b in zip(*(weights(model) for model in runs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    assembly, vectors, parts, tmp_path, monkeypatch
):
    whole = fresh(assembly, vectors)
    expected = fit(whole, assembly, parts)
    save, saved = checkpoint.save, []

    def interrupt(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", interrupt)
    broken, file = fresh(assembly, vectors), tmp_path / "joint.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(broken, assembly, parts, file)
    monkeypatch.setattr(checkpoint, "save", save)
    resumed = fresh(assembly, vectors)
    found = fit(resumed, assembly, parts, file)
    assert found.curve.equals(expected.curve)
    for a, b in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_of_another_run_is_not_used(assembly, vectors, parts, tmp_path):
    file = tmp_path / "joint.npz"
    fit(fresh(assembly, vectors), assembly, parts, file)
    other = TRAINING.model_copy(update={"learning_rate": 0.02, "epochs": 2})
    assert fit(fresh(assembly, vectors), assembly, parts, file, other).curve["epoch"].max() == 2


def test_damaged_checkpoint_is_not_used(assembly, vectors, parts, tmp_path):
    file = tmp_path / "joint.npz"
    fit(fresh(assembly, vectors), assembly, parts, file)
    file.write_bytes(file.read_bytes()[:1000])
    assert fit(fresh(assembly, vectors), assembly, parts, file).curve["epoch"].max() == 4


def test_checkpoint_of_other_weights_is_not_used(assembly, vectors, parts, tmp_path):
    file, settings = tmp_path / "joint.npz", TRAINING.model_copy(update={"epochs": 2})
    fit(fresh(assembly, vectors), assembly, parts, file, settings)
    other = {**dict.fromkeys(TASKS, 1.0), "like": 5.0}
    outcome = loop.train(
        fresh(assembly, vectors), assembly.types, assembly.scales, other, *parts, settings, 0,
        steps=5, checkpoint_file=file,
    )  # fmt: skip
    assert outcome.rows_per_second > 0  # it was trained, not restored


def test_best_epoch_is_kept_and_patience_stops(assembly, vectors, parts):
    settings = TRAINING.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.05})
    outcome = fit(fresh(assembly, vectors), assembly, parts, settings=settings)
    mean = outcome.curve.groupby("epoch")["val_loss"].mean()
    assert outcome.best_epoch == mean.idxmin()
    assert mean.index.max() == min(30, outcome.best_epoch + 2)


def test_nan_stops_with_the_tasks_name(assembly, vectors, parts):
    training, validation = parts
    labels = {**training.labels, "rating": training.labels["rating"] * np.nan}
    broken = type(training)(training.inputs, labels, training.masks)
    with pytest.raises(loop.TrainingError, match="task 'rating': .* NaN or infinite in epoch 1"):
        fit(fresh(assembly, vectors), assembly, (broken, validation))


def test_nan_in_validation_stops_too(assembly, vectors, parts):
    training, validation = parts
    labels = {**validation.labels, "like": validation.labels["like"] * np.nan}
    broken = type(validation)(validation.inputs, labels, validation.masks)
    with pytest.raises(loop.TrainingError, match="task 'like'"):
        fit(fresh(assembly, vectors), assembly, (training, broken))


def test_label_of_a_masked_row_has_no_influence(assembly, vectors, parts):
    training, validation = parts
    labels = {
        name: np.where(training.masks[name].reshape(-1, *[1] * (v.ndim - 1)), v, 1).astype(v.dtype)
        for name, v in training.labels.items()
    }
    other = type(training)(training.inputs, labels, training.masks)
    runs = []
    for part in (training, other):
        model = fresh(assembly, vectors)
        keras.utils.set_random_seed(0)
        fit(model, assembly, (part, validation))
        runs.append(weights(model))
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_static_balancer_is_the_gradient_of_the_weighted_sum():
    x = tf.Variable([1.0, 2.0])
    unused = tf.Variable([3.0])
    with tf.GradientTape() as tape:
        losses = tf.stack([tf.reduce_sum(x**2), tf.reduce_sum(3 * x)])
    found, none = BALANCERS["static"]([2.0, 0.5]).gradients(tape, losses, [x, unused])
    np.testing.assert_allclose(found, 2 * 2 * np.array([1.0, 2.0]) + 0.5 * 3)
    np.testing.assert_array_equal(none, [0.0])


def test_all_models_are_trained_with_equal_steps_and_written(
    assembly, vectors, data, world, models, tmp_path
):
    assemble.save_models(models, tmp_path / "untrained")
    outcomes = train_models(
        assembly, data, world.examples["split"], TASKS,
        TRAINING.model_copy(update={"epochs": 1}), 0, tmp_path / "untrained",
        tmp_path / "trained", tmp_path / "checkpoints",
    )  # fmt: skip
    assert {p.stem for p in (tmp_path / "trained").iterdir()} == set(outcomes) == set(models)
    clear_checkpoints(tmp_path / "checkpoints")
    assert not list((tmp_path / "checkpoints").iterdir())
