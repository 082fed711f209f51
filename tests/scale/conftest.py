"""The small domain of the service's tests, trained in name only, in a repository of its own."""

import shutil

import pytest

from tests.conftest import ROOT
from tests.service.conftest import ONLINE_DOMAIN, Small, small

DOMAIN = "video"  # a name that params.yaml knows


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
