"""Rows that the benchmarks take from the pipeline and from the cold-start study."""

import json

import pandas as pd
import pytest

from mtrec.bench.protocols import cold, joint


def scores(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.2}


def task(kind, metric):
    systems = {"joint": 0.5, "single": 0.6, "baseline": 0.9, "difference": -0.1}
    return {"type": kind, **{name: {metric: scores(v)} for name, v in systems.items()}}


def test_gain_of_an_error_is_turned_so_that_more_is_better():
    rows = joint.task_rows("joint_x", "", "spend", task("regression", "rmse"), 1.0)
    gain = next(row for row in rows if row.system == joint.GAIN)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.1, -0.1, 0.2))
    rows = joint.task_rows("joint_x", "", "like", task("binary", "auc"), 1.0)
    gain = next(row for row in rows if row.system == joint.GAIN)
    assert (gain.value, gain.low, gain.high) == pytest.approx((-0.1, -0.2, 0.1))
    assert {row.metric for row in rows} == {"like auc"}


def test_without_the_pipeline_a_sentence_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="make repro"):
        joint.run("video", tmp_path)
    with pytest.raises(FileNotFoundError, match="make study"):
        cold.run("cold_items", tmp_path)


def test_joint_rows_carry_the_digest_of_the_examples(tmp_path):
    report = tmp_path / "reports" / "video" / "metrics.json"
    report.parent.mkdir(parents=True)
    found = {"seconds": {"training": 3.0}, "tasks": {"like": task("binary", "auc")}}
    report.write_text(json.dumps(found))
    examples = tmp_path / "artifacts" / "video" / "tables" / "examples.parquet"
    examples.parent.mkdir(parents=True)
    examples.write_bytes(b"abc")
    rows = joint.run("video", tmp_path)
    assert {row.split_sha256[:8] for row in rows} == {"ba7816bf"}
    assert len(rows) == 4


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
