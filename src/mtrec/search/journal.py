"""A search's trials in a file that several processes share and a killed one leaves readable."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from mtrec.paths import ConfigError

NAME = "search"
IDENTITY, PROCESS, AGAIN = "identity", "process", "again"
UNSIGNED = timedelta(minutes=1)  # a trial that nobody has signed by then has nobody


def open_study(file: Path, identity: Mapping[str, str]) -> Study:
    """The study that a journal holds, begun if there is none.

    The lock is a file that is made exclusively, which works on every file system; one that a killed
    process left is taken away by Optuna after half a minute.

    Args:
        file: the journal.
        identity: what the search is of, by what it is called in an error.

    Raises:
        ConfigError: the journal is of another search, or is none.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(file))
    _drop_half_a_line(file, lock)
    try:
        storage = JournalStorage(JournalFileBackend(str(file), lock_obj=lock))
        study = optuna.create_study(
            storage=storage, study_name=NAME, direction="maximize", load_if_exists=True
        )
        known = study.user_attrs.get(IDENTITY)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{file}: damaged, not a journal of a search. Delete it to begin anew."
        ) from None
    if known is None:
        study.set_user_attr(IDENTITY, dict(identity))
        return study
    differs = [what for what, value in identity.items() if known.get(what) != value]
    if differs:
        raise ConfigError(
            f"{file}: holds another search ({', '.join(differs)}: not the present ones). Move or "
            "delete it to begin anew, or restore what has changed to go on."
        )
    return study


def sign(trial: Trial) -> None:
    """Note which process runs a trial."""
    trial.set_user_attr(PROCESS, _me())


def fail_orphans(study: Study) -> list[int]:
    """End the trials whose process is gone; what they were to try is queued again, once.

    A trial of another machine is left alone: whether it lives cannot be seen from here.

    Returns:
        Their numbers.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _lives(trial):
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        found.append(trial.number)
        tried = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if tried and not trial.user_attrs.get(AGAIN):
            study.enqueue_trial(tried, user_attrs={AGAIN: True})
    return found


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(), "pid": os.getpid(),
        "since": psutil.Process().create_time(),
    }  # fmt: skip


def _lives(trial: FrozenTrial) -> bool:
    who = trial.user_attrs.get(PROCESS)
    if who is None:
        begun = trial.datetime_start
        return begun is not None and datetime.now() - begun < UNSIGNED
    if who["host"] != socket.gethostname():
        return True
    try:
        return psutil.Process(who["pid"]).create_time() == who["since"]
    except psutil.Error:
        return False


def _drop_half_a_line(file: Path, lock: JournalFileOpenLock) -> None:
    """Cut off what a killed process had not written to the end; Optuna could not read past it."""
    if not file.is_file():
        return
    lock.acquire()
    try:
        content = file.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content) and (end or not _is_json(content)):
            os.truncate(file, end)
    finally:
        lock.release()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
