"""The small domain of the service's tests, trained in name only, in a repository of its own."""

import shutil
from types import SimpleNamespace

import pytest

from mtrec.scale import texts
from mtrec.settings import EmbedSettings, Reader
from mtrec.tables import schema
from mtrec.text import embed, states
from tests.conftest import DOMAIN as TINY
from tests.conftest import ROOT
from tests.service.conftest import ONLINE_DOMAIN, Small, small

DOMAIN = "video"  # a name that params.yaml knows
SETTINGS = EmbedSettings(layer=2, precision="float32", batch_tokens=256, max_tokens=16)


@pytest.fixture(scope="session")
def in_time(vectors) -> Small:
    return small(True, vectors)


@pytest.fixture(scope="session")
def model(in_time, vectors):
    return in_time.build(vectors)


@pytest.fixture(scope="session")
def root(in_time, model, tmp_path_factory):
    """A repository whose domain has a model of weights drawn at random."""
    from mtrec.features.state import save_state
    from mtrec.models.store import save_model
    from mtrec.paths import Paths

    root = tmp_path_factory.mktemp("repository")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, root)
    folder = Paths(root, DOMAIN).trained
    folder.mkdir(parents=True)
    save_model(model, folder / "joint.keras")
    save_model(model.only("next_item"), folder / "next_item.keras")
    save_state(in_time.assembly, in_time.tables, ONLINE_DOMAIN.tasks, folder)
    return root


@pytest.fixture
def run(world, tiny_raw, monkeypatch, tmp_path):
    """A domain with tables, a tiny language model, blocks of 16 texts and an empty cache."""
    monkeypatch.setattr(embed, "SHARD", 16)
    monkeypatch.setattr(states, "SHARD", 16)
    domain = tmp_path / "tables"
    schema.write(world, domain)
    found = SimpleNamespace(
        domain=TINY,
        task_embedding=SETTINGS,
        model_building=SimpleNamespace(reader=Reader(max_tokens=8)),
        paths=SimpleNamespace(tables=domain, raw=tiny_raw, cache=tmp_path / "cache"),
    )
    monkeypatch.setattr(texts, "experiment", lambda *given: found)
    return found


def files(folder):
    """What a folder holds, by name."""
    return {one.name: one.read_bytes() for one in folder.iterdir()}
