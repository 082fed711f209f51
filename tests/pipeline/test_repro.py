"""``mtrec repro`` on a tiny project with the real DVC."""

import errno
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mtrec import cli
from mtrec.lock import BusyError
from mtrec.paths import ConfigError
from mtrec.pipeline import run, stages
from mtrec.scale import engine

BOTH = ("preprocessing", "training")
COMMAND = """
import sys
from mtrec.pipeline import run
call = run._call
run._call = lambda command, root: "" if "readme" in command else call(command, root)
sys.exit(run.repro(sys.argv[1:], fetch=lambda root: ""))
"""


@pytest.fixture
def repro(project, monkeypatch):
    """The command in this process, on two cores, without the README's other inputs."""
    written = []
    monkeypatch.setattr(run.cores, "available", lambda: 2)
    monkeypatch.setattr(run, "_call", lambda command, root: written.append(command[-1]) or "")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MTREC_WORKERS", raising=False)

    def call(*wanted, **options):
        written.clear()
        return run.repro(wanted, root=project.folder, fetch=lambda root: "", **options)

    call.written = written
    return call


def start(project, *arguments):
    """The command as a process of its own, as make starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], cwd=project.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip


def wait_for(file, seconds=60):
    end = time.monotonic() + seconds
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end, f"{file} did not come"
        time.sleep(0.05)
    return file.read_text()


def test_one_domain_then_nothing_then_all_with_a_failure_that_stops_no_other(
    project, repro, capsys
):
    assert repro() == 0
    assert project.ran() == [(f"{stage}@video", 2, 2) for stage in BOTH]
    said = capsys.readouterr().out
    assert "[1/2] preprocessing video: raw files become the four tables\n" in said
    assert "[2/2] training video: done in " in said
    where = said[said.index("Where to look:") :]
    assert "reports/video/*.ipynb" in where and "README.md" in where
    assert repro.written == ["video"]

    assert repro("video") == 0
    assert project.ran() == []
    assert capsys.readouterr().out == (
        "nothing to do: video is up to date (2 stages); read reports/video and README.md\n"
    )
    assert repro.written == []

    project.wish("preprocessing@ecommerce", "ValueError: column 'title' is missing")
    assert repro("all") == 1
    ran = project.ran()
    assert sorted(name for name, *_ in ran) == [
        "preprocessing@bookshop", "preprocessing@ecommerce", "training@bookshop"
    ]  # fmt: skip
    assert {(workers, threads) for _, workers, threads in ran} == {(1, 1)}  # side by side
    said = capsys.readouterr()
    assert "\nvideo, bookshop: done in " in said.out
    assert (
        "[1/2] preprocessing ecommerce: failed: ValueError: column 'title' is missing. The "
        "notebook as it stopped: reports/ecommerce/01_preprocessing.ipynb. All that was said: "
        "build/logs/ecommerce.log\n"
    ) in said.out
    assert said.err == (
        "failed: preprocessing ecommerce: ValueError: column 'title' is missing. Again: make repro "
        "DOMAIN=ecommerce\n"
    )
    assert "papermill: ValueError" in (project.folder / "build/logs/ecommerce.log").read_text()

    project.grant()
    assert repro("all") == 0
    assert [name for name, *_ in project.ran()] == [f"{stage}@ecommerce" for stage in BOTH]


def test_domains_run_on_the_machines_of_a_cluster_and_one_that_fails_stops_no_other(
    project, repro, monkeypatch, capfd
):
    asked = []

    def do(opens, pieces, workers, ray):
        asked.append((workers, ray))
        work = opens()
        return [(number, work(number)) for number in pieces]

    monkeypatch.setattr(engine, "do", do)
    project.wish("preprocessing@ecommerce", "ValueError: column 'title' is missing")
    assert repro("all", ray="there:1") == 1
    assert asked == [(None, "there:1")]
    ran = [name for name, *_ in project.ran()]
    assert sorted(ran) == sorted(
        ["preprocessing@ecommerce", *(f"{s}@{d}" for d in ("video", "bookshop") for s in BOTH)]
    )
    said = capfd.readouterr()
    assert "mtrec stages ecommerce: failed" in said.out and "bookshop: done in" in said.out
    assert "ValueError: column 'title' is missing" in said.err
    assert said.err.endswith("failed: ecommerce, see above. Again: make repro DOMAIN=ecommerce\n")

    project.grant()
    assert repro("all", ray="there:1") == 0
    assert [name for name, *_ in project.ran()] == [f"{stage}@ecommerce" for stage in BOTH]
    assert repro("all", ray="there:1") == 0 and len(asked) == 2  # nothing is due


def test_a_domain_of_a_cluster_ends_with_the_process_that_began_it(project):
    project.wish("training@video", "hang")
    program = (
        "import sys; from pathlib import Path; from mtrec.scale.commands import open_commands;"
        "open_commands([('stages', 'video')], Path(sys.argv[1]))(0)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(project.folder)])
    kernel = psutil.Process(int(wait_for(project.folder / "kernel.pid")))
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs([kernel], timeout=20)[1]


def test_an_interrupted_run_leaves_nothing_running_and_goes_on(project, repro):
    project.wish("training@video", "hang")
    command = start(project, "video")
    kernel = int(wait_for(project.folder / "kernel.pid"))
    with pytest.raises(BusyError, match=f"under way in this clone .process {command.pid}, since "):
        repro("video")
    began = time.monotonic()
    command.send_signal(signal.SIGTERM)
    _, errors = command.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert errors == "interrupted; run the same command to go on\n"
    assert command.returncode == run.INTERRUPTED
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == "zombie"
    assert [name for name, *_ in project.ran()] == [f"{stage}@video" for stage in BOTH]
    project.grant()
    assert repro("video", until="training") == 0
    assert project.ran() == [("training@video", 2, 2)]
    assert repro.written == []  # no README before the last stage


@pytest.mark.parametrize("number", run.SIGNALS)
def test_a_request_to_end_and_a_closed_terminal_are_like_ctrl_c(number):
    with pytest.raises(KeyboardInterrupt), run._signals():
        os.kill(os.getpid(), number)
        time.sleep(1)


def test_a_readme_that_an_interruption_left_unwritten_is_written_next_time(repro, monkeypatch):
    changed = {"training@video"}

    def interrupted(due, jobs, root):
        changed.clear()
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "start_listing", lambda root: None)
    monkeypatch.setattr(stages, "listed", lambda listing: ["training@video"])
    monkeypatch.setattr(stages, "changed", lambda root, names: changed)
    monkeypatch.setattr(run, "_run_all", interrupted)
    assert repro("video") == run.INTERRUPTED
    monkeypatch.setattr(run, "_run_all", lambda due, jobs, root: [])
    assert repro("video", until="training") == 0
    assert repro.written == []
    assert repro("video") == 0
    assert repro.written == ["video"]
    assert repro("video") == 0
    assert repro.written == []


def test_an_unknown_domain_is_one_sentence_with_those_that_are_there(repro):
    with pytest.raises(
        ConfigError, match="no domain 'vdeo'. There are: .*video, .*bookshop.*; 'all'"
    ):
        repro("vdeo")


def test_broken_settings_stop_the_run_before_anything_else(project, repro):
    (project.folder / "params.yaml").write_text("seed: [")
    with pytest.raises(ConfigError, match="params.yaml: not valid YAML"):
        repro()
    (project.folder / "params.yaml").unlink()
    with pytest.raises(ConfigError, match="params.yaml: no such file"):
        repro()
    assert project.ran() == []


def test_a_full_disk_is_one_sentence_even_if_no_stage_ran(project, repro, monkeypatch):
    def full(root):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "clear_dvc", full)
    with pytest.raises(OSError, match="no space left on the disk. Free 2 GB, then run the same"):
        repro("video")


def test_the_command_ends_with_one_sentence_and_status_1(project, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    (project.folder / "params.yaml").write_text("seed: 1")
    assert cli.main(["repro", "video"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("mtrec repro: params.yaml: ")
    assert said.err.count("\n") == 1
