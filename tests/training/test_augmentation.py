"""Each change against NumPy, and what a training makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mtrec.settings import Augmentation
from mtrec.studies import workbench
from mtrec.training import augmentation
from mtrec.training.augmentation import Augmenter, Mixing
from mtrec.training.loop import Trainer, make_augmenter
from mtrec.training.parts import Forward, cut, divide
from tests.conftest import TRAINING

LENGTH = 6


@pytest.fixture(scope="module")
def histories():
    """Items of 40 histories of every length, padded at the left, and events that tell them."""
    rng = np.random.default_rng(0)
    items = np.zeros((40, LENGTH), "int32")
    for row, count in enumerate(rng.integers(0, LENGTH + 1, 40)):
        items[row, LENGTH - count :] = rng.integers(1, 100, count)
    events = (items[..., None] * np.array([1.0, 10.0])).astype("float32")
    return items, events


def draws(*shape, seed=1):
    return np.random.default_rng(seed).random(shape).astype("float32")


def changed(change, histories, *arguments):
    items, events = (
        part.numpy() for part in change(tuple(map(tf.constant, histories)), *arguments)
    )
    np.testing.assert_array_equal(events, items[..., None] * np.array([1.0, 10.0]))  # they go along
    return items


def real(row):
    return row[row > 0].tolist()


def test_a_history_is_emptied_where_its_draw_says_so(histories):
    drawn = draws(40)
    found = changed(augmentation.emptied, histories, 0.4, drawn)
    np.testing.assert_array_equal(found, np.where((drawn < 0.4)[:, None], 0, histories[0]))


def test_events_are_left_out_one_by_one(histories):
    drawn = draws(40, LENGTH)
    found = changed(augmentation.masked, histories, 0.3, drawn)
    np.testing.assert_array_equal(found, np.where(drawn < 0.3, 0, histories[0]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_crop_keeps_a_part_without_a_gap_at_the_right_end(histories, share):
    drawn = draws(40)
    found = changed(augmentation.cropped, histories, share, drawn)
    for before, after, draw in zip(histories[0], found, drawn, strict=True):
        events = real(before)
        keep = max(
            len(events) - int(np.round(np.float32(share) * len(events))), min(len(events), 1)
        )
        late = int(draw * (len(events) - keep + 1))
        expected = events[len(events) - keep - late : len(events) - late]
        assert real(after) == expected
        assert after[: LENGTH - keep].sum() == 0


def test_a_shuffled_part_has_the_same_events_and_the_rest_stays(histories):
    drawn, order = draws(40), draws(40, LENGTH, seed=2)
    found = changed(augmentation.reordered, histories, 0.5, drawn, order)
    moved = 0
    for row, (before, after) in enumerate(zip(histories[0], found, strict=True)):
        events = real(before)
        part = int(np.round(0.5 * len(events)))
        begin = LENGTH - len(events) + int(drawn[row] * (len(events) - part + 1))
        expected = before.copy()
        inside = slice(begin, begin + part)
        expected[inside] = before[inside][np.argsort(order[row, inside], kind="stable")]
        np.testing.assert_array_equal(after, expected)
        moved += (after != before).any()
    assert moved > 10


def test_a_dropped_feature_leaves_the_term_of_an_unknown_entity():
    state, own, unknown = (draws(5, 3, seed=n) for n in range(3))
    dropped = np.array([True, False, True, False, False])
    found = augmentation.without(*map(tf.constant, (state, own, unknown, dropped))).numpy()
    expected = np.where(dropped[:, None], state - own + unknown, state)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_partners_have_labels_of_the_same_tasks_and_each_row_gives_to_one():
    rng = np.random.default_rng(3)
    known = (rng.random((3, 200)) < 0.5).astype("float32")
    found = augmentation.partners([*map(tf.constant, known)], draws(200)).numpy()
    np.testing.assert_array_equal(known[:, found], known)
    own = found == np.arange(200)
    groups = len({tuple(column) for column in known.T})
    assert own.sum() == groups
    assert len(set(found)) >= 200 - groups
    again = augmentation.partners([*map(tf.constant, known)], draws(200, seed=5)).numpy()
    assert (again != found).mean() > 0.8


def test_rows_are_mixed_with_their_partners_by_one_share():
    values, partner = draws(4, 2), np.array([1, 2, 0, 3])
    found = augmentation.mixed(tf.constant(values), tf.constant(partner), tf.constant(0.7)).numpy()
    np.testing.assert_allclose(found, 0.7 * values + 0.3 * values[partner], rtol=1e-6)


def test_a_mixed_squared_loss_has_the_gradient_of_mixed_labels():
    partner, share = tf.constant([1, 0]), tf.constant(0.25)
    mixing, labels = Mixing(partner, share), tf.constant([1.0, 5.0])
    other = mixing.others({"labels": {"a": labels}, "masks": {}})["labels"]["a"]
    answer = tf.Variable([2.0, 2.0])
    with tf.GradientTape() as tape:
        both = [[tf.square(answer - y)] for y in (labels, other)]
        loss = tf.reduce_sum(mixing.loss(*both)[0])
    mean = 0.25 * labels + 0.75 * other
    np.testing.assert_allclose(tape.gradient(loss, answer), 2 * (answer - mean), rtol=1e-6)


def test_draws_follow_from_seed_and_step_alone_and_differ_between_purposes():
    one, other = (Augmenter(Augmentation(noise=1.0)) for _ in range(2))
    values = tf.zeros((3, 4))
    first = one.at(5).representation(values, None)
    np.testing.assert_array_equal(first, other.at(5).representation(values, None))
    assert not np.allclose(first, one.at(6).representation(values, None))
    other.seed.assign(1)
    assert not np.allclose(first, other.at(5).representation(values, None))
    drawn = one.at(5)
    assert not np.allclose(
        drawn.uniform(augmentation.MASK, (9,)), drawn.uniform(augmentation.CROP, (9,))
    )
    assert (
        abs(float(tf.math.reduce_std(one.at(1).representation(tf.zeros((99, 99)), None))) - 1)
        < 0.05
    )


@pytest.mark.parametrize(("drop", "name"), [("drop_ids", "item_id"), ("drop_texts", "text")])
def test_an_encoder_forgets_ids_or_texts_of_some_entities_and_nothing_else(two, drop, name):
    encoder = two.model().encoders["item"]
    rows = tf.range(1, 21)
    drawn = Augmenter(Augmentation(**{drop: 0.5})).at(3)
    others = [field["name"] for field in encoder.fields if field["name"] != name]
    whole, found = encoder(rows).numpy(), drawn.state(encoder, rows).numpy()
    unknown = encoder(tf.zeros_like(rows), visible=[name]).numpy()
    forgot = encoder(rows, visible=others).numpy() + unknown
    dropped = np.abs(found - whole).max(axis=1) > 1e-6
    assert 3 < dropped.sum() < 17
    np.testing.assert_allclose(found[dropped], forgot[dropped], atol=1e-5)
    np.testing.assert_array_equal(found[~dropped], whole[~dropped])
    np.testing.assert_array_equal(drawn.state(encoder, rows), found)  # for every task alike
    np.testing.assert_array_equal(
        drawn.state(encoder, rows, visible=others), encoder(rows, visible=others)
    )


def trained(ready, tmp_path=None, epochs=2, **settings):
    """A model trained for two epochs, and its outcome."""
    model = ready.model()
    own = TRAINING.model_copy(update={"epochs": epochs, **settings})
    trainer = Trainer(
        model, ready.assembly.types, ready.assembly.scales,
        dict.fromkeys(ready.assembly.types, 1.0), ready.training, ready.validation, own, 4,
    )  # fmt: skip
    outcome = trainer.run(1, tmp_path and tmp_path / "state.npz")
    return [np.asarray(v) for v in model.variables], outcome


ALL = {"drop_ids": 0.2, "drop_texts": 0.2, "drop_histories": 0.1, "crop": 0.2, "mask": 0.1,
       "reorder": 0.3, "mixup": 0.4, "noise": 0.1}  # fmt: skip


@pytest.mark.parametrize("balancing", ["famo", "nashmtl"])
def test_a_training_with_every_change_is_finite_and_repeats_itself(
    everything, balancing, unoptimised
):
    settings = {"augmentation": Augmentation(**ALL), "balancing": balancing}
    weights, outcome = trained(everything, **settings)
    assert np.isfinite(outcome.curve["val_loss"]).all()
    if balancing == "famo":
        again, _ = trained(everything, **settings)
        for one, other in zip(weights, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_interrupted_training_goes_on_with_the_same_draws(two, tmp_path, unoptimised):
    settings = {"augmentation": Augmentation(**ALL)}
    whole, _ = trained(two, epochs=3, **settings)

    def stop(epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    model = two.model()
    own = TRAINING.model_copy(update={"epochs": 3, **settings})
    trainer = Trainer(
        model, two.assembly.types, two.assembly.scales, dict.fromkeys(two.assembly.types, 1.0),
        two.training, two.validation, own, 4,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        trainer.run(1, tmp_path / "state.npz", stop)
    again, _ = trained(two, tmp_path, epochs=3, **settings)
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def forward(everything):
    """A batch, and what lies below the shared layer as a function of it and of what is drawn."""
    model, rows = everything.model(), everything.training.take(np.arange(64))
    parts, variables = cut(model), divide(model)
    inputs = {name: tf.constant(values) for name, values in rows.inputs.items()}
    masks = {name: tf.constant(mask.astype("float32")) for name, mask in rows.masks.items()}

    def run(drawn, mixing, given):
        return Forward(parts, variables, given, masks, drawn, mixing)._representation.numpy()

    return inputs, masks, run


@pytest.mark.parametrize("change", ALL)
def test_every_change_has_an_effect_of_its_own(forward, change, eagerly):
    inputs, masks, run = forward
    drawn = Augmenter(Augmentation(**{change: ALL[change]})).at(1)
    assert not np.allclose(
        run(None, None, inputs), run(drawn, drawn.mixing(masks), drawn.inputs(inputs))
    )


def test_nothing_is_drawn_where_nothing_is_set():
    model = SimpleNamespace(readers={})
    assert make_augmenter(Augmentation(), model) is None
    assert make_augmenter(Augmentation(mask=0.1), model) is not None


def test_rows_that_read_texts_are_not_mixed():
    model = SimpleNamespace(readers={"item": None})
    with pytest.raises(ValueError, match="training.augmentation.mixup: tasks read texts token by"):
        make_augmenter(Augmentation(mixup=0.2), model)
    assert make_augmenter(Augmentation(noise=0.2), model)


def test_validation_rows_are_never_changed(few_bench, monkeypatch, unoptimised):
    seen = []
    for noise in (0.0, 3.0):
        settings = few_bench.settings.model_copy(
            update={"augmentation": Augmentation(noise=noise), "learning_rate": 1e-12}
        )
        bench = workbench.Workbench(**{**vars(few_bench), "settings": settings})
        ((_, _, outcome),) = workbench.fit(bench, tuple(bench.assembly.types), [0])
        seen.append(outcome.curve["val_loss"].to_numpy())
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5)
