from dataclasses import replace

import keras
import numpy as np
import pytest

from mtrec.data.dataset import Dataset
from mtrec.models import assemble
from mtrec.models.assemble import build_some
from mtrec.models.store import load_model
from mtrec.tasks import Binary
from mtrec.training import checkpoint, distillation, experiment, together
from mtrec.training.distillation import teach
from mtrec.training.loop import Trainer, predict
from mtrec.training.objective import training_losses
from tests.conftest import PAIR, SIZES, TASKS, TRAINING

LAMBDA = 0.3
WEIGHTS = {name: 1.0 + 0.5 * number for number, name in enumerate(TASKS)}


@pytest.fixture
def training(data, world):
    return data.take((world.examples["split"] == "train").to_numpy())


def twin(assembly, vectors, name):
    return build_some(assembly, (name,), vectors["tasks"], SIZES, seed=1)


def teachers(assembly, training, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(len(training), kind.outputs)).astype("float16")
        for name, kind in assembly.types.items()
    }


def batch_of(data):
    masks = {name: mask.astype("float32") for name, mask in data.masks.items()}
    return {"labels": data.labels, "masks": masks, "taught": data.taught}


def measure(assembly, data, logits, share):
    losses = training_losses(assembly.types, assembly.scales, WEIGHTS, {}, data, share)
    means, counts = losses(batch_of(data), logits)
    return dict(zip(assembly.types, map(float, means), strict=True)), list(map(float, counts))


@pytest.mark.usefixtures("eagerly")
def test_teacher_says_its_logits_where_the_label_is_known_and_zero_elsewhere(
    assembly, vectors, training
):
    for name, kind in assembly.types.items():
        model = twin(assembly, vectors, name)
        found, known = teach(model, name, training)[name], training.masks[name]
        assert found.shape == (len(training), kind.outputs)
        assert found.dtype == "float16"
        expected = predict(model, training.inputs)[name][known]
        np.testing.assert_allclose(found[known], expected, rtol=2e-3, atol=1e-3)
        assert not found[~known].any()


def test_too_large_a_catalogue_is_not_taught(assembly, vectors, training, monkeypatch):
    name = next(iter(assembly.types))
    size = len(training) * assembly.types[name].outputs
    monkeypatch.setattr(distillation, "LARGEST", size)
    assert teach(twin(assembly, vectors, name), name, training)
    monkeypatch.setattr(distillation, "LARGEST", size - 1)
    assert teach(twin(assembly, vectors, name), name, training) == {}


def test_taught_rows_go_with_their_examples(assembly, training):
    taught = replace(training, taught=teachers(assembly, training))
    name, rows = next(iter(TASKS)), np.array([5, 3])
    np.testing.assert_array_equal(taught.take(rows).taught[name], taught.taught[name][rows])
    own = taught.only(name)
    assert set(own.taught) == {name}
    np.testing.assert_array_equal(own.taught[name], taught.taught[name][training.masks[name]])


def test_loss_is_shared_between_label_and_teacher(assembly, training):
    rng = np.random.default_rng(1)
    logits = {
        name: rng.normal(size=(len(training), kind.outputs)).astype("float32")
        for name, kind in assembly.types.items()
    }
    hard, counts = measure(assembly, training, logits, LAMBDA)  # nobody is taught
    taught = replace(training, taught=teachers(assembly, training))
    mixed, same = measure(assembly, taught, logits, LAMBDA)
    assert same == counts
    for name, kind in assembly.types.items():
        known = training.masks[name]
        soft = np.asarray(kind.soft_loss(taught.taught[name], logits[name]))[known].mean()
        soft *= WEIGHTS[name] / assembly.scales[name]
        expected = (1 - LAMBDA) * hard[name] + LAMBDA * soft
        assert mixed[name] == pytest.approx(expected, rel=1e-4)
    assert measure(assembly, taught, logits, 0.0)[0] == hard


def test_teacher_of_a_task_with_a_condition_is_heard_on_the_rows_of_the_task_itself():
    """Of "bought, given clicked" a twin knows the rows with a click, whatever the label counts."""
    types, ones = {"click": Binary(), "buy": Binary()}, {"click": 1.0, "buy": 1.0}
    scales = {"click": 0.5, "buy": 0.25}
    labels = {"click": np.array([0, 0, 1, 1], "float32"), "buy": np.array([0, 0, 1, 0], "float32")}
    masks = {"click": np.ones(4, bool), "buy": np.array([False, False, True, True])}
    rng = np.random.default_rng(2)
    logits, said = ({n: rng.normal(size=(4, 1)).astype("float32") for n in types} for _ in "ab")
    plain = Dataset({"user": np.arange(4)}, labels, masks)
    found = []
    for data in (plain, replace(plain, taught={"buy": said["buy"]})):
        losses = training_losses(types, scales, ones, {"buy": "click"}, data, LAMBDA)
        found.append([float(mean) for mean in losses(batch_of(data), logits)[0]])
    (click, buy), (same, mixed) = found
    assert same == click
    soft = np.asarray(types["buy"].soft_loss(said["buy"], logits["buy"]))[2:].mean() / 0.25
    assert mixed == pytest.approx((1 - LAMBDA) * buy + LAMBDA * soft, rel=1e-4)


