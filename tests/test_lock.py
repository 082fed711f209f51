import os
import subprocess
import sys

import pytest

from mtrec.lock import BusyError, clear_dvc, keep_dvc_lock, mend_dvc_lock, only_run

HOLD = """
import sys
from pathlib import Path
from mtrec.lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_run_is_told_who_holds_the_lock_and_a_killed_one_holds_nothing(tmp_path):
    file = tmp_path / "build" / "repro.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BusyError, match=f"process {holder.pid}, since 20"), only_run(file):
        pass
    holder.kill()
    holder.communicate()
    with only_run(file):
        assert f"process {os.getpid()}, since" in file.read_text()


@pytest.fixture
def in_use(tmp_path):
    file = tmp_path / ".dvc" / "tmp" / "rwlock"
    file.parent.mkdir(parents=True)
    return file


def test_what_a_killed_dvc_left_in_use_blocks_no_later_run(tmp_path, in_use):
    mine = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'  # its id, used again: this is no dvc
    for content in (f'{{"write": {{"/x": {mine}}}, "read": {{}}}}', '{"write": {"a', "[]", ""):
        in_use.write_text(content)  # the others were cut short by a full disk
        clear_dvc(tmp_path)
        assert not in_use.exists()
    clear_dvc(tmp_path)


def test_a_dvc_command_that_still_runs_is_named(tmp_path, in_use):
    other = subprocess.Popen([sys.executable, "-c", "input()", "dvc"], stdin=subprocess.PIPE)
    in_use.write_text(f'{{"read": {{"/x": [{{"pid": {other.pid}, "cmd": "dvc repro"}}]}}}}')
    with pytest.raises(BusyError, match=f"still running in this clone .process {other.pid}."):
        clear_dvc(tmp_path)
    other.communicate(b"\n")


def test_a_dvc_lock_that_a_full_disk_cut_short_is_put_back(tmp_path):
    mend_dvc_lock(tmp_path)
    file = tmp_path / "dvc.lock"
    (tmp_path / "build").mkdir()
    whole = "schema: '2.0'\nstages:\n  a: {cmd: b}\n"
    file.write_text(whole)
    newer = whole + "  c: {cmd: d}\n"
    for cut in (newer[:-2], "schema: '2.0'", ""):
        keep_dvc_lock(tmp_path)
        file.write_text(cut)
        mend_dvc_lock(tmp_path)
        assert file.read_text() == whole
    keep_dvc_lock(tmp_path)
    file.write_text(newer)
    mend_dvc_lock(tmp_path)
    assert file.read_text() == newer
    assert not list((tmp_path / "build").iterdir())
