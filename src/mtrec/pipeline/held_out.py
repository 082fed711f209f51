"""``mtrec held-out``: the pipeline on parts of the data that are opened for the final table alone.

Test rows that were looked at often flatter whoever looked. So each domain is split once more: by
another seed where lots are drawn, and where there is a clock, as the data stood at an earlier date,
so that rows test that only trained before. The commit's own pipeline runs on that split from raw
files to served answers, in a copy of the repository, and nothing may be chosen by what it says.
Every opening is a line in ``docs/test_rows.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from mtrec.config import experiment, read_params
from mtrec.files import write_text
from mtrec.paths import ConfigError, find_root
from mtrec.pipeline import stages
from mtrec.pipeline.run import repro
from mtrec.report.held_out import FOLDER

SEED = 43  # of splits, samples and weights
LAST, SKIPPED = "fusion", ("evaluation",)  # what the table does not need
LEDGER = "docs/test_rows.md"


def held_out(wanted: Sequence[str], why: str, root: Path | None = None) -> int:
    """Open the held-out parts of domains and write :data:`FOLDER`; return the exit status.

    What was interrupted goes on where it stopped, as long as the commit is the same.

    Args:
        wanted: domains; ``all`` for every one of the repository's own.
        why: the reason, for the ledger.
        root: of the repository; found from the working folder if None.

    Raises:
        ConfigError: no reason, an unknown domain, one without such a part, or changes that are not
            committed.
    """
    root = root or find_root()
    if not why.strip() or "|" in why:
        raise ConfigError("--why: say in a few words, without '|', what the parts are opened for.")
    commit = _commit(root)
    parts = _parts(root, wanted)
    work = root / "build" / "held_out" / commit[:12]
    _copy(root, work)
    _set(work / "params.yaml", parts)
    if status := repro(list(parts), until=LAST, skip=SKIPPED, root=work):
        return status
    for name, data in parts.items():
        _keep(work, root, name, {"commit": commit, "seed": SEED, "data": dict(data)})
    write_text(
        root / LEDGER, noted((root / LEDGER).read_text(encoding="utf-8"), list(parts), why, commit)
    )
    print(f"{FOLDER}: {', '.join(parts)}; noted in {LEDGER}. Commit both.")
    return 0


def noted(ledger: str, names: Sequence[str], why: str, commit: str) -> str:
    """The ledger with a line more at the end of its table.

    Raises:
        ConfigError: the ledger has no table.

    Example:
        >>> print(noted("| when |\\n|---|\\n\\nEnd.", ["a"], "release", "0123456789abcdef")[:21])
        | when |
        |---|
        | 20
    """
    lines = ledger.split("\n")
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    if not rows:
        raise ConfigError(f"{LEDGER}: it has no table to write a line into; restore it from git.")
    what = ", ".join(f"`{name}`" for name in names)
    said = f"| {date.today()} | held-out parts of {what} | {why} | commit {commit[:7]} |"
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
        ConfigError: files differ from it, or there is none.
    """
    try:
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        commit = _git(root, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        raise ConfigError(
            f"{root}: a held-out part is opened for a commit, and git finds none here."
        ) from None
    if changed.strip():
        raise ConfigError(
            "a held-out part is opened for a commit, and these files differ from it: "
            f"{', '.join(line[3:] for line in changed.splitlines()[:5])}. Commit them first."
        )
    return commit


def _copy(root: Path, work: Path) -> None:
    """A clone with the raw data, unless it is there."""
    if not (work / ".git").is_dir():
        shutil.rmtree(work.parent, ignore_errors=True)
        work.parent.mkdir(parents=True)
        _git(root, "clone", "--quiet", "--shared", str(root), str(work))
    if (root / "data").is_dir() and not (work / "data").exists():
        half = work / "data.half"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree((root / "data").resolve(), half)
        os.replace(half, work / "data")


def _set(file: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    params["seed"] = SEED
    for name, data in parts.items():
        params["domains"][name]["data"] = {**params["domains"][name].get("data", {}), **data}
    write_text(file, yaml.safe_dump(params, sort_keys=False, width=100))


def _keep(work: Path, root: Path, name: str, about: Mapping[str, Any]) -> None:
    found = json.loads((work / "reports" / name / "fusion.json").read_text(encoding="utf-8"))
    file = root / FOLDER / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({**found, "held_out": about}, indent=2) + "\n")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout
