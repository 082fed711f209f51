"""Joint training against training alone, and rows of the cold-start study."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.bench.models.retrained import Domain, Trained
from mtrec.bench.protocols import cold, joint


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
        name: [Trained({"test": {"task": np.array(found)}}, 10.0, cost) for found in runs]
        for name, runs, cost in (("joint", joint, 3.0), ("task", single, 2.0))
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


def test_cost_is_a_pass_in_units_of_the_mean_twin_and_of_all_twins():
    trained = {
        name: [Trained({}, 0.0, cost)] for name, cost in (("joint", 6.0), ("a", 2.0), ("b", 4.0))
    }
    rows = {row.metric: row.value for row in joint.costs("joint_x", "", trained)}
    assert rows == {"cost_ratio": 2.0, "cost_ratio_all": 1.0}


def test_without_the_study_a_sentence_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="make study"):
        cold.run("cold_items", tmp_path)


def test_cold_rows_leave_differences_and_other_splits_out(tmp_path):
    folder = tmp_path / "reports" / "study"
    folder.mkdir(parents=True)
    row = {"seed": 1, "task": "like", "type": "binary", "rows": 9, "entities": 3, "metric": "auc",
           "value": 0.5, "low": 0.4, "high": 0.6}  # fmt: skip
    pd.DataFrame(
        [{"split": split, "system": system, "key": key, **row}
         for split in ("cold_items", "cold_users")
         for system in ("both", "catboost", "both - catboost") for key in ("old", "new")]
    ).to_csv(folder / "video_cold.csv", index=False)  # fmt: skip
    rows = cold.run("cold_items", tmp_path)
    assert [(r.protocol, r.system, r.metric) for r in rows] == [
        ("cold_items", "mtrec joint", "video like auc"),
        ("cold_items", "catboost", "video like auc"),
    ]


def test_where_there_is_no_text_the_model_with_tables_is_the_whole_one(tmp_path):
    file = tmp_path / "films_cold.csv"
    row = {"split": "cold_items", "task": "like", "metric": "auc", "value": 0.5, "low": 0.4,
           "high": 0.6, "key": "k"}  # fmt: skip
    pd.DataFrame([{"system": s, **row} for s in ("ids", "tables", "means")]).to_csv(file)
    names = [row.system for row in cold.domain_rows("cold_items", file)]
    assert names == ["mtrec joint, ids alone", "mtrec joint", "means"]
