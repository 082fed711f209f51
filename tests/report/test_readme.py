import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mtrec.evaluation import reference
from mtrec.paths import Paths
from mtrec.report import readme, tables
from mtrec.studies import controls_plan
from mtrec.studies.controls_plan import PLAN
from mtrec.studies.plan import Trainings

ROOT = Path(__file__).resolve().parents[2]
SCORE = {"rmse": {"value": 1.0, "low": 0.9, "high": 1.1}}
SYSTEMS = {name: SCORE for name in ("joint", "single", "baseline", "difference")}
TASK = {"type": "regression", "peers": [], **SYSTEMS}
HEAD = {"seed": 42, "parameters": 1000, "device": "CPU", "precision": "float32"}
METRICS = {"tiny": {**HEAD, "tasks": {"rating": TASK}}}


@pytest.fixture
def paths(monkeypatch, tmp_path):
    run = SimpleNamespace(name="tiny", paths=Paths(tmp_path, "tiny"))
    monkeypatch.setattr(readme, "experiment", lambda domain, root: run)
    some = [Trainings("controls", "", {42: "a", 43: "b", 44: "c"})]
    monkeypatch.setattr(controls_plan, "PLAN", replace(PLAN, trainings=lambda run: some))
    return run.paths


def test_one_training_gets_no_verdict_and_the_command_that_gives_one(paths):
    found = readme.results_section(METRICS, paths.root)
    assert "make study DOMAIN=tiny PART=controls" in found
    assert "helps" not in found
    assert "joint training" not in found.splitlines()[2]


def write(paths, keys):
    rows = [
        {"seed": 42 + n, "task": "rating", "metric": "rmse", "system": "difference",
         "value": -0.2 - n / 100, "low": -0.25, "high": -0.15, "key": key}
        for n, key in enumerate(keys)
    ]  # fmt: skip
    file = PLAN.file(SimpleNamespace(paths=paths))
    file.parent.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(file, index=False)


def test_a_study_that_has_only_begun_gives_no_verdict(paths):
    write(paths, "a")
    found = readme.results_section(METRICS, paths.root)
    assert "One training of each model allows no verdict" in found
    assert "nan" not in found and "seeds |" not in found


def test_a_task_that_came_after_the_study_has_no_gain_and_earlier_settings_are_named(paths):
    write(paths, "xyz")
    new = {"tiny": {**HEAD, "tasks": {"rating": TASK, "new": TASK}}}
    lines = readme.results_section(new, paths.root).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[4:6]] == [
        "+0.210 [+0.159, +0.261]", ""
    ]  # fmt: skip
    assert lines[-1].endswith(
        "These trainings had other settings: `make study DOMAIN=tiny PART=controls` trains anew."
    )


def test_verdicts_and_gain_are_of_all_trainings(paths):
    write(paths, "abc")
    found = readme.results_section(METRICS, paths.root)
    assert found.splitlines()[2].endswith("| joint training, 3 seeds |")
    assert "+0.210 [" in found
    assert "Joint training helps 1 of 1 task (rating) and hurts none." in found
    assert "other settings" not in found


def test_a_metric_that_is_undefined_has_no_figure_and_no_reference(paths):
    nothing = {"rmse": {"value": None, "low": None, "high": None}}
    task = {**TASK, **{system: nothing for system in SYSTEMS}}
    metrics = {**HEAD, "tasks": {"rating": task, "other": TASK}}
    shown = tables.results_table(metrics)
    assert shown["joint"].tolist() == ["–", "1.000 [0.900, 1.100]"]
    assert tables.difference_table(metrics)["value"].isna().tolist() == [True, False]
    assert list(reference.main_figures(metrics)) == ["other joint rmse", "other single rmse"]


@pytest.mark.parametrize("broken", [{"tasks": {"rating": None}}, {"tasks": {}}, {"tasks": 1}])
def test_a_domain_whose_metrics_are_broken_stops_no_other(paths, broken):
    found = readme.results_section({"broken": broken, **METRICS}, paths.root)
    assert "**`broken`**: reports/broken/metrics.json cannot be shown" in found
    assert "`make repro DOMAIN=broken` writes it again" in found
    assert "**`tiny`** (seed 42" in found


def test_a_table_shows_the_best_specialist_and_says_where_the_joint_model_is_behind(paths):
    ahead = {"rmse": {"value": 0.8, "low": 0.7, "high": 0.9}}
    tasks = {"rating": {"type": "regression", "best_peer": "ease", "joint": SCORE, "peer": ahead}}
    folder = paths.root / "reports" / "tiny"
    folder.mkdir(parents=True)
    (folder / "fusion.json").write_text(json.dumps({"seed": 42, "tasks": tasks}))
    found = readme.results_section(METRICS, paths.root)
    assert found.splitlines()[2].endswith("| best specialist |")
    assert "| ease 0.800 [0.700, 0.900] |" in found
    assert "behind the best specialist of notebook 14 in 1 of 1 tasks (rating)." in found


def test_the_answer_says_who_made_it(tmp_path):
    file = tmp_path / "fusion.json"
    task = {"type": "ranking", "served": "fused", "weights": {"joint": 0.5, "als": 0.0, "ease": 1}}
    file.write_text(json.dumps({"tasks": {"next": task}}))
    assert "This list combines `joint` and `ease`; " in readme._answering(file)
    file.write_text(json.dumps({"tasks": {"next": {**task, "served": "ease"}}}))
    assert "`ease` makes this list; " in readme._answering(file)
    assert readme._answering(tmp_path / "none.json") == ""


def test_metrics_that_were_cut_off_are_of_a_domain_to_run_again(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    folder = tmp_path / "reports" / "video"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"tasks": {"rating"')
    found = readme.results_section(readme.read_metrics(tmp_path), tmp_path)
    assert found.startswith("**`video`**: reports/video/metrics.json cannot be shown")
