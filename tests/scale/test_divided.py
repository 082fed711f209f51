"""What ``mtrec study`` and ``mtrec tune`` hand to processes or a cluster."""

import sys
import types

import pytest

from mtrec import cli
from mtrec.pipeline import run
from mtrec.registry import STUDIES
from mtrec.report import notebooks
from mtrec.scale import commands


@pytest.fixture
def asked(monkeypatch):
    """What was asked for: tables, commands, and searches of this process."""
    found = {"tables": [], "commands": [], "searched": []}

    def repro(domains, until):
        found["tables"] += domains
        return 0

    def several(some, root, ray, workers):
        found["commands"].append(([*some], ray, workers))
        return [0] * len(some)

    tune = types.ModuleType("mtrec.studies.tune")
    tune.tune = lambda *given: found["searched"].append(given)
    monkeypatch.setattr(run, "repro", repro)
    monkeypatch.setattr(commands, "run", several)
    monkeypatch.setattr(notebooks, "setup", lambda: None)
    monkeypatch.setitem(sys.modules, "mtrec.studies.tune", tune)
    return found


def test_studies_are_a_command_each_that_looks_for_no_tables(asked):
    assert cli.main(["study", "all", "--workers", "3"]) == 0
    ((some, ray, workers),) = asked["commands"]
    assert (ray, workers) == (None, 3)
    assert len(asked["tables"]) == 6
    assert {tuple(one[3:]) for one in some} == {("--part", part) for part in STUDIES}
    assert all(one[0] == "study" and one[2] == "--ready" for one in some)
    expected = sum(len(STUDIES.domains[part] or asked["tables"]) for part in STUDIES)
    assert len(some) == len({tuple(one) for one in some}) == expected


def test_one_study_of_a_domain_keeps_its_limit(asked):
    arguments = ["study", "video", "--part", "controls", "--minutes", "5", "--ray", "there:1"]
    assert cli.main(arguments) == 0
    one = ["study", "video", "--ready", "--part", "controls", "--minutes", "5"]
    assert asked["commands"] == [([one], "there:1", None)]


def test_processes_of_a_search_share_its_journal_and_then_it_is_reported(asked):
    assert cli.main(["tune", "video", "--trials", "9", "--workers", "2", "--apply"]) == 0
    one = ["tune", "video", "--ready", "--sampler", "tpe", "--trials", "9"]
    assert asked["commands"] == [([one, one], None, 2)]
    assert asked["searched"] == [("video", "tpe", 9, 0.0, True)]
    assert asked["tables"] == ["video"]


def test_a_process_of_a_search_looks_for_no_tables(asked):
    assert cli.main(["tune", "video", "--ready", "--minutes", "1"]) == 0
    assert not asked["tables"] and not asked["commands"]
    assert asked["searched"] == [("video", "tpe", None, 1.0, False)]


def test_no_worker_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="--workers is 0; give 1 or more"):
        commands.run([["-h"]], tmp_path, workers=0)


def test_commands_run_on_processes_of_this_machine_and_each_has_its_status(root, capfd):
    assert commands.run([["reference", "nowhere"], ["-h"]], root, workers=2) == [1, 0]
    said = capfd.readouterr()
    assert "mtrec -h: done" in said.out and "mtrec reference nowhere: failed" in said.out
    assert "no domain 'nowhere'" in said.err
