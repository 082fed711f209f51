"""The stages of one domain, run by one DVC process, and what is heard of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue

import psutil

from mtrec import progress
from mtrec.pipeline.screen import Status
from mtrec.pipeline.stages import Plan, duration, dvc

PATIENCE = 10.0  # seconds that a stopped process has to go
BEGINS = re.compile(r"Running stage '(?:[^':]*:)?([^@']+)@")
UNCHANGED = re.compile(r"Stage '(?:[^':]*:)?([^@']+)@[^']*' didn't change")
CACHED = re.compile(r"Stage '(?:[^':]*:)?([^@']+)@[^']*' is cached")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FULL_DISK = ("No space left on device", "Disk quota exceeded")
DEAD_KERNEL = ("Kernel died", "DeadKernelError")


class DomainRun:
    """One domain at work: its DVC process, the stage it is at, what it says."""

    def __init__(self, plan: Plan, root: Path, environment: Mapping[str, str]):
        self.plan, self.root = plan, root
        self.failed = ""  # the stage that failed
        self.why = ""
        self._log = root / "build" / "logs" / f"{plan.domain}.log"
        self._file = root / "build" / "progress" / f"{plan.domain}.json"
        self._stage, self._began, self._number = "", time.monotonic(), 0
        self._tail: deque[str] = deque(maxlen=200)
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            # one by one, in their order: to look at what they depend on, DVC would lock the raw
            # data, which every domain reads
            dvc("repro", "--single-item", *plan.names()),
            cwd=root, text=True, errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**environment, progress.VARIABLE: str(self._file)},
            start_new_session=True,  # Ctrl-C is for this command, which then stops the others
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def listen(self) -> list[str]:
        """What there is to say since the last call; empty if nothing happened."""
        over = self._process.poll() is not None
        if over:
            self._reader.join(PATIENCE)
        said = []
        while not self._lines.empty():
            said += self._hear(self._lines.get())
        if over:
            said += self._end()
        return said

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    def status(self) -> Status | None:
        """The stage under way, if one is."""
        if not self._stage:
            return None
        return Status(
            self._label(),
            time.monotonic() - self._began,
            self.plan.seconds.get(self._stage),
            progress.read(self._file),
        )

    def stop(self) -> None:
        """Stop DVC and everything below it, kernels included, and wait until they are gone.

        DVC ignores an interrupt while a command runs and puts its own files in order when that
        command fails, so the commands are stopped, and DVC is only told.
        """
        if self.over:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        below = _below(self._process.pid)
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(below, PATIENCE / 2)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            late = _below(self._process.pid)
            self._process.kill()
            for process in late:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.wait()
        self._file.unlink(missing_ok=True)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.ExitStack() as stack:
            log = None
            with contextlib.suppress(OSError):  # a full disk is the stages' to report
                self._log.parent.mkdir(parents=True, exist_ok=True)
                log = stack.enter_context(self._log.open("w", encoding="utf-8"))
            for line in self._process.stdout:
                self._lines.put(line)
                with contextlib.suppress(OSError):
                    print(line, end="", file=log or sys.stderr, flush=True)

    def _hear(self, line: str) -> list[str]:
        line = COLOUR.sub("", line).rstrip()
        if line.strip():
            self._tail.append(line)
        if found := BEGINS.search(line):
            said = self._done()
            self._enter(found[1])
            return [*said, f"{self._label()}: {self.plan.does(found[1])}"]
        for pattern, what in ((UNCHANGED, "unchanged"), (CACHED, "the same as before, from cache")):
            if found := pattern.search(line):
                said = self._done()
                self._enter(found[1])
                said.append(f"{self._label()}: {what}")
                self._stage = ""
                return said
        return []

    def _enter(self, stage: str) -> None:
        self._stage, self._began = stage, time.monotonic()
        if stage in self.plan.stages:
            self._number = self.plan.stages.index(stage) + 1
        self._tail.clear()

    def _done(self) -> list[str]:
        """Close the stage under way."""
        if not self._stage:
            return []
        said = f"{self._label()}: done in {duration(time.monotonic() - self._began)}"
        self._stage = ""
        return [said]

    def _end(self) -> list[str]:
        if not self._process.returncode:
            return self._done()
        self.failed = self._stage or (self.plan.stages[0] if self.plan.stages else "")
        notebook, error = _error(self.root, self.plan.domain, self.failed, self._tail)
        self.why = _mend(error)
        where = f" The notebook as it stopped: {notebook}." if notebook else ""
        said = (
            f"{self._label() if self._stage else self.plan.domain}: failed: {self.why}{where} All "
            f"that was said: {self._log.relative_to(self.root)}"
        )
        self._stage = ""
        return [said]

    def _label(self) -> str:
        return f"[{self._number}/{len(self.plan.stages)}] {self._stage} {self.plan.domain}"


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _error(root: Path, domain: str, stage: str, tail: deque[str]) -> tuple[str, str]:
    """The notebook of a failed stage and its error: of the cell, or what was said last."""
    for path in sorted((root / "reports" / domain).glob(f"[0-9][0-9]_{stage}.ipynb")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                for output in cell.get("outputs", []):
                    if output["output_type"] == "error":
                        name = path.relative_to(root).as_posix()
                        return name, f"{output['ename']}: {' '.join(output['evalue'].split())}"
    said = [line for line in tail if not line.startswith("> ") and "failed to run:" not in line]
    return "", said[-1].strip().removeprefix("ERROR: ") if said else "it said nothing"


def _mend(error: str) -> str:
    """The error as a sentence, with what to do about the causes that are no mistake in the code."""
    error = error if error.endswith((".", "!", "?")) else f"{error}."
    if any(words in error for words in FULL_DISK):
        return f"{error} The disk is full: free 2 GB, then run the same command again."
    if any(words in error for words in DEAD_KERNEL):
        return (
            f"{error} The notebook's process was killed, most likely for lack of memory: close "
            "other programs, or run one domain at a time (JOBS=1)."
        )
    return error


def environment(share: int, root: Path) -> dict[str, str]:
    """What the stages of a domain find in their environment.

    Args:
        share: cores that the domain may keep busy.
        root: of the repository; its code runs, also where mtrec is installed from another clone.
    """
    given = {
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": str(share),
        "OPENBLAS_NUM_THREADS": str(share),
        "MTREC_WORKERS": str(share),  # processes for trainings that do not depend on each other
        **os.environ,
    }
    tools = Path(sys.executable).parent
    given["PATH"] = f"{tools}{os.pathsep}{given.get('PATH', os.defpath)}"
    given["PYTHONPATH"] = os.pathsep.join(
        [str(root / "src"), *filter(None, [given.get("PYTHONPATH")])]
    )
    given["PYTHONUNBUFFERED"] = "1"
    return given
