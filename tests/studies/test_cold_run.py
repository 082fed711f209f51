import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.config import experiment
from mtrec.studies import cold_start as module
from mtrec.studies import ledger
from mtrec.studies.cold_start import hold_out_once, study
from mtrec.studies.cold_start_plan import (
    DROPOUT,
    PLAN,
    adapted,
    cold_tasks,
    fingerprint,
    planned,
)
from tests.conftest import FEW
from tests.studies.conftest import moved, with_short


@pytest.fixture
def quick(monkeypatch):
    """Splits that take no time; lists them."""
    done = []

    def one(run, tables, vectors, split, asked, seed):
        done.append(split)
        return pd.DataFrame({"split": [split], "seed": seed, "task": "like", "system": "both"})

    monkeypatch.setattr(module, "hold_out_once", one)
    return done


def test_every_split_is_done_once_and_an_interrupted_study_goes_on(cold_run, quick, tmp_path):
    run = moved(cold_run, tmp_path)
    assert not study(run, minutes=0)
    assert not quick
    assert study(run)
    assert quick == planned(run) == ["cold_items", "cold_users"]
    assert study(run, minutes=0)  # nothing is left that could be stopped
    assert len(quick) == 2
    assert study(with_short(run, seeds=3))
    assert len(quick) == 6  # more seeds leave the first one valid
    assert ledger.read(PLAN.file(run))["key"].nunique() == 6


def test_peer_that_is_not_installed_is_left_out_until_it_is(
    cold_run, quick, tmp_path, monkeypatch, capsys
):
    run = adapted(moved(cold_run, tmp_path))
    monkeypatch.setattr(module.schema, "read", lambda folder: None)
    monkeypatch.setattr(module.embeddings, "load", lambda folder: None)
    for name in ("lightfm", "catboost"):
        monkeypatch.setitem(sys.modules, name, None)
    assert study(run)
    assert (
        "lightfm-next is not installed. Install it: `pip install lightfm-next`. It is left out"
        in capsys.readouterr().out
    )
    assert study(run)
    assert len(quick) == 2
    assert PLAN.results(run)["key"].tolist() == [
        fingerprint(run, split, run.seed, ()) for split in planned(run)
    ]
    for name in ("lightfm", "catboost"):
        monkeypatch.setitem(sys.modules, name, object())
    assert study(run)
    assert len(quick) == 4  # with peers it is another result, and it is the one that is shown
    whole = [fingerprint(run, split, run.seed) for split in planned(run)]
    assert PLAN.results(run)["key"].tolist() == whole
    monkeypatch.setitem(sys.modules, "lightfm", None)
    assert study(run, minutes=0)  # what is known with all peers is not done again


def test_results_of_other_settings_are_shown_until_there_are_own(cold_run, quick, tmp_path):
    run = moved(cold_run, tmp_path)
    with pytest.raises(FileNotFoundError, match="run `make study DOMAIN=.* PART=cold_start`"):
        PLAN.results(run)
    file, old = PLAN.file(run), PLAN.keys(run)
    row = {"seed": 0, "task": "like", "system": "both"}
    for split, names in old.items():
        ledger.add(file, pd.DataFrame([{"split": split, "key": names[0], **row}]))
    training = run.training.model_copy(update={"l2": 0.5})
    changed = replace(run, training=training)
    new = PLAN.keys(changed)
    assert not {*old["cold_items"]} & {*new["cold_items"]}
    assert PLAN.results(changed)["key"].tolist() == [names[0] for names in old.values()]
    for split, names in new.items():
        ledger.add(file, pd.DataFrame([{"split": split, "key": names[0], **row}]))
    assert PLAN.results(changed)["key"].tolist() == [names[0] for names in new.values()]
    assert PLAN.results(run)["key"].tolist() == [names[0] for names in old.values()]


def test_nobody_held_out_has_links_and_no_head_reads_any():
    assert experiment("social_trust").domain.tasks["trust"].head == "linked_catalogue"
    assert adapted(experiment("social_trust")).domain.tasks["trust"].head is None


