"""The study of a search: trials on validation rows, resumed, and one look at test rows."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.paths import ConfigError, Paths
from mtrec.search.driver import BASELINE, settings_of
from mtrec.settings import Search
from mtrec.studies import ledger, search, search_plan, tune
from mtrec.studies.search import Source, closed, search_of
from mtrec.studies.search_plan import COMPARISON, PLAN, identity
from mtrec.tables import schema
from tests.conftest import PAIR, make_world, run_of

SPACE = {
    "model_building.width": {"kind": "choice", "values": [4, 8]},
    "training.learning_rate": {"kind": "log", "low": 0.001, "high": 0.1},
}
SMALL = Search(trials=2, share=0.5, epochs=1, seeds=2, grid=["model_building.width"], space=SPACE)


def of(tables, vectors, root):
    return replace(run_of(PAIR, tables, vectors, root), search=SMALL)


@pytest.fixture(scope="module")
def small(world, vectors, tmp_path_factory):
    return of(world, vectors, tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def done(small):
    """The study done; a second call finds nothing to do."""
    assert search.study(small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "measure", None)
        assert search.study(small)
    return {"run": small, "trials": PLAN.results(small), "test": COMPARISON.results(small)}


def test_every_sampler_begins_with_the_present_settings_and_makes_its_trials(done):
    trials = done["trials"]
    assert trials.groupby("sampler").size().to_dict() == {"tpe": 2, "random": 2, "grid": 3}
    first = trials[trials["trial"] == 0]
    assert (first["score"] == 0).all()
    assert {*first["settings"]} == {
        '{"model_building.width": 8, "training.learning_rate": 0.01}', '{"model_building.width": 8}'
    }  # fmt: skip
    values = [json.loads(text) for text in trials.loc[trials["state"] == "complete", "values"]]
    assert all({*found} == {*PAIR} for found in values)


def test_before_and_after_are_compared_on_test_rows_with_every_seed(done):
    test = done["test"]
    assert set(test["seed"]) == {0, 1}
    assert set(test["system"]) == {"before", "after", "difference"}
    value = test.set_index(["seed", "task", "system"])["value"]
    for seed in (0, 1):
        for task in PAIR:
            lead = value[seed, task, "after"] - value[seed, task, "before"]
            assert value[seed, task, "difference"] == pytest.approx(lead, abs=2e-6)


def test_test_rows_are_not_compared_before_every_trial_is_done(small, tmp_path):
    paths = Paths(tmp_path, "tiny")
    run = replace(small, paths=paths)
    assert list(COMPARISON.trainings(run)) == []


def other_test_labels(tables):
    """The same tables with other labels of test rows, and other ratings of their events."""
    examples, events = tables.examples.copy(), tables.events.copy()
    test = (examples["split"] == "test").to_numpy()
    rng = np.random.default_rng(9)
    for task in PAIR.values():
        column = examples[task.label].to_numpy().copy()
        known = np.flatnonzero(test & examples[task.label].notna().to_numpy())
        column[known] = [["action"]] * len(known) if task.label == "kind" else 1 - column[known]
        examples[task.label] = column
    late = events["timestamp"] >= examples.loc[test, "timestamp"].min()
    events.loc[late, "rating"] = rng.integers(1, 6, late.sum()).astype(float)
    assert late.sum() > 50
    return replace(tables, examples=examples, events=events)


def test_labels_of_test_rows_cannot_change_anything_that_a_search_returns(world, vectors, tmp_path):
    found = []
    for name, tables in (("a", world), ("b", other_test_labels(world))):
        run = of(tables, vectors, tmp_path / name)
        known = search_of(run, "tpe", 2)
        source = Source.read(run)
        trials = [*known.run(source.measure)]
        found.append(
            [(settings_of(t), t.values, t.user_attrs["values"], t.intermediate_values)
             for t in trials]
        )  # fmt: skip
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_test_rows_have_no_label_before_anything_is_fitted(small, world):
    shut = closed(world, PAIR).examples
    test = shut["split"] == "test"
    for task in PAIR.values():
        assert shut.loc[test, task.label].isna().all()
        pd.testing.assert_series_equal(
            shut.loc[~test, task.label], world.examples.loc[~test, task.label], check_dtype=False
        )
    assert (Source.read(small).tables.examples["split"] == "test").sum() == test.sum()


def test_a_search_goes_on_after_its_best_was_applied_and_not_after_other_changes(small):
    wider = replace(small, model_building=small.model_building.model_copy(update={"width": 4}))
    taught = replace(small, training=small.training.model_copy(update={"distillation": 0.5}))
    deeper = replace(
        small, model_building=small.model_building.model_copy(update={"tower_units": 4})
    )
    assert identity(wider) == identity(taught) == identity(small) != identity(deeper)
    with pytest.raises(ConfigError, match="another search \\(settings: not the present ones"):
        search_of(replace(deeper), "tpe").open()


def test_other_tables_are_another_search(done, world, vectors, tmp_path):
    run = of(make_world(seed=7), vectors, tmp_path)
    known = search_of(done["run"], "tpe").file
    search_of(run, "tpe").file.parent.mkdir(parents=True)
    search_of(run, "tpe").file.write_bytes(known.read_bytes())
    with pytest.raises(ConfigError, match="another search \\(tables or text vectors: "):
        search_of(run, "tpe").open()


def test_a_new_clone_goes_on_from_the_committed_trials(done, vectors, tmp_path):
    run = replace(done["run"], paths=Paths(tmp_path, "tiny"))
    run.paths.artifacts.mkdir(parents=True)
    schema.write(schema.read(done["run"].paths.tables), run.paths.tables)
    run.paths.embeddings.symlink_to(done["run"].paths.embeddings)
    mine = replace(run, search=SMALL.model_copy(update={"trials": 3}))
    PLAN.file(run).parent.mkdir(parents=True)
    PLAN.file(run).write_bytes(PLAN.file(done["run"]).read_bytes())
    before = len(ledger.read(PLAN.file(run)))
    assert not search.study(mine, minutes=0)
    known = search_of(mine, "tpe")
    assert [settings_of(t) for t in known.finished()] in ([], known_settings(done))
    assert search.study(mine)
    assert len(ledger.read(PLAN.file(run))) == before + 2  # one of tpe and one of random
    assert [settings_of(t) for t in known.finished()][:2] == known_settings(done)
    assert known.open().user_attrs[BASELINE]


def known_settings(done):
    trials = done["trials"]
    return [json.loads(text) for text in trials.loc[trials["sampler"] == "tpe", "settings"]]


def test_a_metric_of_validation_rows_is_what_a_trial_is_judged_by(small, monkeypatch):
    asked = []

    def judge(bench, model, names, rows):
        asked.append(rows)
        return {name: ("auc", 0.5) for name in names}

    monkeypatch.setattr(search, "score", judge)
    source = Source.read(small)
    source.measure(
        {"model_building.width": 4, "training.learning_rate": 0.01}, lambda epoch, loss: None
    )
    split = source.tables.examples["split"].to_numpy()
    assert (split[asked[0]] == "validation").all()
    assert len(asked[0]) == (split == "validation").sum()


def test_fewer_text_components_are_the_first_ones(small, monkeypatch):
    source = Source.read(small)
    width = source.vectors["items"].shape[1]
    found = source.bench({"task_embedding.components": 3}).vectors["items"]
    np.testing.assert_array_equal(found, source.vectors["items"][:, :3])
    assert width > 3


def test_tune_shows_a_diff_and_writes_it_only_when_asked(done, monkeypatch, capsys):
    run = done["run"]
    text = "domains:\n  tiny:\n    model_building: {}  # mine\n    training: {}\n    tasks: {}\n"
    file = run.paths.root / "params.yaml"
    file.write_text(text)
    monkeypatch.setattr(tune.apply.block, "read_params", lambda path: None)
    monkeypatch.setattr(tune.runner, "begin", lambda domain: run)
    known = search_of(run, "grid").finished()
    monkeypatch.setattr(tune, "best", lambda trials: known[-1])
    monkeypatch.setattr(
        tune, "settings_of", lambda trial: {**settings_of(trial), "model_building.width": 4}
    )
    tune.tune("tiny", "grid", minutes=0)
    said = capsys.readouterr().out
    assert "+    model_building: {width: 4}" in said
    assert "nothing is written; --apply writes it." in said
    assert file.read_text() == text
    tune.tune("tiny", "grid", minutes=0, write=True)
    assert "written to params.yaml" in capsys.readouterr().out
    assert "model_building: {width: 4}" in file.read_text()
    assert "# mine" in file.read_text()


def test_a_best_trial_with_the_present_settings_changes_nothing(done, monkeypatch, capsys):
    run = done["run"]
    (run.paths.root / "params.yaml").write_text("domains:\n  tiny:\n    training: {}\n")
    known = search_of(run, "tpe")
    monkeypatch.setattr(tune, "best", lambda trials: trials[0])
    tune.report(run, known, True)
    assert "nothing to change" in capsys.readouterr().out


def test_the_plan_knows_trials_without_training(small):
    keys = search_plan.PLAN.keys(small)
    assert {part: len(names) for part, names in keys.items()} == {"tpe": 2, "random": 2, "grid": 3}
    more = replace(small, search=SMALL.model_copy(update={"trials": 5}))
    assert search_plan.PLAN.keys(more)["tpe"][:2] == keys["tpe"]
