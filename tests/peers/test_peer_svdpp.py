from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from mtrec.domains import video
from mtrec.features.encoder import Encoder
from mtrec.features.fields import Scaler, Side
from mtrec.peers.base import PeerTask
from mtrec.registry import PEERS
from mtrec.tasks.binary import Binary
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.regression import Regression
from tests.conftest import TASKS, make_world

svdpp = import_module("mtrec.peers.svdpp")  # the package names the function
SIZES = (6, 5)
REFERENCE = Path(__file__).parent / "reference"
NONE = Scaler((), (), (), ())


def model(seed=0, factors=3):
    rng = np.random.default_rng(seed)
    users, items = SIZES
    return svdpp.Factors(
        3.2, rng.normal(size=users), rng.normal(size=items), rng.normal(size=(users, factors)),
        rng.normal(size=(items, factors)), rng.normal(size=(items, factors)),
    )  # fmt: skip


def rows(seed=0, n=12):
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(5 * 4)[:n]
    return svdpp.Ratings(1 + pairs // 4, 1 + pairs % 4, rng.integers(1, 6, n).astype(float))


def scalar_score(found, training, user, item):
    """Equation 15, one number at a time."""
    rated = sorted({i for u, i in zip(training.user, training.item, strict=True) if u == user})
    total = found.mean + found.user_bias[user] + found.item_bias[item]
    for k in range(found.user.shape[1]):
        implicit = sum(found.rated[j][k] for j in rated)
        implicit = implicit / len(rated) ** 0.5 if rated else 0.0
        total += found.item[item][k] * (found.user[user][k] + implicit)
    return total


def scalar_changes(found, training, user, item, value, rate, penalty, binary):
    """What one row adds to each parameter: the update rules after equation 15."""
    change = {name: np.zeros_like(getattr(found, name)) for name in vars(found) if name != "mean"}
    rated = sorted({i for u, i in zip(training.user, training.item, strict=True) if u == user})
    score = scalar_score(found, training, user, item)
    error = value - (1 / (1 + np.exp(-score)) if binary else score)
    change["user_bias"][user] = rate * (error - penalty * found.user_bias[user])
    change["item_bias"][item] = rate * (error - penalty * found.item_bias[item])
    for k in range(found.user.shape[1]):
        p, q = found.user[user][k], found.item[item][k]
        implicit = sum(found.rated[j][k] for j in rated) / len(rated) ** 0.5
        change["user"][user][k] = rate * (error * q - penalty * p)
        change["item"][item][k] = rate * (error * (p + implicit) - penalty * q)
        for j in rated:
            step = error * q / len(rated) ** 0.5 - penalty * found.rated[j][k]
            change["rated"][j][k] = rate * step
    return change


def test_prediction_is_equation_15():
    found, training = model(), rows()
    seen = svdpp.rated_items(training, SIZES)
    everyone = svdpp.Ratings(*(part.ravel() for part in np.indices(SIZES)), np.zeros(30))
    expected = [
        scalar_score(found, training, u, i)
        for u, i in zip(everyone.user, everyone.item, strict=True)
    ]
    wide = np.array([-1e3, 1e3])
    np.testing.assert_allclose(svdpp.predict(found, seen, everyone, False, wide), expected)
    np.testing.assert_allclose(svdpp.predict(found, seen, everyone, True, wide), expit(expected))
    near = svdpp.predict(found, seen, everyone, False, np.array([1.0, 5.0]))
    np.testing.assert_allclose(near, np.clip(expected, 1, 5))


@pytest.mark.parametrize("binary", [False, True])
def test_step_adds_up_the_updates_of_its_rows(binary):
    found, training = model(1), rows(1)
    value = (training.value > 3).astype(float) if binary else training.value
    batch = svdpp.Ratings(training.user, training.item, value).take(np.array([0, 3, 4, 7, 8, 11]))
    assert len(set(batch.user)) < len(batch.user)  # a user has several rows
    seen = svdpp.rated_items(training, SIZES)
    after = svdpp.step(found, seen, batch, 0.01, 0.3, binary)
    changes = [
        scalar_changes(found, training, u, i, v, 0.01, 0.3, binary)
        for u, i, v in zip(batch.user, batch.item, batch.value, strict=True)
    ]
    for name in changes[0]:
        expected = getattr(found, name) + sum(change[name] for change in changes)
        np.testing.assert_allclose(getattr(after, name), expected, atol=1e-12)
    assert after.mean == found.mean


def test_steps_of_one_row_are_those_of_surprise():
    known = np.load(REFERENCE / "svdpp_surprise.npz")  # made by the script of that name
    training = svdpp.Ratings(known["user"].astype(int), known["item"].astype(int), known["rating"])
    names = ("user_bias", "item_bias", "user", "item", "rated")
    found = svdpp.Factors(
        float(training.value.mean()), *(known[f"before_{name}"] for name in names)
    )
    seen = svdpp.rated_items(training, known["score"].shape)
    for row in [*range(len(training.value))] * 2:
        found = svdpp.step(found, seen, training.take(np.array([row])), 0.007, 0.02, False)
    for name in names:
        np.testing.assert_allclose(getattr(found, name), known[f"after_{name}"], atol=1e-9)
    everyone = svdpp.Ratings(*(p.ravel() for p in np.indices(known["score"].shape)), np.zeros(63))
    scores = svdpp.predict(found, seen, everyone, False, np.array([-9.0, 9.0]))
    np.testing.assert_allclose(scores, known["score"].ravel(), atol=1e-9)


def test_movielens_fold_1_is_predicted_about_as_well_as_elsewhere(raw_data):
    raw = video.load_raw(raw_data / "ml-100k")
    examples = video.make_tables(raw, video.Settings(split="folds", fold=1), 42).examples
    examples = examples[examples["user_id"].notna()]
    user, item = (
        np.unique(examples[key], return_inverse=True)[1] + 1 for key in ("user_id", "item_id")
    )
    every = svdpp.Ratings(user, item, examples["rating"].to_numpy())
    test = (examples["split"] == "test").to_numpy()
    sizes = (user.max() + 1, item.max() + 1)
    found, seen, _ = svdpp.fit(every.take(~test), None, sizes, 20, 0.02, 20, seed=0)
    wrong = svdpp.predict(found, seen, every.take(test), False, every.value) - every.value[test]
    assert (wrong**2).mean() ** 0.5 == pytest.approx(0.930, abs=0.005)  # Surprise's SVD++: 0.928


def asked(name, kind, seed=0):
    world = make_world()
    sides = [
        Side(tuple(table[key]), ())
        for table, key in ((world.users, "user_id"), (world.items, "item_id"))
    ]
    labels, mask = kind.encode(world.examples[TASKS[name].label])
    encoder = Encoder(*sides, NONE, {}, 4)
    return PeerTask(name, TASKS[name], kind, world, encoder, labels, mask, seed)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(svdpp, "FACTORS", (3,))
    monkeypatch.setattr(svdpp, "EPOCHS", 4)


def test_peer_predicts_all_examples_and_the_same_again(quick):
    task = asked("rating", Regression(3.0, 1.0))
    found = svdpp.svdpp(task)
    assert found.shape == task.mask.shape
    assert found.min() >= 1
    assert found.max() <= 5
    np.testing.assert_array_equal(found, PEERS["svdpp"](task))


def test_peer_gives_probabilities_for_a_binary_task(quick):
    task = asked("like", Binary.fit(make_world().examples["like"].dropna(), ()))
    found = svdpp.svdpp(task)
    assert ((found > 0) & (found < 1)).all()
    mean = task.labels[task.rows("train")].mean()
    assert found[task.rows("test")].mean() == pytest.approx(mean, abs=0.1)


def test_test_labels_change_nothing(quick):
    task = asked("rating", Regression(3.0, 1.0))
    before = svdpp.svdpp(task)
    task.labels[task.rows("test")] = 1.0
    np.testing.assert_array_equal(svdpp.svdpp(task), before)


def test_user_without_training_row_is_predicted_by_item_bias_alone():
    training = rows(2).take(np.flatnonzero(rows(2).user != 5))
    found, seen, _ = svdpp.fit(training, None, SIZES, 3, 0.02, 5, seed=0)
    stranger = svdpp.Ratings(np.array([5, 0]), np.array([1, 1]), np.zeros(2))
    expected = found.mean + found.item_bias[1]
    np.testing.assert_allclose(
        svdpp.predict(found, seen, stranger, False, np.array([-9, 9])), expected
    )


def test_rows_that_start_somewhere_are_as_labels_less_the_start():
    training, shift = rows(3), np.random.default_rng(3).normal(size=12)
    moved = svdpp.Ratings(training.user, training.item, training.value, shift)
    less = svdpp.Ratings(training.user, training.item, training.value - shift, np.zeros(12))
    found, seen, _ = svdpp.fit(moved, None, SIZES, 3, 0.02, 5, seed=0)
    other, _, _ = svdpp.fit(less, None, SIZES, 3, 0.02, 5, seed=0)
    assert found.mean == 0.0
    np.testing.assert_allclose(found.rated, other.rated, rtol=1e-4)
    wide = np.array([-99, 99])
    np.testing.assert_allclose(
        svdpp.predict(found, seen, moved, False, wide),
        svdpp.predict(other, seen, less, False, wide) + shift, rtol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "least", "most"), [("rating", 1, 5), ("like", 0, 1)])
def test_peer_starts_from_running_means_where_the_models_do(quick, name, least, most):
    kind = Regression(3.0, 1.0) if name == "rating" else Binary.fit(
        make_world().examples["like"].dropna(), ())  # fmt: skip
    task = asked(name, kind)
    draw = np.random.default_rng(0).uniform(least, most, len(task.mask))
    found = svdpp.svdpp(replace(task, running_mean=draw))
    assert found.min() >= least and found.max() <= most
    assert np.corrcoef(found, draw)[0, 1] > 0.9


def test_task_of_another_type_is_refused():
    with pytest.raises(ValueError, match="'mood': peer svdpp predicts binary and regression"):
        svdpp.svdpp(asked("mood", Multiclass(("calm", "glad", "sad"))))
