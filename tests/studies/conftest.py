from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mtrec.paths import Paths
from mtrec.settings import ColdStart
from mtrec.studies import plan
from mtrec.studies.cold_split import make_cold
from mtrec.studies.cold_systems import prepare
from tests.conftest import DOMAIN, make_run, make_world

SHORT = ColdStart(share=0.5, history=4, batch_size=256, epochs=1, seeds=1)


def moved(run, root):
    """The run with results in a folder of its own, and the same tables."""
    paths = Paths(root, "tiny")
    paths.artifacts.parent.mkdir(parents=True)
    paths.artifacts.symlink_to(run.paths.artifacts)
    return replace(run, paths=paths)


@pytest.fixture
def common(run, monkeypatch):
    """What stands in params.yaml for all domains is what the tiny one has."""
    found = SimpleNamespace(training=run.training, model_building=run.model_building)
    monkeypatch.setattr(plan, "read_params", lambda path: found)


def with_short(run, **more):
    """The run with cold-start settings."""
    return replace(run, cold_start=SHORT.model_copy(update=more))


@pytest.fixture(scope="session")
def cold_world():
    return make_world(seed=5, users=60, items=400, events=6000)


@pytest.fixture(scope="session")
def cold_vectors(vectors):
    rng = np.random.default_rng(1)
    return {
        **{
            n: rng.normal(size=(k, 6)).astype("float32") for n, k in (("users", 60), ("items", 400))
        },
        "tasks": vectors["tasks"],
    }


@pytest.fixture(scope="session")
def cold_run(cold_world, cold_vectors, tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("cold"), cold_world, cold_vectors)
    return with_short(run)


@pytest.fixture(scope="session")
def cold_benches(cold_run, cold_world, cold_vectors):
    """A bench per split."""
    return {
        split: prepare(
            cold_run, SHORT, make_cold(cold_world, DOMAIN, split, (0.1, 0.2), 0), cold_vectors, 0
        )
        for split in ("cold_items", "cold_users")
    }
