"""Joint training against training alone, and rows of the cold-start study."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.harness import results
from benchmarks.protocols import cold, joint, step_cost
from benchmarks.report import words
from mtrec.report import controls
from mtrec.studies import workbench
from mtrec.studies.cold_start_plan import PLAN
from tests.conftest import FEW, ROOT


def test_joint_rows_are_those_of_the_controls_and_gains_are_signed_so_that_more_is_better():
    known = pd.DataFrame(
        [{"seed": seed, "task": "task", "metric": "rmse", "system": system, "value": value,
          "low": value - 0.1, "high": value + 0.1}
         for seed in (42, 43)
         for system, value in (("joint", 0.9), ("single", 1.2), ("difference", -0.3),
                               ("baseline", 1.5))]
    )  # fmt: skip
    rows = {row.system: row for row in joint.rows_of("joint_x", "", controls.combined(known))}
    assert set(rows) == {"mtrec joint", "mtrec single-task twin", joint.GAIN}
    gain = rows[joint.GAIN]
    assert (gain.metric, gain.seeds) == ("task rmse", 2)
    assert gain.value == pytest.approx(0.3) and gain.low == pytest.approx(0.2)


@pytest.mark.parametrize("domain", joint.DOMAINS)
def test_committed_rows_are_those_of_the_committed_controls_or_say_that_they_are_older(domain):
    file = ROOT / "reports" / "study" / f"{domain}_controls.csv"
    rows = results.read(ROOT / "benchmarks" / "results.json")
    rows = rows[rows["protocol"] == f"joint_{domain}"].set_index(["system", "metric"])
    older = "earlier settings" in words.given(f"joint_{domain}")
    assert older != file.is_file(), "make bench ONLY='joint_*', and mend benchmarks/text/given.md"
    if file.is_file():
        for row in joint.rows_of("", "", controls.combined(pd.read_csv(file))):
            kept = rows.loc[(row.system, row.metric)]
            assert [kept["value"], kept["low"], kept["high"]] == [row.value, row.low, row.high]


def test_cost_is_in_units_of_the_mean_twin_of_all_twins_and_per_row():
    seconds = {"joint": np.array([6.0, 8.0]), "a": np.array([2.0, 2.0]), "b": np.array([4.0, 6.0])}
    found = step_cost.ratios(seconds, {"joint": 10, "a": 10, "b": 4})
    np.testing.assert_allclose(found["cost_ratio"], [2.0, 2.0])
    np.testing.assert_allclose(found["cost_ratio_all"], [1.0, 1.0])
    np.testing.assert_allclose(found["cost_ratio_per_row"], [0.6 / 0.6, 0.8 / 0.85])


def test_cost_is_timed_on_the_models_of_the_pipeline(few_run, monkeypatch):
    training = few_run.training.model_copy(update={"distillation": 0.5})
    made = replace(few_run, training=training)
    trainers = step_cost.all_trainers(workbench.whole(made))
    assert list(trainers) == [*FEW, "joint"]
    assert set(trainers["joint"]._data["taught"]) == set(FEW)
    assert trainers["joint"].batch > max(trainers[name].batch for name in ("kind", "like"))
    few = {name: trainers[name] for name in ("like", "joint")}  # each is compiled
    monkeypatch.setattr(step_cost, "experiment", lambda domain, root: made)
    monkeypatch.setattr(step_cost, "all_trainers", lambda bench: few)
    rows = {row.metric: row for row in step_cost.run(few_run.paths.root, ["tiny"], 1)}
    names = ("cost_ratio", "cost_ratio_all", "cost_ratio_per_row")
    assert set(rows) == {f"tiny {name}" for name in names}
    assert all(row.low <= row.value <= row.high for row in rows.values())
    assert {row.protocol for row in rows.values()} == {"step_cost"}


def test_without_the_study_a_sentence_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="make study"):
        cold.run("cold_items", tmp_path)


@pytest.fixture
def cold_study(run, tmp_path):
    """Writes results of systems in two splits and two seeds, and returns the settings."""

    def write(*systems):
        here = replace(run, paths=replace(run.paths, root=tmp_path))
        about = {"task": "like", "type": "binary", "rows": 9, "entities": 3, "metric": "auc"}
        rows = [
            {"split": split, "seed": seed, "system": system, "key": f"{split} {seed}", **about,
             "value": 0.5 + 0.1 * seed, "low": 0.4, "high": 0.6 + 0.1 * seed}
            for split in ("cold_items", "cold_users") for seed in (0, 1) for system in systems
        ]  # fmt: skip
        file = PLAN.file(here)
        file.parent.mkdir(parents=True)
        pd.DataFrame(rows).to_csv(file, index=False)
        return here

    return write


def test_cold_rows_are_means_over_seeds_without_differences_and_other_splits(cold_study):
    rows = cold.domain_rows(
        "cold_items", cold_study("both", "catboost", "both - catboost", "both - ids"), ""
    )
    assert [(r.protocol, r.system, r.metric, r.seeds) for r in rows] == [
        ("cold_items", "mtrec joint", "tiny like auc", 2),
        ("cold_items", "catboost", "tiny like auc", 2),
        ("cold_items", "mtrec joint - catboost", "tiny like auc", 2),
    ]
    assert (rows[0].value, rows[0].low, rows[0].high) == pytest.approx((0.55, 0.4, 0.7))


def test_where_there_is_no_text_the_model_with_tables_is_the_whole_one(cold_study):
    rows = cold.domain_rows("cold_items", cold_study("ids", "tables", "means"), "")
    names = [row.system for row in rows]
    assert names == ["mtrec joint, ids alone", "mtrec joint", "means"]


def test_means_are_a_peer_too(cold_study):
    rows = cold.domain_rows("cold_users", cold_study("both", "means", "both - means"), "")
    assert [row.system for row in rows] == ["mtrec joint", "means", "mtrec joint - means"]
