"""One run at a time in a clone, and no lock that outlives its process."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import yaml

from mtrec.files import whole


class BusyError(OSError):
    """Another run is under way in this clone."""


@contextmanager
def only_run(file: Path) -> Iterator[None]:
    """Hold the lock of this clone while the block runs.

    The operating system lets go of the lock when its process ends, however it ends.

    Args:
        file: the lock, made if need be; it says who holds it.

    Raises:
        BusyError: another run holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            said = handle.read().strip() or "it has just begun"
            raise BusyError(
                f"another run is under way in this clone ({said}). Wait for it, or stop it and "
                "run this command again: it goes on where that one stopped."
            ) from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M}\n")
        handle.flush()
        yield


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Wait until no other process is in such a block, on this machine or another of a shared disk.

    Args:
        file: the lock, made if need be.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as handle:  # NFS locks only what is open for writing
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def clear_dvc(root: Path) -> None:
    """Delete the list of files that DVC keeps in use if no DVC process is left that uses them.

    DVC itself compares process ids alone, so a run that was killed blocks the next one as soon
    as some other process has its id; and it cannot read a list whose writing was cut short.

    Raises:
        BusyError: a DVC command is running in this clone.
    """
    file = root / ".dvc" / "tmp" / "rwlock"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        readers = [one for found in content.get("read", {}).values() for one in found]
        pids = {int(one["pid"]) for one in [*readers, *content.get("write", {}).values()]}
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        pids = set()
    alive = [pid for pid in sorted(pids) if _is_dvc(pid)]
    if alive:
        raise BusyError(
            f"a DVC command is still running in this clone (process {alive[0]}). Wait for it, or "
            f"stop it with `kill {alive[0]}`; then run this command again."
        )
    file.unlink(missing_ok=True)


def keep_dvc_lock(root: Path) -> None:
    """Keep a copy of dvc.lock, which DVC writes in place, so a full disk can cut it short."""
    if (root / "dvc.lock").is_file():
        with whole(_kept(root)) as temporary:
            shutil.copyfile(root / "dvc.lock", temporary)


def mend_dvc_lock(root: Path) -> None:
    """Put the copy back if dvc.lock is damaged; what ran since then comes from DVC's cache."""
    file, kept = root / "dvc.lock", _kept(root)
    if not kept.is_file():
        return
    try:
        whole = "stages" in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError, TypeError, FileNotFoundError):
        whole = False
    if whole:
        kept.unlink()
    else:
        os.replace(kept, file)


def _kept(root: Path) -> Path:
    return root / "build" / "dvc.lock.kept"


def _is_dvc(pid: int) -> bool:
    try:
        return any(Path(word).name == "dvc" for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
