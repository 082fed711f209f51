"""``mtrec repro``: data, stages of one or several domains, README."""

from __future__ import annotations

import contextlib
import errno
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import FrameType

from mtrec import cores
from mtrec.config import read_params
from mtrec.fetch.download import settle
from mtrec.lock import clear_dvc, in_turn, keep_dvc_lock, mend_dvc_lock, only_run
from mtrec.paths import find_root
from mtrec.pipeline import stages
from mtrec.pipeline.domain import DomainRun, environment
from mtrec.pipeline.screen import Screen
from mtrec.pipeline.stages import Plan

TICK = 0.2  # seconds between two looks at the running domains
INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def repro(
    wanted: Sequence[str] = (),
    jobs: int | None = None,
    until: str | None = None,
    root: Path | None = None,
    fetch: Callable[[Path], str] = settle,
    skip: Collection[str] = (),
    ray: str | None = None,
) -> int:
    """Bring domains up to date and write the README; return the exit status.

    Args:
        wanted: domains, ``all`` for every one; :data:`~mtrec.pipeline.stages.DEFAULT` if none.
        jobs: domains side by side; as many as there are cores, two at most, if None.
        until: last stage of each domain, and no README; all stages if None.
        root: of the repository; found from the working folder if None.
        fetch: settles the raw data and says what it wrote, nothing if nothing.
        skip: stages that are left out; nothing that runs may read what they write.
        ray: address of a Ray cluster whose machines run the domains, a core each, in this folder,
            which they all see; this machine if None.

    Raises:
        ConfigError: params.yaml, dvc.yaml or a domain's name is wrong.
        FetchError: the raw data cannot be fetched, or are not what they should be.
        BusyError: another run is under way in this clone.
        OSError: the disk is full, or no cluster answers.
    """
    root = root or find_root()
    with _signals():
        try:
            with only_run(root / "build" / "repro.lock"):
                clear_dvc(root)
                mend_dvc_lock(root)
                return _repro(wanted or (stages.DEFAULT,), jobs, until, root, fetch, skip, ray)
        except KeyboardInterrupt:
            print("interrupted; run the same command to go on", file=sys.stderr)
            return INTERRUPTED
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                f"{root}: no space left on the disk. Free 2 GB, then run the same command again."
            ) from error


def _repro(
    wanted: Sequence[str],
    jobs: int | None,
    until: str | None,
    root: Path,
    fetch: Callable[[Path], str],
    skip: Collection[str],
    ray: str | None,
) -> int:
    config = read_params(root / "params.yaml")
    stages.require(wanted, config.domains)  # before anything that takes time
    listing = stages.start_listing(root)
    if written := fetch(root):
        print(written, flush=True)
    names = [name for name in stages.listed(listing) if name.split("@")[0] not in skip]
    plans = stages.plans(names, wanted, config, root, until)
    raw = [stages.RAW] if (root / stages.RAW).is_file() else []
    names = [name for plan in plans for name in plan.names()]
    changed = stages.changed(root, [*raw, *names])
    due = [plan for plan in plans if changed & set(plan.names())]
    readme_due = root / "build" / "readme.due"
    if not due and not (readme_due.exists() and until is None):
        if until is None:
            print(_nothing(plans))
        return 0
    if changed & set(raw):  # recorded once, before domains that read it run side by side
        _call(stages.dvc("repro", "--quiet", stages.RAW), root)
    began = time.monotonic()
    keep_dvc_lock(root)
    readme_due.touch()
    failed = _run_there(due, jobs, root, ray) if ray else _failed(_run_all(due, jobs, root))
    mend_dvc_lock(root)
    if until is None:
        domains = [plan.domain for plan in plans]
        print(_call([sys.executable, "-m", "mtrec.cli", "readme", *domains], root), flush=True)
        readme_due.unlink()
        _say_where([name for name in domains if name not in failed], time.monotonic() - began)
    for domain, why in failed.items():
        print(f"failed: {why}Again: make repro DOMAIN={domain}", file=sys.stderr)
    return 1 if failed else 0


