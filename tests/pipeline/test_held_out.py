"""``mtrec held-out``: what is split anew, for which commit, and the line that says so."""

import json
import subprocess

import pytest
import yaml

from mtrec.lock import BusyError, only_run
from mtrec.paths import ConfigError, find_root
from mtrec.pipeline import held_out
from mtrec.report import held_out as report

LEDGER = (
    "# Rows\n\n| when | rows | why | what followed |\n|---|---|---|---|\n| before | a | b | c |\n"
)
PARAMS = """seed: 42  # of all
domains:
  video: {data: {split: temporal}}
  social_trust: {}
"""


@pytest.fixture
def clone(tmp_path):
    """A repository of git with a ledger and parameters."""
    root = tmp_path / "a clone"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "test_rows.md").write_text(LEDGER, encoding="utf-8")
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (root / "data").mkdir()
    (root / "data" / "raw.csv").write_text("1", encoding="utf-8")
    (root / ".gitignore").write_text("/data\n/build\n", encoding="utf-8")
    for command in (
        ["init", "--quiet"], ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def parts(monkeypatch):
    """Two domains, one with a clock."""
    found = {"video": {"until": "1998-03-07"}, "social_trust": {}}
    monkeypatch.setattr(held_out, "_parts", lambda root, wanted: found)
    return found


def play(monkeypatch, status=0, done=None):
    """A pipeline that only writes what notebook 14 would, of all domains or those ``done``."""
    asked = []

    def repro(wanted, until, skip, root):
        asked.append((wanted, until, skip, root))
        for name in wanted if done is None else done:
            folder = root / "reports" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "fusion.json").write_text(
                json.dumps({"seed": 43, "tasks": {}}), encoding="utf-8"
            )
        return status

    monkeypatch.setattr(held_out, "repro", repro)
    return asked


def test_the_pipeline_runs_on_another_split_in_a_copy_and_the_opening_is_noted(
    clone, parts, monkeypatch
):
    asked = play(monkeypatch)
    assert held_out.held_out(["all"], "a release", clone) == 0
    ((wanted, until, skip, work),) = asked
    assert (wanted, until, skip) == (["video", "social_trust"], "fusion", ("evaluation",))
    found = yaml.safe_load((work / "params.yaml").read_text(encoding="utf-8"))
    assert found["seed"] == held_out.SEED != 42
    assert found["domains"]["video"]["data"] == {"split": "temporal", "until": "1998-03-07"}
    assert (work / "data" / "raw.csv").read_text(encoding="utf-8") == "1"
    assert (clone / "params.yaml").read_text(encoding="utf-8") == PARAMS
    opened = report.read(clone)
    commit = opened["video"]["held_out"]["commit"]
    assert opened["video"]["held_out"]["data"] == parts["video"]
    assert opened.keys() == parts.keys()
    lines = (clone / "docs" / "test_rows.md").read_text(encoding="utf-8").splitlines()
    assert lines[-2] == "| before | a | b | c |"
    assert lines[-1].endswith(
        f"| held-out parts of `video`, `social_trust` | a release | commit {commit[:7]} |"
    )


def commit(clone):
    subprocess.run(["git", "add", "."], cwd=clone, check=True)
    settings = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *settings, "commit", "--quiet", "-m", "more"], cwd=clone, check=True)


def test_a_run_that_failed_keeps_what_is_done_and_goes_on_in_its_copy(
    clone, parts, monkeypatch, capsys
):
    asked = play(monkeypatch, status=1, done=["video"])
    (clone / "reports" / "social_trust").mkdir(parents=True)
    old = clone / "reports" / "social_trust" / "fusion.json"
    old.write_text(json.dumps({"seed": 42, "tasks": {}}), encoding="utf-8")
    commit(clone)
    assert held_out.held_out(["all"], "a release", clone) == 1
    assert report.read(clone).keys() == {"video"}  # the other is the commit's own
    assert "Run the same command again" in capsys.readouterr().out
    kept = asked[0][-1] / "kept"
    kept.touch()
    held_out.held_out(["all"], "a release", clone)
    assert kept.is_file()


def test_a_domain_whose_stage_was_stopped_does_not_lose_the_others(clone, parts, monkeypatch):
    play(monkeypatch, status=1, done=["social_trust"])
    assert held_out.held_out(["all"], "a release", clone) == 1
    assert report.read(clone).keys() == {"social_trust"}


def test_the_same_opening_is_noted_once():
    once = held_out.noted(LEDGER, ["video"], "a release", "0" * 40)
    assert once != LEDGER
    assert held_out.noted(once, ["video"], "a release", "0" * 40) == once


def test_the_copy_of_another_commit_is_not_thrown_away(clone, parts, monkeypatch):
    asked = play(monkeypatch)
    held_out.held_out(["all"], "a release", clone)
    commit(clone)
    with pytest.raises(ConfigError, match="copy of another commit"):
        held_out.held_out(["all"], "another", clone)
    assert asked[0][-1].is_dir() and len(asked) == 1


def test_one_run_at_a_time(clone, parts, monkeypatch):
    play(monkeypatch)
    with only_run(clone / "build" / "held_out.lock"), pytest.raises(BusyError):
        held_out.held_out(["all"], "a release", clone)


@pytest.mark.parametrize("why", ["", "  ", "a | b", "a\nb"])
def test_a_part_is_not_opened_without_a_reason(clone, parts, why):
    with pytest.raises(ConfigError, match="--why"):
        held_out.held_out(["all"], why, clone)


def test_a_part_is_opened_for_a_commit_alone(clone, parts, tmp_path):
    (clone / "params.yaml").write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="params.yaml. Commit them first"):
        held_out.held_out(["all"], "a release", clone)
    for folder in (tmp_path, clone / "docs"):  # no clone, or not its root
        with pytest.raises(ConfigError, match="no clone of git"):
            held_out.held_out(["all"], "a release", folder)


def test_a_ledger_without_a_table_is_not_written_into():
    with pytest.raises(ConfigError, match="no table"):
        held_out.noted("# Rows\n", ["video"], "a release", "0" * 40)


def test_domains_with_a_clock_go_back_in_time_and_others_draw_new_lots():
    found = held_out._parts(find_root(), ["all"])
    assert {name for name, data in found.items() if data} == {"video", "ecommerce"}
    with pytest.raises(ConfigError, match="there is no domain 'vidoe'"):
        held_out._parts(find_root(), ["vidoe"])
