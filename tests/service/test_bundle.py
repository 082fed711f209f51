"""A trained folder becomes a service, and a newer one takes its place."""

import os
import shutil

import pytest
from starlette.testclient import TestClient

from mtrec.domains.online import ONLINE, online
from mtrec.features.state import save_state
from mtrec.files import write_sums
from mtrec.models.store import save_model
from mtrec.service import bundle as loading
from mtrec.service import run as running
from mtrec.service.app import make_app
from mtrec.service.live import Live
from mtrec.service.log import EventLog
from mtrec.service.metrics import Metrics
from mtrec.serving import manifest
from tests.conftest import PAIR, of, run_of

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def trained(world, vectors, pair, two, tmp_path, monkeypatch):
    """A domain without a task that ranks items, trained as far as a service can tell."""
    root = tmp_path / "root"
    run = run_of(PAIR, world, vectors, root)
    save_model(two.model(), run.paths.trained / "joint.keras")
    save_state(pair[0], world, PAIR, run.paths.trained)
    run = run.__class__(**{**vars(run), "domain": of(PAIR).model_copy(update={"module": "own"})})
    monkeypatch.setattr(loading, "experiment", lambda *_: run)
    monkeypatch.setattr(loading, "online", lambda *_: ONLINE["video"])
    return run


def test_a_trained_folder_answers_and_a_damaged_one_does_not_take_its_place(trained, tmp_path):
    running._seal(trained.paths)
    first = loading.open_bundle("tiny", trained.paths.root)
    assert first.about["version"] == manifest.check(trained.paths).version
    assert first.about["tasks"]["like"]["ranks_items"]
    assert not first.about["tasks"]["kind"]["ranks_items"]
    look = running.newer("tiny", trained.paths.root, first)
    assert look() is None
    live = Live(first, EventLog(tmp_path / "log"), Metrics(), None)
    with TestClient(make_app(live)) as client:
        answer = client.post("/recommend", json={"user_id": "u1", "k": 3}).json()
        assert answer["ranked_by"] == {"like": 1.0}
        assert len(answer["items"]) == 3
        assert client.get("/model").json()["metrics"] is None
    file = trained.paths.trained / "tasks.json"
    file.write_text(file.read_text() + " ")
    os.utime(file, ns=(1, 1))
    assert look() is None  # it may still be being written
    with pytest.raises(manifest.DamagedError, match="tasks.json: is not the one that was trained"):
        look()
    write_sums(trained.paths.trained)  # as training does at its end
    assert look() is None
    second = look()
    assert second is not None
    assert second.answers.version != first.answers.version
    assert look() is None


def test_another_fusion_is_loaded_when_it_is_whole_and_a_damaged_one_once(trained, monkeypatch):
    folder, opened = trained.paths.fusion, []

    def save(text: str) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "fusion.json").write_text(text)
        write_sums(folder)

    def open_bundle(*given):
        opened.append(given)
        return loading.open_bundle(*given)

    monkeypatch.setattr(running, "open_bundle", open_bundle)
    look = running.newer("tiny", trained.paths.root, None)
    version = loading.open_bundle("tiny", trained.paths.root).about["version"]
    save('{"model": "", "tasks": {}}')
    assert look() is None  # it may still be being written
    assert look().about["version"] != version
    shutil.rmtree(folder)
    assert [look(), look(), look()] == [None] * 3  # its stage is at work
    save('{"like": {}}')
    assert look() is None
    for _ in range(3):
        with pytest.raises(ValueError, match="fusion: damaged, or of an earlier version"):
            look()
    assert len(opened) == 2
    save('{"model": "", "tasks": {}} ')
    assert look() is None
    assert look().about["version"] not in ("", version)


def test_rules_of_a_domain_name_columns_that_its_settings_have():
    from mtrec.config import read_params
    from mtrec.paths import find_root

    domains = read_params(find_root() / "params.yaml").domains
    for name, rules in ONLINE.items():
        context = {
            c for side in ("user", "item") for c in getattr(domains[name].features, side).context
        }
        labels = {task.label for task in domains[name].tasks.values()}
        assert online(name, domains[name].data).held_out == (name == "video")
        for rule in rules.columns:
            parts = (getattr(rule, part, "") for part in ("count", "mean", "column"))
            assert {part for part in parts if part} <= context
            assert getattr(rule, "label", "") in {"", *labels}
        assert set(rules.labels) <= labels
        assert {column for column, _ in rules.labels.values()} <= {*domains[name].features.event}


def test_a_domain_of_ones_own_counts_and_averages():
    from mtrec.domains.own.settings import EventColumns, Settings

    events = EventColumns(user_id="u", item_id="i", timestamp="t", rating="stars")
    found = online("own", Settings(events=events, like_from=4.0))
    assert {c for r in found.columns for c in (r.count, r.mean) if c} == {
        "user_count", "item_count", "user_mean_rating", "item_mean_rating",
    }  # fmt: skip
    assert found.labels == {"rating": ("rating", None), "like": ("rating", 4.0)}
    assert found.held_out
