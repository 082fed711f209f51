"""Commands side by side on this machine, and the studies that are sent that way."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from mtrec import cli
from mtrec.pipeline import run as pipeline
from mtrec.registry import STUDIES
from mtrec.scale import commands
from tests.scale.conftest import DOMAIN


def test_commands_run_at_once_and_one_that_fails_says_why(root, capfd):
    lines = [["reference", "nowhere"], ["score", DOMAIN, "--out", str(root), "--k", "1"], ["-h"]]
    statuses = commands.run(lines, root, workers=2)
    assert statuses[0] and statuses[1] and not statuses[2]
    said = capfd.readouterr()
    assert "mtrec -h: done" in said.out and "mtrec reference nowhere: failed" in said.out
    assert "no domain 'nowhere'" in said.err and "a folder; name a file in it" in said.err


PROGRAM = """
import os, sys, time
from pathlib import Path
what, file = sys.argv[1:]
if what == "hang":
    Path(file).write_text(str(os.getpid()))
    time.sleep(300)
if what == "odd":
    sys.stdout.buffer.write(bytes([99, 0xE9, 10]))
    print("the end")
if what == "killed":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def program(tmp_path):
    """A folder with a module to run as a command."""
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def test_a_command_that_was_killed_has_failed_and_odd_bytes_stop_nobody(program, capfd):
    lines = [("odd", "-"), ("killed", "-"), ("odd", "-")]
    statuses = commands.run(lines, program, program="program")
    assert statuses == [0, 128 + signal.SIGKILL, 0]
    assert "program odd -: done. the end" in capfd.readouterr().out


def test_nothing_outlives_the_process_that_began_it(program):
    code = (
        "import sys; from pathlib import Path; from mtrec.scale import commands\n"
        "if __name__ == '__main__':\n"
        "    root = Path(sys.argv[1])\n"
        "    commands.run([('hang', str(root / 'pid'))], root, workers=1, program='program')\n"
    )
    (program / "begin.py").write_text(code)
    parent = subprocess.Popen([sys.executable, "begin.py", str(program)], cwd=program)
    end = time.monotonic() + 60
    while not ((program / "pid").is_file() and (program / "pid").read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    below = psutil.Process(parent.pid).children(recursive=True)
    assert int((program / "pid").read_text()) in [one.pid for one in below]
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs(below, timeout=20)[1]


@pytest.fixture
def sent(root, monkeypatch):
    """What ``mtrec study`` does: domains that it brings up to date, then what it runs."""
    found = []

    def repro(wanted, until):
        found.append((*wanted, until))
        return 0

    monkeypatch.chdir(root)
    monkeypatch.setattr(pipeline, "repro", repro)
    monkeypatch.setattr(commands, "run", lambda *given: found.append(given) or [0])
    return found


def test_studies_are_sent_once_the_tables_of_all_domains_are_up_to_date(sent, root):
    assert cli.main(["study", "all", "--part", "sparse_data", "--workers", "2"]) == 0
    *before, (lines, place, ray, workers) = sent
    names = STUDIES.domains["sparse_data"]
    assert sorted(before) == sorted((name, "task_embedding") for name in names)
    assert (place, ray, workers) == (root, None, 2)
    wanted = [["study", name, "--part", "sparse_data", "--as-is"] for name in names]
    assert sorted(lines) == sorted(wanted)


def test_a_study_that_is_sent_does_not_look_at_the_tables_again(sent, monkeypatch):
    assert cli.main(["study", DOMAIN, "--workers", "2", "--as-is", "--minutes", "5"]) == 0
    ((lines, *_),) = sent
    assert len(lines) > 3
    assert all(line[-3:] == ["--as-is", "--minutes", "5"] for line in lines)
    assert all(cli._parser().parse_args(line).as_is for line in lines)


def test_no_workers_are_one_sentence(sent, capsys):
    assert cli.main(["study", DOMAIN, "--workers", "0"]) == 1
    assert "--workers is 0; give 1 or more" in capsys.readouterr().err
    assert not sent
