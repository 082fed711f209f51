"""What the comparisons of ways to do the same work share."""

import json

import pytest

from benchmarks.scale import ways
from benchmarks.scale.ways import Way

LOOP = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text('loop')"
COMMAND = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(str(sys.argv[2:]))"


def test_a_way_runs_its_program_with_workers_and_address(tmp_path):
    file, said = tmp_path / "out", {}
    for way in (Way(), Way(2), Way(0, "auto")):
        took = way.run(LOOP, COMMAND, file)
        said[str(way)] = file.read_text()
        assert took["seconds"] >= 0 and (took["processor_seconds"] is None) == (str(way) == "ray")
    assert said == {"loop": "loop", "2 processes": "['2', '']", "ray": "['0', 'auto']"}


def test_a_way_that_fails_says_why():
    with pytest.raises(OSError, match="(?s)^loop: ended with status 1: .*no such thing"):
        Way().run("raise ValueError('no such thing')", "")


def test_all_ways_are_measured_and_written_in_their_order(tmp_path):
    out = tmp_path / "found.json"
    given = ["--ray", "auto", "--workers", "1", "4", "--out", str(out)]
    chosen = ways.parser("What it costs.", tmp_path / "other.json").parse_args(given)
    ways.compare(chosen, lambda way: {"way": str(way), "workers": way.workers})
    rows = json.loads(out.read_text())
    assert [row["way"] for row in rows] == ["loop", "1 processes", "4 processes", "ray"]
    assert [row["workers"] for row in rows] == [None, 1, 4, 0]


def test_a_hash_sees_names_and_contents_but_no_order(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_text(file.name)
    found = ways.digest(files)
    assert ways.digest(files[::-1]) == found and len(found) == 16
    assert ways.digest(files[:1]) != found
    files[1].write_text("c")
    assert ways.digest(files) != found
