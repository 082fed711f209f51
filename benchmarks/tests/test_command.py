import re
import subprocess

import pytest

from benchmarks import __main__ as command
from benchmarks.harness import ask, results
from benchmarks.harness.results import Row
from benchmarks.report import page
from tests.conftest import ROOT

KNOWN = {name: lambda root: [] for name in ("rating/rating_u1", "rating/rating_mean", "speed/x")}


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        (None, list(KNOWN)),
        ("rating", ["rating/rating_u1", "rating/rating_mean"]),
        ("rating_u1", ["rating/rating_u1"]),
        ("rating_*", ["rating/rating_u1", "rating/rating_mean"]),
        ("x", ["speed/x"]),
    ],
)
def test_a_part_a_protocol_or_a_pattern_chooses(only, chosen):
    assert list(command.select(KNOWN, only)) == chosen


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="ONLY=colour: no such benchmark; .*rating/rating_u1"):
        command.select(KNOWN, "colour")


def test_rows_of_ours_name_the_commit_they_were_measured_at(tmp_path):
    rows = [Row("a", "", system, "1", "auc", 0.7, None, None, 1, 1.0, 1.0)
            for system in ("mtrec joint", "peer")]  # fmt: skip
    mine, peer = results.stamped(rows, ROOT)
    assert peer.version == "1"
    assert re.fullmatch(r"1\+[0-9a-f]{7,40}", mine.version)
    assert results.stamped(rows, tmp_path)[0].version == "1+unknown"


def test_rows_name_the_machine_but_for_those_that_are_read(tmp_path, monkeypatch):
    file = tmp_path / "benchmarks" / "results.json"
    monkeypatch.setattr(command, "machine", lambda: "two cores")
    made = {name: [Row(name, "", "peer", "1", "auc", 0.7, None, None, 1, 1.0, 1.0)]
            for name in ("joint_video", "like_random")}  # fmt: skip
    chosen = {"joint/joint_video": lambda root: made["joint_video"],
              "like/like_random": lambda root: made["like_random"]}  # fmt: skip
    command.run(tmp_path, chosen, report=False)
    found = results.read(file).set_index("protocol")["machine"]
    assert found["joint_video"] == "" and found["like_random"] == "two cores"


def test_rows_are_written_before_the_next_protocol_runs_and_then_the_page(tmp_path, monkeypatch):
    file, seen = tmp_path / "benchmarks" / "results.json", []

    def first(root):
        return [Row("a", "", "mtrec", "1", "auc", 0.7, None, None, 1, 1.0, 1.0)]

    def second(root):
        seen.append(len(results.read(file)))
        return [Row("b", "", "mtrec", "1", "auc", 0.8, None, None, 1, 1.0, 1.0)]

    monkeypatch.setattr(page, "write", lambda root, rows: seen.append(len(rows)))
    command.run(tmp_path, {"p/a": first, "p/b": second})
    assert seen == [1, 2]


def test_what_needs_an_environment_that_is_not_there_is_left_out_and_the_rest_runs(
    tmp_path, monkeypatch, capsys
):
    def row(root):
        return [Row("b", "", "mtrec", "1", "auc", 0.8, None, None, 1, 1.0, 1.0)]

    known = {"p/a": lambda root: ask.interpreter(root, "boosting"), "p/b": row}
    written = []
    monkeypatch.setattr(page, "write", lambda root, rows: written.extend(rows["protocol"]))
    command.run(tmp_path, known)
    assert written == ["b"]
    assert "p/a is left out" in capsys.readouterr().out


def test_an_expected_error_is_one_sentence_and_status_1(capsys):
    assert command.main(["--only", "colour"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: ONLY=colour: no such benchmark; there are rating/rating_u1, ")


def test_the_page_can_be_written_without_running_anything(monkeypatch):
    asked = []
    monkeypatch.setattr(command, "protocols", lambda: pytest.fail("nothing is to be run"))
    monkeypatch.setattr(command, "run", lambda root, chosen, report: asked.append((root, chosen)))
    assert command.main(["--page"]) == 0
    assert asked == [(ROOT, {})]


def test_protocols_side_by_side_are_commands_of_one_each_and_what_is_timed_runs_alone(monkeypatch):
    asked = []

    def several(*given):
        asked.append(given)
        return [0, 137]

    monkeypatch.setattr(command, "protocols", lambda: KNOWN)
    monkeypatch.setattr(command.commands, "run", several)
    monkeypatch.setattr(command, "run", lambda root, chosen: asked.append([*chosen]))
    assert command.main(["--workers", "2"]) == 137
    each = [("--only", name, "--no-page") for name in ("rating_u1", "rating_mean")]
    assert asked == [(each, ROOT, None, 2, "benchmarks"), ["speed/x"]]
    for only in each:
        assert len(command.select(KNOWN, only[1])) == 1


def test_one_of_several_leaves_the_page_to_the_command_that_began_it(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "protocols", lambda: KNOWN)
    monkeypatch.setattr(page, "write", lambda root, rows: pytest.fail("the page is another's"))
    assert command.main(["--only", "rating_u1", "--no-page"]) == 0


def test_no_workers_are_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(command, "protocols", lambda: KNOWN)
    assert command.main(["--only", "rating", "--workers", "0"]) == 1
    assert "bench: --workers is 0; give 1 or more." in capsys.readouterr().err


def test_make_bench_runs_what_only_names():
    told = ["make", "--dry-run", "--silent", "bench", "ONLY=rating_*"]
    lines = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert lines.splitlines()[-1].endswith("/python\" -m benchmarks --only 'rating_*'")
