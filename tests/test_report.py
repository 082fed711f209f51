from types import SimpleNamespace

import pandas as pd
import pytest

from mtrec import report
from mtrec.paths import Paths
from mtrec.study import controls_report

SCORE = {"rmse": {"value": 1.0, "low": 0.9, "high": 1.1}}
SYSTEMS = {name: SCORE for name in ("joint", "single", "baseline", "difference")}
TASK = {"type": "regression", "peers": [], **SYSTEMS}
HEAD = {"seed": 42, "parameters": 1000, "device": "CPU", "precision": "float32"}
METRICS = {"tiny": {**HEAD, "tasks": {"rating": TASK}}}


@pytest.fixture
def paths(monkeypatch, tmp_path):
    run = SimpleNamespace(name="tiny", paths=Paths(tmp_path, "tiny"))
    monkeypatch.setattr(report, "experiment", lambda domain, root: run)
    monkeypatch.setattr(controls_report, "keys", lambda run: {42: "a", 43: "b", 44: "c"})
    return run.paths


def test_one_training_gets_no_verdict_and_the_command_that_gives_one(paths):
    found = report.results_section(METRICS, paths.root)
    assert "make study DOMAIN=tiny PART=controls" in found
    assert "helps" not in found
    assert "joint training" not in found.splitlines()[2]


def test_verdicts_and_gain_are_of_all_trainings(paths):
    rows = [
        {"seed": 42 + n, "task": "rating", "metric": "rmse", "system": "difference",
         "value": -0.2 - n / 100, "low": -0.25, "high": -0.15, "key": key}
        for n, key in enumerate("abc")
    ]  # fmt: skip
    paths.controls.parent.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(paths.controls, index=False)
    found = report.results_section(METRICS, paths.root)
    assert found.splitlines()[2].endswith("| joint training, 3 seeds |")
    assert "+0.210 [" in found
    assert "Joint training helps rating; hurts none; is unclear for none." in found
