"""Joint training against training alone, and rows of the cold-start study."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.models import retrained
from benchmarks.models.retrained import Domain, Trained
from benchmarks.protocols import cold, joint, step_cost
from mtrec.cold.run import results_file
from tests.conftest import FEW


def domain(kind, labels, joint, single):
    """A domain of one task with one training of either model per given answers."""
    rows = pd.DataFrame({"user_id": np.arange(len(labels)).astype(str), "item_id": "i",
                         "split": "test"})  # fmt: skip
    bench = SimpleNamespace(
        tables=SimpleNamespace(examples=rows),
        assembly=SimpleNamespace(types={"task": kind}),
        data=SimpleNamespace(
            labels={"task": np.array(labels)}, masks={"task": np.ones(len(labels), bool)}
        ),
    )
    models = {
        name: [Trained({"test": {"task": np.array(found)}}, 10.0) for found in runs]
        for name, runs in (("joint", joint), ("task", single))
    }
    return Domain(bench, models)


def test_gain_of_an_error_is_turned_so_that_more_is_better():
    kind = SimpleNamespace(metrics="regression")
    worse, better = [1.0, 2.0, 3.0], [0.1, 0.2, 0.3]
    found = domain(kind, [0.0, 0.0, 0.0], [better], [worse])
    rows = {row.system: row for row in joint.task_rows("joint_x", "", "task", found)}
    gain = rows[joint.GAIN]
    wanted = rows["mtrec single-task twin"].value - rows["mtrec joint"].value
    assert gain.value == pytest.approx(wanted) and gain.value > 0
    assert gain.low <= gain.value <= gain.high
    assert {row.metric for row in rows.values()} == {"task rmse"}


def test_rows_are_means_over_seeds_and_name_each():
    kind = SimpleNamespace(metrics="binary")
    right, wrong = [0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1]
    found = domain(kind, [0, 0, 1, 1], [right, right], [right, wrong])
    rows = {row.system: row for row in joint.task_rows("joint_x", "", "task", found)}
    assert rows["mtrec joint"].value == 1.0
    assert rows["mtrec single-task twin"].value == 0.5
    assert (rows[joint.GAIN].value, rows[joint.GAIN].seeds) == (0.5, 2)
    assert rows[joint.GAIN].note == "by seed: 0.0000, 1.0000"


def test_cost_is_in_units_of_the_mean_twin_of_all_twins_and_per_row():
    seconds = {"joint": np.array([6.0, 8.0]), "a": np.array([2.0, 2.0]), "b": np.array([4.0, 6.0])}
    found = step_cost.ratios(seconds, {"joint": 10, "a": 10, "b": 4})
    np.testing.assert_allclose(found["cost_ratio"], [2.0, 2.0])
    np.testing.assert_allclose(found["cost_ratio_all"], [1.0, 1.0])
    np.testing.assert_allclose(found["cost_ratio_per_row"], [0.6 / 0.6, 0.8 / 0.85])


def test_cost_is_timed_on_the_models_of_the_pipeline(few_run, monkeypatch):
    training = few_run.training.model_copy(update={"distillation": 0.5})
    made = replace(few_run, training=training)
    trainers = step_cost.all_trainers(retrained.whole(made))
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
        file = results_file(here)
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
