"""Make the environment of this repository from a lock: ``install.py VENV LOCK``.

Runs before anything is installed, so it needs nothing but the standard library. A stamp says what
the environment was made of; without a stamp that agrees it is made anew, from the beginning.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIGABYTES = {"requirements.lock": 4, "requirements-gpu.lock": 12}  # with pip's copies
AGAIN = "then run the same command again"
CAUSES = (  # in what pip says, the first that is found
    (
        r"No space left on device|Disk quota exceeded",
        f"The disk is full: make room where .venv, TMPDIR and pip's cache lie, {AGAIN}.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "A package is not the one that was pinned: ask whoever runs the registry or proxy that pip"
        f" uses, or empty pip's cache (pip cache purge), {AGAIN}.",
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|ReadTimeout|ConnectTimeout"
        r"|ProxyError|SSLError|ConnectionResetError|ProtocolError|IncompleteRead|Max retries",
        "The package registry cannot be reached: look at the network and at pip's settings"
        f" (pip config list), {AGAIN}.",
    ),
    (
        r"No matching distribution found",
        "The package registry has no build for this machine. TensorFlow has them for 64-bit Linux"
        " with glibc 2.27 or newer, and for macOS on Apple silicon.",
    ),
)


class NotInstalled(Exception):
    """Why the environment was not made, in a sentence that says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Make the environment unless it is as it should be; the status to exit with."""
    folder, lock = Path(arguments[0]), ROOT / arguments[1]
    stamp = folder / f".installed-{lock.name}"
    wanted = made_of(lock)
    if agrees(stamp, wanted):
        return 0
    try:
        with alone() as held:
            if not agrees(stamp, wanted):
                make(folder, lock, held)
                write(stamp, wanted)
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("The environment is not made yet: run the same command again.", file=sys.stderr)
        return 130
    return 0


def made_of(lock: Path) -> str:
    """What an environment depends on: the lock, the project, and the Python that makes it."""
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (lock, ROOT / "pyproject.toml")
    }
    return json.dumps({"python": python, "version": sys.version_info[:2], **digests}, indent=1)


def agrees(stamp: Path, wanted: str) -> bool:
    """Whether the environment was made, to its end, of what is wanted."""
    return stamp.is_file() and stamp.read_text() == wanted


def write(stamp: Path, text: str) -> None:
    """Write a stamp, whole or not at all."""
    half = stamp.with_name(stamp.name + ".half")
    half.write_text(text)
    half.replace(stamp)


@contextmanager
def alone() -> Iterator[int]:
    """Wait until no other command makes an environment in this clone.

    The lock is also held by the pips that are started, should this process be killed.
    """
    with open(__file__) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(
                "Another command makes the environment of this clone; waiting for it.", flush=True
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def make(folder: Path, lock: Path, held: int) -> None:
    """Make the environment anew.

    Raises:
        NotInstalled: the disk is full, the registry cannot be reached, or pip failed otherwise.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"making the environment in {folder} with Python {version} ({sys.executable})"
        f" from {lock.name}: one to three minutes",
        flush=True,
    )
    try:
        clear(folder)
        room(folder, lock.name)
        venv.EnvBuilder(symlinks=True, with_pip=True).create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        said = f"{error} {getattr(error, 'output', None) or b''!r}"
        raise NotInstalled(f"{folder} cannot be made: {error}. {cause(said)}") from error
    with tempfile.TemporaryDirectory() as scratch:
        parts = [Path(scratch) / f"{number}.txt" for number in range(3)]
        for part, names in zip(parts, shares(pinned(lock.read_text())), strict=True):
            part.write_text("".join(names))
        pip(folder, [["--require-hashes", "--requirement", str(parts[0])]], held)
        pip(folder, [["--require-hashes", "--requirement", str(part)] for part in parts[1:]], held)
    pip(folder, [["--no-build-isolation", "--editable", "."]], held)


def clear(folder: Path) -> None:
    """Remove an environment, the stamps first: what is left of it must not count as made."""
    for stamp in folder.glob(".installed-*"):
        stamp.unlink()
    for inside in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(inside) if inside.is_dir() and not inside.is_symlink() else inside.unlink()


def room(folder: Path, lock: str) -> None:
    """Look whether the packages will fit.

    Raises:
        NotInstalled: they will not.
    """
    free, needed = shutil.disk_usage(folder.absolute().parent).free, GIGABYTES[lock] * 10**9
    if free < needed:
        raise NotInstalled(
            f"The disk is full: the environment in {folder} needs {needed / 1e9:.0f} GB,"
            f" {free / 1e9:.1f} GB are free; make room, {AGAIN}."
        )


def pinned(text: str) -> list[str]:
    """Packages of a lock, each with its hashes."""
    return re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]


def shares(packages: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """What is installed first (pip itself), and two shares of about the same work.

    TensorFlow is half of all bytes, so it goes with a third of the others.
    """
    first = [package for package in packages if package.startswith("pip==")]
    large = [package for package in packages if package.startswith("tensorflow")]
    others = [package for package in packages if package not in (*first, *large)]
    return first, large + others[::3], others[1::3] + others[2::3]


def pip(folder: Path, calls: Sequence[Sequence[str]], held: int) -> None:
    """Install by pip, each call a process of its own and all at once.

    The locks name every package, so none is looked for (``--no-deps``), and bytecode is written
    when a module is first imported (``--no-compile``), of a quarter of all modules.

    Raises:
        NotInstalled: a call failed.
    """
    python = str((folder / "bin" / "python").absolute())
    command = [python, "-I", "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        running = [
            subprocess.Popen(
                [*command, *call], cwd=ROOT, env=environment, pass_fds=(held,), stderr=said,
                stdin=subprocess.DEVNULL,
            )
            for call in calls
        ]  # fmt: skip
        try:
            failed = wait(running)
        finally:
            stop(running)
        if failed:
            said.seek(0)
            text = said.read()
            lines = [line for line in text.splitlines() if "WARNING" not in line and line.strip()]
            raise NotInstalled("\n".join([*lines[-12:], cause(text)]))


def wait(running: Sequence[subprocess.Popen[bytes]], every: float = 30) -> bool:
    """Wait for the end of all or the failure of one, with a sign of life now and then."""
    start = said = time.monotonic()
    while True:
        codes = [process.poll() for process in running]
        if any(codes) or None not in codes:
            return any(codes)
        if time.monotonic() - said > every:
            said = time.monotonic()
            print(f"  still installing, after {said - start:.0f} s", flush=True)
        time.sleep(0.1)


def stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs."""
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


def cause(text: str) -> str:
    """The sentence for what pip or Python said."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, text):
            return sentence
    return f"The environment was not made: mend what is said above, {AGAIN}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