def pupil(ready, taught, settings):
    """A trainer of a taught model; it is judged on the rows it is trained on."""
    rows = replace(ready.training, taught=taught)
    types, scales = ready.assembly.types, ready.assembly.scales
    ones = dict.fromkeys(types, 1.0)
    return Trainer(ready.model(), types, scales, ones, rows, ready.training, settings, 5)


def weights(trainer):
    return [np.array(variable) for variable in trainer.model.variables]


def test_interrupted_pupil_ends_with_the_weights_of_an_uninterrupted_one(
    two, tmp_path, monkeypatch
):
    taught = teachers(two.assembly, two.training)
    settings = TRAINING.model_copy(update={"epochs": 3, "patience": 3, "distillation": LAMBDA})
    save, calls = checkpoint.save, []

    def interrupt(*arguments):
        save(*arguments)
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt

    trainer = pupil(two, taught, settings)
    start = weights(trainer)
    trainer.run(0)
    expected = weights(trainer)
    for variable, value in zip(trainer.model.variables, start, strict=True):
        variable.assign(value)
    monkeypatch.setattr(checkpoint, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(0, tmp_path / "joint.npz")
    monkeypatch.setattr(checkpoint, "save", save)
    resumed = pupil(two, taught, settings)
    resumed.run(0, tmp_path / "joint.npz")
    for one, other in zip(weights(resumed), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
def test_what_a_teacher_says_of_a_masked_row_has_no_influence(few):
    said, odd = (teachers(few.assembly, few.training) for _ in range(2))
    for name, mask in few.training.masks.items():
        odd[name][~mask] = 1000.0
    ended = []
    for taught in (said, odd):
        settings = TRAINING.model_copy(update={"epochs": 1, "distillation": LAMBDA})
        trainer = pupil(few, taught, settings)
        trainer.run(0)
        ended.append(weights(trainer))
    for one, other in zip(*ended, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_joint_models_are_taught_by_the_twins_which_end_alike_alone_or_side_by_side(
    pair, vectors, world, tmp_path, monkeypatch
):
    assembly, data = pair
    own = vectors["tasks"][: len(PAIR)]
    models = assemble.build_models(assembly, own, SIZES, seed=3)
    training = data.take((world.examples["split"] == "train").to_numpy())
    heard = {}

    class Listener(Trainer):
        def __init__(self, model, types, scales, weights, rows, *others):
            heard[len(heard)] = (list(types), rows.taught)
            super().__init__(model, types, scales, weights, rows, *others)

    monkeypatch.setattr(experiment, "Trainer", Listener)
    assemble.save_models(models, tmp_path / "untrained")
    found, run = {}, together.run
    for share, cores in ((0.0, "1"), (0.5, "2")):  # one by one, then several at a time
        monkeypatch.setenv("MTREC_WORKERS", cores)
        step = 1 if cores == "1" else -1  # and the other way round
        monkeypatch.setattr(
            together, "run", lambda train, names, bar, step=step: run(train, names[::step], bar)
        )
        keras.utils.set_random_seed(int(cores))  # of which no model may take notice
        settings = TRAINING.model_copy(update={"epochs": 1, "distillation": share})
        outcomes = experiment.train_models(
            assembly, data, world.examples["split"], PAIR, settings, 0,
            tmp_path / "untrained", tmp_path / str(share), tmp_path / "checkpoints" / str(share),
        )  # fmt: skip
        found[share] = {n: load_model(tmp_path / str(share) / f"{n}.keras") for n in models}
    assert next(iter(outcomes)) == "joint"
    for name, model in found[0.5].items():
        pairs = zip(model.variables, found[0.0][name].variables, strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs) == (name in PAIR)
    assert all(not taught for _, taught in list(heard.values())[: len(models)])
    for names, taught in list(heard.values())[len(models) :]:
        assert set(taught) == (set() if len(names) == 1 else set(PAIR))
        for name, logits in taught.items():
            np.testing.assert_array_equal(logits, teach(found[0.5][name], name, training)[name])