def _failed(runs: Sequence[DomainRun]) -> dict[str, str]:
    """Domains that failed, and why."""
    return {
        run.plan.domain: f"{run.failed} {run.plan.domain}: {run.why} "
        for run in runs if run.failed
    }  # fmt: skip


def _run_there(due: Sequence[Plan], jobs: int | None, root: Path, ray: str) -> dict[str, str]:
    """Run domains on the machines of a cluster; those that failed, whose why is printed."""
    from mtrec.scale import commands

    given = max(1, jobs) if jobs else None
    statuses = commands.run([("stages", plan.domain) for plan in due], root, ray, given)
    pairs = zip(due, statuses, strict=True)
    return {plan.domain: f"{plan.domain}, see above. " for plan, status in pairs if status}


def run_stages(domain: str, root: Path | None = None) -> int:
    """Bring the stages of one domain up to date; return the exit status.

    It is for one of several processes of a command that holds this clone.

    Args:
        domain: its name.
        root: of the repository; found from the working folder if None.

    Raises:
        ConfigError: params.yaml, dvc.yaml or the domain's name is wrong.
    """
    root = root or find_root()
    with _signals():
        try:
            with in_turn(root / "build" / f"{domain}.lock"):  # one that is lost may still stop
                config, listing = read_params(root / "params.yaml"), stages.start_listing(root)
                due = stages.plans(stages.listed(listing), (domain,), config, root, None)
                return 1 if _failed(_run_all(due, 1, root)) else 0
        except KeyboardInterrupt:
            return INTERRUPTED


def _run_all(due: Sequence[Plan], jobs: int | None, root: Path) -> list[DomainRun]:
    """Run domains, some side by side; a free slot takes the next. Stop them all on the way out."""
    available = cores.available()
    slots = max(1, min(jobs or min(2, available), len(due)))
    given = environment(max(1, available // slots), root)
    waiting, running, over = deque(due), list[DomainRun](), list[DomainRun]()
    screen = Screen()
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                running.append(DomainRun(waiting.popleft(), root, given))
            for run in list(running):
                for line in run.listen():
                    screen.line(line)
                if run.over:
                    running.remove(run)
                    over.append(run)
            found = {run.plan.domain: run.status() for run in running}
            screen.show({name: status for name, status in found.items() if status})
            time.sleep(TICK)
    finally:
        screen.close()
        with _deaf():
            for run in running:
                run.stop()
    return over


def _nothing(plans: Sequence[Plan]) -> str:
    """That everything is up to date.

    Example:
        >>> _nothing([Plan("video", ("preprocessing", "training"))])
        'nothing to do: video is up to date (2 stages); read reports/video and README.md'
    """
    count = sum(len(plan.stages) for plan in plans)
    if len(plans) == 1:
        who, where = f"{plans[0].domain} is", f"reports/{plans[0].domain}"
    else:
        who, where = f"{len(plans)} domains are", "reports/"
    return f"nothing to do: {who} up to date ({count} stages); read {where} and README.md"


def _say_where(domains: Sequence[str], seconds: float) -> None:
    if not domains:
        return
    folder = f"reports/{domains[0] if len(domains) == 1 else '<domain>'}"
    print(f"\n{', '.join(domains)}: done in {stages.duration(seconds)}. Where to look:")
    print(f"- executed notebooks: {folder}/*.ipynb, in order (README.md says what each asks)")
    print(f"- figures: {folder}/figures, and in the notebooks")
    print("- results in words and tables: README.md, docs/results.md", flush=True)


def _call(command: Sequence[str], root: Path) -> str:
    """Run a short command and return what it printed.

    Raises:
        OSError: it failed; the message is the last thing it said.
    """
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise OSError(stages.last_line(done.stderr or done.stdout))
    return done.stdout.rstrip()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Take a request to end, or a closed terminal, as Ctrl-C."""
    with _handled(_interrupt):
        yield


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Let nothing interrupt the stopping of what runs."""
    with _handled(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None] | int) -> Iterator[None]:
    old = {number: signal.signal(number, handler) for number in SIGNALS}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
