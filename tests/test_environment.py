"""How the environment is made, and what is said when it cannot be."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIND = ROOT / "tools" / "find_python.sh"
REAL = getattr(sys, "_base_executable", sys.executable)
LOCK = "pip==1 \\\n    --hash=sha256:0\ntensorflow-cpu==2 \\\n    --hash=sha256:1\nabc==3\ndef==4\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """The module, at work on a clone of its own, whose pip only takes notes."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    quick = module.venv.EnvBuilder
    monkeypatch.setattr(module.venv, "EnvBuilder", lambda symlinks, with_pip: quick())  # no pip
    module.calls = []
    monkeypatch.setattr(module, "pip", lambda folder, calls, held: module.calls.append(calls))
    return module


def make(install):
    return install.main([".venv", "requirements.lock"])


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def find(path, *arguments):
    done = subprocess.run(
        ["/bin/sh", str(FIND), *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{path}:/usr/bin:/bin" if arguments else str(path),
             "PYENV_ROOT": str(path)},
    )  # fmt: skip
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def bare(tmp_path):
    """A folder of programs, on a path with a space, that has no Python."""
    script(tmp_path / "a b" / "head", 'exec /usr/bin/head "$@"\n')
    return tmp_path / "a b"


def test_first_python_that_works_is_taken(bare):
    script(bare / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127\n")
    script(bare / "python3.12", f'exec "{REAL}" "$@"\n')
    assert find(bare) == (0, REAL, "")


def test_named_python_wins_and_only_it_is_tried(bare):
    script(bare / "python3.12", f'exec "{REAL}" "$@"\n')
    old = script(bare / "old", "echo 'it is Python 3.9.18' >&2; exit 1\n")
    status, printed, said = find(bare, str(old))
    assert (status, printed) == (1, "")
    assert f"{old}: it is Python 3.9.18" in said
    assert "make setup PYTHON=/path/to" in said
    assert find(bare, str(bare / "python3.12"))[:2] == (0, REAL)


def test_python_of_the_environment_leads_to_the_one_that_made_it(bare):
    if sys.prefix == sys.base_prefix:
        pytest.skip("runs outside of a virtual environment")
    assert find(bare, "", sys.executable)[:2] == (0, REAL)


def test_without_any_python_one_sentence_says_what_is_needed_and_how_to_get_it(bare):
    status, _, said = find(bare)
    assert status == 1
    assert said.count("\n") == 0
    assert "No Python 3.11, 3.12 or 3.13" in said
    assert "none found" in said
    assert "apt install python3 python3-venv" in said


def test_python_without_its_module_venv_is_told_from_a_wrong_version(bare):
    hide = "import sys; sys.modules['ensurepip'] = None; exec(sys.argv[1])"
    script(bare / "python3", f'exec "{REAL}" -I -c "{hide}" "$3"\n')
    status, _, said = find(bare)
    assert status == 1
    assert "without its module venv" in said
    assert said.endswith("sudo apt install python3-venv")


def test_environment_is_made_once_pip_first_and_then_two_shares_and_the_project(install, capsys):
    assert make(install) == 0
    assert [len(calls) for calls in install.calls] == [1, 2, 1]
    assert install.calls[-1] == [["--no-build-isolation", "--editable", "."]]
    assert Path(".venv/bin/python").exists()
    assert "making the environment in .venv" in capsys.readouterr().out
    assert make(install) == 0
    assert len(install.calls) == 3
    assert capsys.readouterr().out == ""


def test_every_package_is_in_one_share(install):
    shares = install.shares(install.pinned(LOCK))
    assert sorted(sum(shares, [])) == sorted(install.pinned(LOCK))
    assert [package.split("==")[0] for package in shares[0]] == ["pip"]


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_environment_is_made_anew_when_its_sources_change(install, changed):
    make(install)
    Path(".venv/left_over").touch()
    Path(changed).write_text(Path(changed).read_text() + "\n")
    make(install)
    assert len(install.calls) == 6
    assert not Path(".venv/left_over").exists()


def test_environment_is_made_anew_by_another_python(install, monkeypatch):
    make(install)
    monkeypatch.setattr(install.sys, "_base_executable", "/opt/other/python3")
    wanted = install.made_of(Path("requirements.lock"))
    assert json.loads(wanted)["python"] == "/opt/other/python3"
    assert not install.agrees(Path(".venv/.installed-requirements.lock"), wanted)


def test_only_one_lock_is_installed_at_a_time(install):
    Path("requirements-gpu.lock").write_text(LOCK)
    make(install)
    install.main([".venv", "requirements-gpu.lock"])
    stamps = [stamp.name for stamp in Path(".venv").glob(".installed-*")]
    assert stamps == [".installed-requirements-gpu.lock"]


def test_interrupted_environment_does_not_count_as_made(install, monkeypatch, capsys):
    make(install)
    Path("requirements.lock").write_text(LOCK + "ghi==5\n")

    def interrupted(folder, calls, held):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install, "pip", interrupted)
        assert make(install) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert not list(Path(".venv").glob(".installed-*"))
    assert make(install) == 0
    assert list(Path(".venv").glob(".installed-*"))


def test_full_disk_is_said_before_anything_is_downloaded(install, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")(10**10, 9 * 10**9, 10**9)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: usage)
    assert make(install) == 1
    said = capsys.readouterr().err.strip()
    assert said == (
        "The disk is full: the environment in .venv needs 4 GB, 1.0 GB are free;"
        " make room, then run the same command again."
    )
    assert not install.calls


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: Max retries exceeded: NewConnectionError", "The package registry cannot be"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "A package is not the one"),
        ("ERROR: No matching distribution found for tensorflow", "has no build for this machine"),
        ("ERROR: something else", "mend what is said above"),
    ],
)
def test_failure_of_pip_ends_with_one_sentence_that_says_what_to_do(
    tmp_path, monkeypatch, install, said, sentence
):
    spec = importlib.util.spec_from_file_location("real", ROOT / "tools" / "install.py")
    real = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(real)
    monkeypatch.setattr(real, "ROOT", tmp_path)
    script(
        tmp_path / "env" / "bin" / "python",
        f'case "$*" in *--bad*) echo "{said}" >&2; exit 1;; esac\nexec sleep 60\n',
    )
    with real.alone() as held, pytest.raises(real.NotInstalled) as raised:
        real.pip(tmp_path / "env", [["--good"], ["--bad"]], held)  # and the good one is ended
    assert said in str(raised.value)
    assert sentence in str(raised.value).splitlines()[-1]


def test_second_command_waits_for_the_first_and_finds_the_environment_made(install, capsys):
    with install.alone():
        second = threading.Thread(target=make, args=(install,))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        Path(".venv").mkdir()
        stamp = Path(".venv/.installed-requirements.lock")
        install.write(stamp, install.made_of(Path("requirements.lock").absolute()))
    second.join(10)
    assert not install.calls
    assert "waiting for it" in capsys.readouterr().out
