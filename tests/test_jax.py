"""Trained models answer under JAX, in an environment without TensorFlow, as they do under it."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtrec.features.assemble import assemble
from mtrec.features.state import save_state
from mtrec.models import twins
from mtrec.models.store import save_model
from mtrec.paths import Paths
from mtrec.registry import SHARED_LAYERS
from mtrec.serving import recommender as serving
from mtrec.settings import Reader, Task
from tests.conftest import DOMAIN, FEW, ROOT, SIZES, TASKS, of

PYTHON = ROOT / ".venv" / "jax" / "bin" / "python"
pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="no .venv/jax; `make test` makes it where it can be had"
)
EVERYTHING = {
    **TASKS,
    "rating": TASKS["rating"].model_copy(update={"offset": "running_mean"}),
    "genres": TASKS["genres"].model_copy(update={"head": "label_embedding"}),
    "stars": Task(type="ordinal", view="joint", label="rating", text="How many, in order?"),
}
HISTORIES = ("gru", "attention")
READING = SIZES.model_copy(update={"reader": Reader(units=8, heads=2, width=6)})
OTHERS = (*HISTORIES, "reading")
PAIRS = pd.DataFrame(
    {"user_id": [f"u{n}" for n in range(8)] + ["nobody"], "item_id": [f"i{n}" for n in range(9)]}
)


def layer(name):
    return SIZES.model_copy(
        update={"shared": SIZES.shared.model_copy(update={"layer": name, "units": 24})}
    )


def history(name):
    return SIZES.model_copy(update={"history": SIZES.history.model_copy(update={"encoder": name})})


def save(root, name, domain, sizes, world, vectors):
    """A model with weights drawn at random, and what it needs to answer requests."""
    found = assemble(world, vectors, domain, sizes)
    texts = np.random.default_rng(2).normal(size=(len(domain.tasks), 6)).astype("float32")
    model, draw = (
        twins.build_some(found, tuple(found.types), texts, sizes, 0),
        np.random.default_rng(3),
    )
    for variable in model.trainable_variables:
        variable.assign(draw.normal(scale=0.3, size=variable.shape))
    for reader in model.readers.values():
        reader.table.assign(draw.normal(size=reader.table.shape))
    folder = Paths(root, name).trained
    folder.mkdir(parents=True)
    save_model(model, folder / f"{twins.JOINT}.keras")
    save_state(found, world, domain.tasks, folder)


@pytest.fixture(scope="module")
def root(world, vectors, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    labels = {"labels_genres": np.random.default_rng(4).normal(size=(3, 6)).astype("float32")}
    domain = DOMAIN.model_copy(update={"tasks": EVERYTHING})
    save(root, "everything", domain, SIZES, world, {**vectors, **labels})
    for name in HISTORIES:
        save(root, name, of({"mood": TASKS["mood"]}), history(name), world, vectors)
    save(root, "reading", of(FEW), READING, world, vectors)
    for name in SHARED_LAYERS:
        save(root, name, of(FEW), layer(name), world, vectors)
    PAIRS.to_json(root / "pairs.json")
    return root


@pytest.fixture(scope="module")
def answers(root):
    """What JAX says, by model and task, and of the first model in words."""
    names = ["everything", *OTHERS, *SHARED_LAYERS]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT / "src")}
    command = [PYTHON, Path(__file__).with_name("jax_answers.py"), root, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(root / "answers.npz") as found:
        return dict(found), json.loads((root / "said.json").read_text())


@pytest.mark.parametrize("name", ["everything", *OTHERS, *SHARED_LAYERS])
def test_a_model_predicts_under_jax_what_it_predicts_under_tensorflow(name, root, answers, eagerly):
    for task, wanted in serving.load(name, root).predict(PAIRS).items():
        assert np.ptp(wanted) > 1e-3
        np.testing.assert_allclose(answers[0][f"{name}/{task}"], wanted, atol=1e-5, rtol=1e-5)


def test_scores_and_recommendations_are_the_same_and_no_question_needs_tensorflow(
    root, answers, eagerly
):
    said, recommender = answers[1], serving.load("everything", root)
    assert (said["backend"], said["device"]) == ("jax", "CPU")
    for task, wanted in recommender.score(PAIRS).items():
        if wanted.dtype == object or isinstance(wanted.iloc[0], (str, list)):
            assert said["scores"][task] == wanted.tolist()
        else:
            np.testing.assert_allclose(said["scores"][task], wanted, atol=1e-5)
    for user, found in said["best"].items():
        wanted = recommender.recommend(user, 5)
        assert found["item_id"] == wanted["item_id"].tolist()
        np.testing.assert_allclose(found["score"], wanted["score"], atol=1e-5)
