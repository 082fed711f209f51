"""Run executed notebooks again, in a copy of the tracked files, and compare what they show.

The copy keeps the pipeline's own outputs out of reach: a rerun must not change what is being
checked, nor find what an earlier stage left behind. Domains share nothing there: with ``all``, two
are checked side by side.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mtrec.pipeline.domain import environment
from mtrec.pipeline.stages import ALL, DEFAULT

ROOT = Path(__file__).resolve().parents[1]


def copy_tracked(target: Path) -> None:
    """Copy tracked files to ``target`` and link ``data/`` there."""
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "data").symlink_to(ROOT / "data")


def notebooks(root: Path, wanted: Sequence[str]) -> dict[str, list[str]]:
    """The executed notebooks of the wanted domains, in order; last what asks the trained model.

    Raises:
        ValueError: a domain has none.
    """
    found: dict[str, list[str]] = {}
    paths = (root / "reports").glob("*/[0-9][0-9]_*.ipynb")
    for path in sorted(paths, key=lambda path: (path.name.startswith("00"), path)):
        found.setdefault(path.parent.name, []).append(path.relative_to(root).as_posix())
    if ALL in wanted:
        return found
    for domain in wanted:
        if domain not in found:
            raise ValueError(
                f"no executed notebooks of domain '{domain}'. reports/ has those of "
                f"{', '.join(found)}; '{ALL}' checks every one."
            )
    return {domain: found[domain] for domain in wanted}


def run(target: Path, paths: Sequence[str], share: int = 1, alone: bool = True) -> int:
    """Run nbval on notebooks below ``target``; 0 if every compared output is the same.

    Args:
        target: the copy.
        paths: notebooks below it, in order.
        share: cores to keep busy.
        alone: show what happens as it happens; else all at once, when it is over.
    """
    options = ["--nbval", "--nbval-kernel-name", "python3", "--nbval-cell-timeout", "3600"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *paths]
    done = subprocess.run(
        command, cwd=target, env=environment(share, target), text=True, check=False,
        stdout=None if alone else subprocess.PIPE, stderr=None if alone else subprocess.STDOUT,
    )  # fmt: skip
    print(done.stdout or "", end="", flush=True)
    return done.returncode


def main(wanted: Sequence[str]) -> int:
    """Check the notebooks of one domain, or of several; 0 if all are as they were."""
    chosen = notebooks(ROOT, wanted or [DEFAULT])
    target = ROOT / "build" / "nbval"
    copy_tracked(target)
    cores = os.cpu_count() or 1
    side = max(1, min(2, cores, len(chosen)))

    def check(domain: str) -> int:
        print(f"nbval: {len(chosen[domain])} notebooks of {domain}", flush=True)
        status = run(target, chosen[domain], max(1, cores // side), alone=len(chosen) == 1)
        print(f"nbval: {domain}: {'something differs' if status else 'as it was'}", flush=True)
        return status

    with ThreadPoolExecutor(side) as pool:
        return max(pool.map(check, chosen))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"run_nbval: {error}")
