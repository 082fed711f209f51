"""What is heard of a domain's stages, from a stand-in for DVC."""

import os
import re
import sys
import time

import pytest

from mtrec.pipeline import domain, screen
from mtrec.pipeline.domain import DomainRun, environment
from mtrec.pipeline.screen import Screen, Status
from mtrec.pipeline.stages import Plan
from mtrec.progress import State

PLAN = Plan("video", ("preprocessing", "training"), {"training": 840.0}, tasks=5)


@pytest.fixture
def say(tmp_path, monkeypatch):
    """Run a domain whose DVC prints the given text and ends with the given status."""

    def call(text, status=0):
        program = f"import sys; print({text!r}); sys.exit({status})"
        monkeypatch.setattr(domain, "dvc", lambda *words: [sys.executable, "-c", program])
        run = DomainRun(PLAN, tmp_path, environment(1, tmp_path))
        said = []
        while not run.over:
            said += run.listen()
            time.sleep(0.02)
        return run, said

    return call


def test_a_stage_says_what_it_does_about_how_long_and_how_long_it_took(say):
    run, said = say("Stage 'preprocessing@video' didn't change, skipping\nRunning stage "
                    "'training@video':\n> papermill\nUpdating lock file 'dvc.lock'")  # fmt: skip
    assert said == [
        "[1/2] preprocessing video: unchanged",
        "[2/2] training video: trains a model for each of 5 tasks and then the joint model, "
        "about 14 min",
        "[2/2] training video: done in 0 s",
    ]
    assert not run.failed


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("OSError: [Errno 28] No space left on device", "free 2 GB, then run the same command"),
        ("nbclient.exceptions.DeadKernelError: Kernel died", "lack of memory: .*JOBS=1"),
        ("ERROR: failed to reproduce 'training@video': missing data 'source': x", "missing data"),
    ],
)
def test_a_failure_says_how_to_mend_it(say, last, expected):
    run, said = say(
        f"Running stage 'training@video':\n> papermill\n{last}\n"
        "ERROR: failed to reproduce 'training@video': failed to run: papermill, exited with 1",
        status=1,
    )
    assert run.failed == "training"
    assert last.removeprefix("ERROR: ") in run.why
    assert re.search(expected, said[-1])
    assert said[-1].endswith("All that was said: build/logs/video.log")


def test_the_environment_of_a_stage_is_the_users_where_the_user_set_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MTREC_WORKERS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = environment(2, tmp_path)
    assert (found["MTREC_WORKERS"], found["OMP_NUM_THREADS"]) == ("7", "2")


def test_a_stage_runs_the_code_of_its_own_clone_before_what_is_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert environment(2, tmp_path)["PYTHONPATH"].split(os.pathsep) == [
        str(tmp_path / "src"), "elsewhere",
    ]  # fmt: skip


def status(seconds, loop=None):
    return Status("[2/2] training video", seconds, 840.0, loop)


def test_without_a_terminal_a_line_comes_every_half_minute(capsys):
    shown = Screen()
    for second in range(0, 70, 5):
        loop = State("training", 8, second // 10, "model", "like", 0.0)
        shown.show({"video": status(second, loop)})
    assert capsys.readouterr().out.splitlines() == [
        "[2/2] training video: 3 of 8 models (like), 30 s of about 14 min",
        "[2/2] training video: 6 of 8 models (like), 1 min 0 s of about 14 min",
    ]


def test_in_a_terminal_a_bar_shows_the_loop_and_lines_stay_above_it(monkeypatch, capsys):
    monkeypatch.setattr(screen, "_terminal", lambda: True)
    shown = Screen()
    shown.show({"video": status(20, State("training", 8, 4, "model", "like", time.time() - 20))})
    shown.line("[1/2] preprocessing ecommerce: done in 8 s")
    shown.show({})
    said = capsys.readouterr().out
    assert "[2/2] training video, like:  50%|" in said
    assert "4/8" in said
    assert "\r[1/2] preprocessing ecommerce: done in 8 s\n" in said