def test_a_study_trains_as_the_domain_does_but_drops_more_and_starts_at_means_of_one_side():
    own = experiment("ecommerce")
    run = adapted(own)
    assert run.training == own.training
    more = {"dropout": DROPOUT}
    assert run.model_building == own.model_building.model_copy(update=more)
    assert own.domain.tasks["category"].offset  # which sees households alone
    assert not run.domain.tasks["category"].offset
    assert adapted(experiment("video")).domain.tasks["rating"].offset


@pytest.mark.parametrize("change", [{"distillation": 0.7}, {"recalibrate": True}])
def test_what_the_pipeline_alone_does_makes_no_results_new(cold_run, change):
    training = cold_run.training.model_copy(update=change)
    other = replace(cold_run, training=training)
    assert fingerprint(other, "cold_items", 0) == fingerprint(cold_run, "cold_items", 0)


def test_offset_makes_results_new(cold_run):
    task = cold_run.domain.tasks["rating"].model_copy(update={"offset": "running_mean"})
    domain = cold_run.domain.model_copy(update={"tasks": {**cold_run.domain.tasks, "rating": task}})
    other = replace(cold_run, domain=domain)
    assert fingerprint(other, "cold_items", 0) != fingerprint(cold_run, "cold_items", 0)


def test_split_that_no_task_sees_is_not_planned(cold_run):
    tasks = {"kind": cold_run.domain.tasks["kind"]}
    domain = cold_run.domain.model_copy(update={"tasks": tasks})
    assert planned(replace(cold_run, domain=domain)) == ["cold_items"]


def test_domain_with_too_few_labels_says_so_and_writes_nothing(cold_run, tmp_path, capsys):
    tasks = {"kind": cold_run.domain.tasks["kind"]}  # a row per item
    run = moved(cold_run, tmp_path)
    few = replace(run, domain=run.domain.model_copy(update={"tasks": tasks}))
    assert study(with_short(few, test_share=0.05))  # twenty items
    assert "cold_items: no task has 30 labels in every split" in capsys.readouterr().out
    assert not PLAN.file(run).is_file()


@pytest.mark.parametrize("more", [{"share": 0.9}, {"test_share": 0.3}])
def test_changed_setting_makes_results_new(cold_run, more):
    first = fingerprint(cold_run, "cold_items", 0)
    assert fingerprint(with_short(cold_run, **more), "cold_items", 0) != first
    assert fingerprint(cold_run, "cold_users", 0) != first
    assert fingerprint(cold_run, "cold_items", 1) != first


@pytest.mark.usefixtures("eagerly")
def test_every_system_of_every_task_is_scored_on_the_same_rows(cold_run, cold_world, cold_vectors):
    tasks = {name: FEW[name] for name in ("rating", "mood")}
    run = replace(cold_run, domain=cold_run.domain.model_copy(update={"tasks": tasks}))
    found = pd.concat(
        [hold_out_once(run, cold_world, cold_vectors, "cold_users", (), n) for n in (0, 1)]
    )
    assert list(found["task"].unique()) == list(cold_tasks(tasks, "user")) == list(tasks)
    for _, part in found.groupby(["task", "seed"]):
        assert set(part["system"]) >= {"ids", "tables", "llm", "both", "means", "llm - ids"}
        assert part["system"].is_unique
    for _, part in found.groupby("task"):
        assert part["rows"].nunique() == part["entities"].nunique() == 1
    assert (found["low"] <= found["high"]).all()
    assert found["entities"].max() <= 12  # a fifth of 60 users
    rating = found[found["task"] == "rating"].set_index(["system", "seed"])["value"]
    for seed in (0, 1):
        gain = rating["ids", seed] - rating["llm", seed]
        assert rating["llm - ids", seed] == pytest.approx(gain, abs=2e-6)
        assert np.isfinite(rating["both", seed])
    assert rating["both", 0] != rating["both", 1]
    assert rating["means", 0] == rating["means", 1]


def test_scores_that_differ_by_rounding_are_ties():
    scores = np.array([[1.0, 1.0 + 1e-7, 0.5, 2.0], [3.0, 1.0, 1.0 - 1e-7, 0.0]])
    assert module.tied(scores, np.array([0, 1])).tolist() == [[0, 0, -0.5, 1], [2, 0, 0, -1]]
