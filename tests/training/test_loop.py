from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.models import twins
from mtrec.registry import BALANCERS
from mtrec.training import checkpoint, domain, loop
from mtrec.training.domain import clear_checkpoints, train_models
from mtrec.training.objective import training_losses
from mtrec.training.parts import divide
from mtrec.training.reading import Library
from mtrec.training.step import compile_step
from tests.conftest import FEW, PAIR, SIZES, TRAINING


def make(model, ready, settings=TRAINING, **weights):
    kinds, weights = ready.assembly.types, {**dict.fromkeys(ready.assembly.types, 1.0), **weights}
    return loop.Trainer(
        model, kinds, ready.assembly.scales, weights, ready.training, ready.validation, settings,
        steps=5,
    )  # fmt: skip


def fit(model, ready, file=None, settings=TRAINING, **weights):
    return make(model, ready, settings, **weights).run(0, file)


def weights(model):
    return [np.array(v) for v in model.variables]


def restart(model, values):
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def few_losses(few):
    ones = dict.fromkeys(FEW, 1.0)
    return training_losses(few.assembly.types, few.assembly.scales, ones, {}, few.training)


def test_training_lowers_the_loss_of_every_task_that_can_be_learnt(everything):
    settings = TRAINING.model_copy(update={"epochs": 12, "patience": 12})
    curve = fit(everything.model(), everything, settings=settings).curve.pivot(
        index="epoch", columns="task", values="loss"
    )
    assert curve.iloc[0].between(0.9, 1.1).all()  # starts at the constant prediction
    assert (curve.iloc[-1] < curve.iloc[0]).all()


