"""What ``mtrec tune`` hands to processes or a cluster."""

import sys
import types

import pytest

from mtrec import cli
from mtrec.pipeline import run
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


def test_processes_of_a_search_share_its_journal_and_then_it_is_reported(asked):
    assert cli.main(["tune", "video", "--trials", "9", "--workers", "2", "--apply"]) == 0
    one = ["tune", "video", "--as-is", "--sampler", "tpe", "--trials", "9"]
    assert asked["commands"] == [([one, one], None, 2)]
    assert asked["searched"] == [("video", "tpe", 9, 0.0, True)]
    assert asked["tables"] == ["video"]


def test_a_process_of_a_search_looks_for_no_tables(asked):
    assert cli.main(["tune", "video", "--as-is", "--minutes", "1"]) == 0
    assert not asked["tables"] and not asked["commands"]
    assert asked["searched"] == [("video", "tpe", None, 1.0, False)]
