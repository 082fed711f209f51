"""What a domain of one's own says at the end."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mtrec.config import experiment
from mtrec.domains.own.new import new
from mtrec.report import own_summary as summary
from mtrec.report import readme as report
from mtrec.tables import schema

ROOT = Path(__file__).resolve().parents[2]
AUC = {"value": 0.7, "low": 0.6, "high": 0.8}
BETTER = {"auc": {"value": 0.1, "low": 0.05, "high": 0.2}}
UNCLEAR = {"auc": {"value": 0.0, "low": -0.1, "high": 0.1}}
SYSTEMS = {name: {"auc": AUC} for name in ("joint", "single", "baseline")}
TASK = {"type": "binary", "peers": [], **SYSTEMS, "difference": UNCLEAR,
        "baseline_difference": BETTER}  # fmt: skip
METRICS = {"seed": 42, "parameters": 1000, "device": "CPU", "precision": "float32",
           "tasks": {"gift": TASK}}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A domain of one's own whose tables are made."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    number = range(200)
    events = pd.DataFrame({
        "user": [f"u{n % 9}" for n in number], "item": [f"i{n % 7}" for n in number],
        "timestamp": [1_600_000_000 + n * 9_000 for n in number], "gift": [n % 3 for n in number],
    }).replace({"gift": {2: 1}})  # fmt: skip
    events.to_csv(tmp_path / "log.csv", index=False)
    new("shop", {"events": tmp_path / "log.csv"}, {}, start=tmp_path)
    found = experiment("shop", tmp_path)
    found.paths.artifacts.mkdir(parents=True)
    raw = found.module.load_raw(found.raw)
    schema.write(found.module.make_tables(raw, found.domain.data, 0), found.paths.tables)
    return found


def test_five_sentences_say_what_was_found_and_how_to_ask(run):
    found = summary.sentences(run, METRICS)
    assert found[:4] == [
        "shop has 200 events of 9 users with 7 items.",
        "On rows that it never saw, the joint model reaches gift 0.700 (auc ↑, baseline 0.700).",
        "The model, against the baseline, helps 1 of 1 task (gift) and hurts none.",
        "Training all tasks together, in this one run, helps none of 1 task and hurts none; "
        "1 is undecided (gift).",
    ]
    assert len(found) == 5
    assert found[4].startswith('The model lies in models/shop; mtrec.load("shop").score(pairs)')


def test_own_results_are_no_part_of_the_readme_but_lie_beside_notebooks(run, capsys, monkeypatch):
    root = run.paths.root
    (root / "docs").mkdir()
    for name in ("README.md", "CONTRIBUTING.md", "docs/results.md"):
        shutil.copy(ROOT / name, root / name)
    (root / "reports" / "shop" / "metrics.json").write_text(json.dumps(METRICS))
    figure = root / "reports" / "shop" / summary.PICTURE
    figure.parent.mkdir()
    figure.write_bytes(b"")
    monkeypatch.setattr(report, "graph", lambda root: "")
    report.main(["shop"], root)
    page = (root / "docs" / "results.md").read_text(encoding="utf-8")
    results = page.partition("<!-- results:begin -->")[2].partition("<!-- results:end -->")[0]
    assert results.strip() == "No results yet: run `make repro`."
    written = (root / "reports" / "shop" / "summary.md").read_text(encoding="utf-8")
    assert written.startswith("# shop\n- shop has 200 events")
    assert f"]({summary.PICTURE})" in written
    assert "reports/shop/summary.md" in capsys.readouterr().out
