"""``mtrec held-out``: the pipeline on a split that is made for the final table.

Test rows that were looked at often flatter whoever looked. So each domain is split once more: by
another seed where lots are drawn, and where there is a clock, as the data stood at an earlier date,
so that rows test which trained in the pipeline's own split. Lots overlap: of ten rows that test
here, about one tested and one validated before. The commit's own pipeline runs on that split from
raw files to served answers, in a copy of the repository, and nothing may be chosen by what it
says. Every opening is a line in ``docs/test_rows.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from mtrec.config import experiment, read_params
from mtrec.files import write_text
from mtrec.lock import only_run
from mtrec.paths import ConfigError, find_root
from mtrec.pipeline import stages
from mtrec.pipeline.run import repro
from mtrec.report.held_out import FOLDER

SEED = 43  # of splits, samples and weights
LAST, SKIPPED = "fusion", ("evaluation",)  # what the table does not need
LEDGER = "docs/test_rows.md"
HALF = ".half"


def held_out(wanted: Sequence[str], why: str, root: Path | None = None) -> int:
    """Open the held-out parts of domains, write what was found, and return the exit status.

    What was interrupted goes on where it stopped, as long as the commit is the same; domains that
    are done are kept whatever becomes of the others.

    Args:
        wanted: domains; ``all`` for every one of the repository's own.
        why: the reason, for the ledger.
        root: of the repository; found from the working folder if None.

    Raises:
        ConfigError: no reason, an unknown domain, one without such a part, changes that are not
            committed, or a copy of another commit.
        BusyError: another such run is under way in this clone.
    """
    root = root or find_root()
    if not why.strip() or "|" in why or "\n" in why:
        raise ConfigError("--why: say in a few words on one line, without '|', what it is for.")
    parts = _parts(root, wanted)
    commit = _commit(root)
    with only_run(root / "build" / "held_out.lock"):
        work = _copy(root, commit)
        _set(work / "params.yaml", parts)
        ledger = (root / LEDGER).read_text(encoding="utf-8")
        write_text(root / LEDGER, noted(ledger, list(parts), why, commit))
        status = repro(list(parts), until=LAST, skip=SKIPPED, root=work)
        kept = [name for name in parts if _keep(work, root, name, commit, parts[name])]
    print(f"{FOLDER}: {', '.join(kept) or 'nothing yet'}; noted in {LEDGER}. Commit both.")
    if status:
        print(f"The copy is {work}, its logs are in build/logs there. Run the same command again.")
    return status


def noted(ledger: str, names: Sequence[str], why: str, commit: str) -> str:
    """The ledger with a line more at the end of its table, unless it has that line.

    Raises:
        ConfigError: the ledger has no table.

    Example:
        >>> noted("| when |\\n|---|\\n\\nEnd.", ["a"], "release", "0123456789")[30:]
        'held-out parts of `a` | release | commit 0123456 |\\n\\nEnd.'
    """
    lines = ledger.split("\n")
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    if not rows:
        raise ConfigError(f"{LEDGER}: it has no table to write a line into; restore it from git.")
    what = ", ".join(f"`{name}`" for name in names)
    end = f"| held-out parts of {what} | {why} | commit {commit[:7]} |"
    if any(line.endswith(end) for line in lines):
        return ledger
    said = f"| {date.today()} {end}"
    return "\n".join([*lines[: rows[-1] + 1], said, *lines[rows[-1] + 1 :]])


def _parts(root: Path, wanted: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """What ``data`` of each domain becomes."""
    domains = read_params(root / "params.yaml").domains
    stages.require(wanted, domains)
    ours = [name for name, one in domains.items() if one.module != "own"]
    parts = {}
    for name in ours if stages.ALL in wanted else wanted:
        if domains[name].module == "own":
            raise ConfigError(
                f"'{name}' is a domain of your own: keep a part of its files away from mtrec, and "
                "make a domain of them when all is chosen."
            )
        parts[name] = getattr(experiment(name, root).domain.data, "earlier", {})
    return parts


def _commit(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        ConfigError: files, but for what this command writes, differ from it, or there is none.
    """
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel").strip())
        status = _git(root, "status", "--porcelain", "--untracked-files=no")
        commit = _git(root, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        top = None
    if top is None or top.resolve() != root.resolve():
        raise ConfigError(
            f"{root}: a held-out part is opened for a commit, and this folder is no clone of git. "
            "Clone the repository with git and run this there."
        )
    changed = [line[3:] for line in status.splitlines()]
    changed = [name for name in changed if name != LEDGER and not name.startswith(FOLDER)]
    if changed:
        raise ConfigError(
            "a held-out part is opened for a commit, and these files differ from it: "
            f"{', '.join(changed[:5])}. Commit them first."
        )
    return commit


def _copy(root: Path, commit: str) -> Path:
    """A clone of the commit with the raw data, made unless it is there.

    Raises:
        ConfigError: there is one of another commit, or git cannot clone.
    """
    folder = root / "build" / "held_out"
    work = folder / commit[:12]
    others = [one.name for one in folder.glob("*") if one.is_dir() and one != work]
    others = [name for name in others if not name.endswith(HALF)]
    if others:
        raise ConfigError(
            f"{folder / others[0]} is the copy of another commit. Go on with it by checking that "
            "commit out, or delete it."
        )
    if not work.is_dir():
        with _whole(work) as half:
            try:
                _git(root, "clone", "--quiet", "--shared", str(root), str(half))
            except subprocess.CalledProcessError as error:
                raise ConfigError(f"{half}: git cannot clone: {error.stderr.strip()}") from None
    if (root / "data").is_dir() and not (work / "data").exists():
        with _whole(work / "data") as half:
            shutil.copytree((root / "data").resolve(), half)
    return work


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder under a temporary name, which gets its own when the block is done."""
    half = folder.with_name(folder.name + HALF)
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    yield half
    os.replace(half, folder)


def _set(file: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    params["seed"] = SEED
    for name, data in parts.items():
        params["domains"][name]["data"] = {**params["domains"][name].get("data", {}), **data}
    write_text(file, yaml.safe_dump(params, sort_keys=False, width=100))


def _keep(work: Path, root: Path, name: str, commit: str, data: Mapping[str, Any]) -> bool:
    """Write what the copy found, unless it has found nothing yet."""
    answers = work / "reports" / name / "fusion.json"
    if not answers.is_file():  # its stage was stopped
        return False
    found = json.loads(answers.read_text(encoding="utf-8"))
    if found["seed"] != SEED:  # of the commit itself
        return False
    file = root / FOLDER / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"commit": commit, "seed": SEED, "data": dict(data)}
    write_text(file, json.dumps({**found, "held_out": about}, indent=2) + "\n")
    return True


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout
