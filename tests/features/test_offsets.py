"""Running means, and heads that start from them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mtrec.features import assemble, offsets
from mtrec.features.state import save_state
from mtrec.models import twins
from mtrec.models.predict import predict
from mtrec.models.store import load_model
from mtrec.paths import Paths
from mtrec.peers.baselines import baseline
from mtrec.serving import recommender as serving
from mtrec.settings import Task
from mtrec.tasks.binary import Binary
from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression
from tests.conftest import DOMAIN, SIZES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def some_rows(rng, n=60, outputs=2, in_time=True):
    return offsets.Rows(
        rng.random((n, outputs)), rng.integers(1, 4, n), rng.integers(1, 5, n),
        np.sort(rng.integers(0, 20, n)), np.repeat(["train", "validation", "test"], n // 3),
        in_time,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [
    Binary(), Binary("focal"), Multilabel(("a", "b")), Multiclass(("a", "b", "c")),
    Ordinal((1.0, 2.0, 3.0)), Regression(2.0, 3.0), Regression(2.0, 3.0, "relu"),
])  # fmt: skip
def test_logits_of_means_predict_them(kind, rng):
    width = 3 if kind.metrics in ("multiclass", "ordinal") else kind.outputs
    means = rng.uniform(0.05, 0.9, (6, width))
    if width == 3:
        means /= means.sum(axis=1, keepdims=True)
    found = np.asarray(kind.predict(kind.logits(means)))
    assert kind.logits(means).shape == (6, kind.outputs)
    np.testing.assert_allclose(found.reshape(6, -1), means, rtol=2e-3)


def test_outcomes_of_labels_have_the_shares_of_classes_as_mean():
    labels = np.array([0, 2, 2, 1])
    for kind in (Multiclass(("a", "b", "c")), Ordinal((1.0, 2.0, 3.0))):
        np.testing.assert_allclose(kind.outcomes(labels).mean(axis=0), [0.25, 0.25, 0.5])
    assert Regression(2.0, 3.0).outcomes(np.array([1.5, 2.5])).tolist() == [[1.5], [2.5]]


def test_a_type_without_means_says_so():
    for kind in (LogNormal(0.0, 1.0), Ranking(("a", "b"))):
        with pytest.raises(ValueError, match="cannot start at running means"):
            kind.logits(np.zeros((1, 1)))
    for settings in ({"type": "ranking"}, {"type": "regression", "loss": "lognormal"}):
        with pytest.raises(ValidationError, match="cannot start from running means"):
            Task(view="user", label="y", offset="running_mean", **settings)


def test_a_label_moves_neither_its_own_offset_nor_an_earlier_one(rng):
    rows = some_rows(rng)
    means = replace(offsets.fit(rows), low=(-1e9, -1e9), high=(1e9, 1e9))
    at = 30
    planted = rows.labels.copy()
    planted[at] += 100.0
    before = means.predict(rows)
    after = means.predict(replace(rows, labels=planted))
    moved = np.flatnonzero((abs(before - after) > 1e-9).any(axis=1))
    assert len(moved) and (rows.time[moved] > rows.time[at]).all()


@pytest.mark.parametrize("in_time", [True, False])
def test_latest_parts_are_what_a_later_row_starts_from(rng, in_time):
    rows = some_rows(rng, in_time=in_time)
    means = offsets.fit(rows)
    of_user, of_item = means.latest(rows, users=3, items=4)
    pairs = [(1, 1), (3, 4), (0, 2), (2, 0)]
    user, item = np.array(pairs).T
    found = means.total(of_item[item], of_user[user])
    asked = offsets.Rows(
        np.vstack([rows.labels, np.zeros((4, 2))]), np.r_[rows.user, user], np.r_[rows.item, item],
        np.r_[rows.time, np.full(4, 99)], np.r_[rows.split, ["test"] * 4], in_time,
    )  # fmt: skip
    np.testing.assert_allclose(found, means.predict(asked)[-4:], atol=1e-9)


def test_pseudo_rows_are_those_with_the_least_error_on_validation(rng):
    rows = some_rows(rng)
    held = rows.split == "validation"
    found = offsets.fit(rows)
    errors = {
        (item, user): ((replace(found, item_k=item, user_k=user).predict(rows) - rows.labels)[held]
                       ** 2).mean()
        for item in offsets.SHRINKAGE for user in offsets.SHRINKAGE
    }  # fmt: skip
    assert min(errors, key=errors.__getitem__) == (found.item_k, found.user_k)


@pytest.fixture(scope="module")
def started(world, vectors):
    """The tiny domain with offsets on two tasks: settings, assembly and untrained models."""
    tasks = {
        name: task.model_copy(update={"offset": "running_mean"})
        if name in ("like", "rating")
        else task
        for name, task in DOMAIN.tasks.items()
    }
    domain = DOMAIN.model_copy(update={"tasks": tasks})
    found = assemble.assemble(world, vectors, domain, SIZES)
    return tasks, found, twins.build_models(found, vectors["tasks"], SIZES, seed=0)


def test_the_untrained_model_is_the_baseline(world, started):
    tasks, found, models = started
    data = assemble.dataset(found, world, tasks)
    for name in found.offsets:
        known = data.masks[name]
        wanted = baseline(name, found.types, data, world, tasks)[known]
        for model in (models["joint"], models[name]):
            logits = predict(model, data.take(known).inputs)[name]
            answered = np.asarray(found.types[name].predict(logits))
            np.testing.assert_allclose(answered, np.clip(wanted, 1e-4, None), atol=2e-4)


def test_offsets_survive_saving_and_requests_start_from_them(world, started, tmp_path):
    tasks, found, models = started
    folder = Paths(tmp_path, "tiny").trained
    folder.mkdir(parents=True)
    twins.save_models(models, folder)
    save_state(found, world, tasks, folder)
    assert assemble.load(folder).offsets == found.offsets
    assert load_model(folder / "joint.keras").input.keys() == models["joint"].input.keys()
    recommender = serving.load("tiny", tmp_path)
    pairs = world.examples[["user_id", "item_id"]].drop_duplicates()[:20]
    answered = recommender.score(pd.concat([pairs, pd.DataFrame([{"user_id": "nobody"}])]))
    assert answered["rating"].nunique() > 2  # the untrained model knows users and items apart
    mean = found.offsets["rating"].mean[0]
    assert answered["rating"].iloc[-1] == pytest.approx(mean, abs=1e-3)