def test_same_seed_gives_the_same_weights(two):
    runs = [two.model() for _ in range(2)]
    for model in runs:
        keras.utils.set_random_seed(0)
        fit(model, two)
    for a, b in zip(*(weights(model) for model in runs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_in_one_graph_are_single_steps_bit_by_bit(two, monkeypatch):
    monkeypatch.setattr(loop, "UNBROKEN", 3)  # a graph that is called twice, the second time for 2
    found = []
    for together in (True, False):
        model = two.model()
        trainer = make(model, two)
        keras.utils.set_random_seed(0)
        order = np.random.default_rng(1).integers(0, trainer.rows, (5, trainer.batch), "int32")
        losses = trainer.take(order) if together else [trainer.step(rows) for rows in order]
        found.append([np.asarray(losses), *weights(model)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    two, tmp_path, monkeypatch, momentum
):
    settings = TRAINING.model_copy(update={"ema_momentum": momentum})
    model = two.model()
    trainer, start = make(model, two, settings), weights(model)
    expected, whole = trainer.run(0), weights(model)
    restart(model, start)
    save, saved = checkpoint.save, []

    def interrupt(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", interrupt)
    file = tmp_path / "joint.npz"
    with pytest.raises(KeyboardInterrupt):
        trainer.run(0, file)
    monkeypatch.setattr(checkpoint, "save", save)
    resumed = two.model()
    found = fit(resumed, two, file, settings)
    assert found.curve.equals(expected.curve)
    for a, b in zip(weights(resumed), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_of_another_run_is_not_used(two, tmp_path):
    file = tmp_path / "joint.npz"
    fit(two.model(), two, file)
    other = TRAINING.model_copy(update={"learning_rate": 0.02, "epochs": 2})
    assert fit(two.model(), two, file, other).curve["epoch"].max() == 2


def test_fingerprints_tell_names_types_and_shapes_apart():
    ones = np.ones((2, 3), "float32")
    parts = [
        ({"epochs": 4, "patience": 12},), ({"epochs": 41, "patience": 2},),
        ({"patience": 4, "epochs": 12},), ({"a": ones},), ({"b": ones},), ({"a": ones.T},),
        ({"a": np.ones((2, 3), "int32")},), (ones, 1), (1, ones), ([1, 2],), (1, 2), (12,),
    ]  # fmt: skip
    assert len({checkpoint.fingerprint(*part) for part in parts}) == len(parts)


def test_damaged_checkpoint_is_not_used(two, tmp_path):
    file, model = tmp_path / "joint.npz", two.model()
    trainer, start = make(model, two), weights(model)
    trainer.run(0, file)
    restart(model, start)
    assert trainer.run(0, file).rows_per_second == 0
    file.write_bytes(file.read_bytes()[:1000])
    restart(model, start)
    outcome = trainer.run(0, file)
    assert outcome.curve["epoch"].max() == 4
    assert outcome.rows_per_second > 0


def test_checkpoint_of_other_weights_is_not_used(two, tmp_path):
    file, settings = tmp_path / "joint.npz", TRAINING.model_copy(update={"epochs": 2})
    fit(two.model(), two, file, settings)
    outcome = fit(two.model(), two, file, settings, like=5.0)
    assert outcome.rows_per_second > 0  # it was trained, not restored


def test_best_epoch_is_kept_and_patience_stops(two):
    settings = TRAINING.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.05})
    outcome = fit(two.model(), two, settings=settings)
    mean = outcome.curve.groupby("epoch")["val_loss"].mean()
    assert outcome.best_epoch == mean.idxmin()
    assert mean.index.max() == min(30, outcome.best_epoch + 2)


@pytest.mark.usefixtures("eagerly")
def test_nan_stops_with_the_tasks_name(few):
    training = few.training
    labels = {**training.labels, "rating": training.labels["rating"] * np.nan}
    broken = type(training)(training.inputs, labels, training.masks)
    with pytest.raises(loop.TrainingError, match="task 'rating': .* NaN or infinite in epoch 1"):
        fit(few.model(), few._replace(training=broken))


@pytest.mark.usefixtures("eagerly")
def test_nan_in_validation_stops_too(few):
    validation = few.validation
    labels = {**validation.labels, "like": validation.labels["like"] * np.nan}
    broken = type(validation)(validation.inputs, labels, validation.masks)
    with pytest.raises(loop.TrainingError, match="task 'like'"):
        fit(few.model(), few._replace(validation=broken))


@pytest.mark.usefixtures("eagerly")
def test_label_of_a_masked_row_has_no_influence(few):
    training = few.training
    labels = {
        name: np.where(training.masks[name].reshape(-1, *[1] * (v.ndim - 1)), v, 1).astype(v.dtype)
        for name, v in training.labels.items()
    }
    other = type(training)(training.inputs, labels, training.masks)
    runs, once = [], TRAINING.model_copy(update={"epochs": 1})
    for part in (training, other):
        model = few.model()
        keras.utils.set_random_seed(0)
        fit(model, few._replace(training=part), settings=once)
        runs.append(weights(model))
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("unoptimised")
@pytest.mark.parametrize(
    ("balancing", "gradients_on"),
    [*((name, "representation") for name in BALANCERS), ("pcgrad", "weights"), ("mgda", "weights")],
)
def test_every_balancer_lowers_the_losses_of_the_joint_model(few, balancing, gradients_on):
    changes = {"balancing": balancing, "gradients_on": gradients_on, "learning_rate": 0.02}
    settings = TRAINING.model_copy(update={**changes, "epochs": 3})
    outcome = fit(few.model(), few, settings=settings)
    curve = outcome.curve.pivot(index="epoch", columns="task", values="loss")
    assert np.isfinite(curve.to_numpy()).all()
    assert (curve.iloc[-1] < curve.iloc[0]).sum() >= len(FEW) - 1


@pytest.mark.usefixtures("unoptimised")
@pytest.mark.parametrize("optimizer", loop.OPTIMIZERS)
def test_every_optimiser_trains_with_masked_tasks(two, optimizer):
    settings = TRAINING.model_copy(update={"optimizer": optimizer, "balancing": "pcgrad"})
    curve = fit(two.model(), two, settings=settings).curve
    assert np.isfinite(curve["loss"]).all()


def test_gram_matrix_on_all_shared_weights_is_that_of_separate_backward_passes(few, eagerly):
    model, settings = few.model(), {"balancing": "mgda", "gradients_on": "weights"}
    for variable in model.trainable_variables:  # heads of zeros have no gradient below them
        variable.assign(variable + np.random.default_rng(0).normal(size=variable.shape) * 0.1)
    trainer = make(model, few, TRAINING.model_copy(update=settings))
    found = []
    weigh = trainer.balancer.weigh
    trainer.balancer.weigh = lambda losses, gram, present: (
        found.append(gram), weigh(losses, gram, present))[1]  # fmt: skip
    keras.utils.set_random_seed(0)
    rows = tf.range(60)
    state = [np.asarray(v) for v in model.variables]
    trainer._step(trainer._data, rows)
    restart(model, state)
    shared = divide(model).shared
    losses = few_losses(few)
    batch = tf.nest.map_structure(lambda v: tf.gather(v, rows), trainer._data)
    flat = []
    for number in range(len(FEW)):
        restart(model, state)
        with tf.GradientTape() as tape:
            loss = losses(batch, model(batch["inputs"], training=True))[0][number]
        gradients = tape.gradient(loss, shared)
        flat.append(
            np.concatenate(
                [np.zeros(np.prod(v.shape)) if g is None else np.ravel(tf.convert_to_tensor(g))
                 for g, v in zip(gradients, shared, strict=True)]
            )
        )  # fmt: skip
    expected = np.stack(flat) @ np.stack(flat).T
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-6)


def test_methods_that_combine_gradients_leave_heads_to_their_own_losses(few, eagerly):
    class Silence(BALANCERS["static"]):
        needs, weighs_heads = "gradients", False

        def weigh(self, losses, gram, present):
            return tf.zeros_like(losses)

    model = few.model()
    settings = TRAINING.model_copy(update={"optimizer": "sgd", "weight_decay": 0.0})
    trainer = make(model, few, settings)
    shared, owned = divide(model).shared, divide(model).owned
    step = compile_step(
        model, trainer.optimizer, Silence(len(FEW)),
        few_losses(few), "representation",
    )  # fmt: skip
    before = [np.array(v) for v in shared], [np.array(v) for v in owned]
    step(trainer._data, tf.range(64))
    assert all(np.array_equal(a, b) for a, b in zip(before[0], shared, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(before[1], owned, strict=True))


def test_a_second_run_from_the_same_weights_is_the_same_run(few):
    model = few.model()
    settings = TRAINING.model_copy(update={"balancing": "pcgrad"})
    trainer, start = make(model, few, settings), weights(model)
    first = trainer.run(0)
    ends = weights(model)
    restart(model, start)
    second = trainer.run(0)
    assert first.curve.equals(second.curve)
    for a, b in zip(ends, weights(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("eagerly")
def test_batch_without_any_label_stops_with_a_sentence(few):
    training = few.training
    masks = {name: mask & (np.arange(len(mask)) < 3) for name, mask in training.masks.items()}
    bare = type(training)(training.inputs, training.labels, masks)
    with pytest.raises(loop.TrainingError, match="no row of the batch has a label of any task"):
        fit(few.model(), few._replace(training=bare))


def test_unknown_optimiser_and_balancer_are_named(few):
    for change, message in (
        ({"optimizer": "magic"}, "there is no optimizer 'magic'"),
        ({"balancing": "magic"}, "there is no balancing method 'magic'"),
    ):
        with pytest.raises(ValueError, match=message):
            make(few.model(), few, TRAINING.model_copy(update=change))


@pytest.mark.usefixtures("eagerly")
def test_all_models_are_trained_with_equal_steps_and_written(pair, vectors, world, tmp_path):
    assembly, data = pair
    models = twins.build_models(assembly, vectors["tasks"][: len(PAIR)], SIZES, seed=3)
    twins.save_models(models, tmp_path / "untrained")
    outcomes = train_models(
        assembly, data, world.examples["split"], PAIR,
        TRAINING.model_copy(update={"epochs": 1}), 0, tmp_path / "untrained",
        tmp_path / "trained", tmp_path / "checkpoints",
    )  # fmt: skip
    assert {p.stem for p in (tmp_path / "trained").iterdir()} == set(outcomes) == set(models)
    clear_checkpoints(tmp_path / "checkpoints")
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("scale", [1.0, 2.0, -1.0])
def test_penalty_adds_its_share_of_each_weight_to_the_gradient(few, eagerly, scale):
    class Scaled(BALANCERS["static"]):
        def weigh(self, losses, gram, present):
            return scale * tf.ones_like(losses)

    settings = TRAINING.model_copy(update={"optimizer": "sgd", "weight_decay": 0.0})
    after, start = [], None
    for l2 in (0.0, 0.5):
        model = few.model()
        trainer = make(model, few, settings)
        balancer = Scaled(len(FEW))
        step = compile_step(
            model, trainer.optimizer, balancer, few_losses(few), "representation", l2
        )
        start = [np.array(v) for v in model.trainable_variables]
        keras.utils.set_random_seed(0)
        step(trainer._data, tf.range(64))
        after.append([np.array(v) for v in model.trainable_variables])
    for before, without, with_l2 in zip(start, *after, strict=True):
        pulled = without - settings.learning_rate * abs(scale) * 0.5 * before
        np.testing.assert_allclose(with_l2, pulled, rtol=1e-4, atol=1e-6)


def test_kept_weights_are_their_average_over_the_steps(two):
    momentum, means, averages = 0.8, [], []
    keras.utils.set_random_seed(0)
    model = two.model()
    trainer = make(model, two)
    for epoch in (1, 2):  # steps go on from the last weights, not from their average
        for rows in loop._order(0, epoch, trainer.rows, (trainer.steps, trainer.batch)):
            trainer.step(rows)
            now = [np.array(v) for v in model.trainable_variables]
            old = means[-1] if means else now
            pairs = zip(old, now, strict=True)
            means.append([momentum * a + (1 - momentum) * b for a, b in pairs])
    keras.utils.set_random_seed(0)
    kept = two.model()
    settings = TRAINING.model_copy(update={"epochs": 10, "ema_momentum": momentum})
    trainer = make(kept, two, settings)
    trainer.settings = settings.model_copy(update={"epochs": 2})
    trainer.run(0, watch=lambda _: averages.append([np.array(v) for v in kept.trainable_variables]))
    for mean, average in zip(means[trainer.steps - 1 :: trainer.steps], averages, strict=True):
        for a, b in zip(mean, average, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


def test_the_only_task_of_a_domain_is_learnt_from_rows_with_its_label(few, monkeypatch, tmp_path):
    seen = []

    class Stub:
        def __init__(self, model, tasks, scales, weights, training, validation, *others):
            seen.append((training.masks["kind"], validation.masks["kind"]))

        def run(self, *arguments):
            return None

    monkeypatch.setattr(domain, "Trainer", Stub)
    alone = replace(few.assembly, types={"kind": few.assembly.types["kind"]})
    budget = domain.Budget(
        alone, FEW, TRAINING, 0, few.training, few.validation, tmp_path, Library({}, {}, 0)
    )  # fmt: skip
    budget.fit("joint", None, ("kind",), print)
    assert not few.training.masks["kind"].all()
    assert all(mask.all() and len(mask) for mask in seen[0])
