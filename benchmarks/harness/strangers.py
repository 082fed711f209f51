"""A stranger's files in a clone of their own: ``mtrec new``, then the stages, timed and weighed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.harness.launch import Cost, launch


@contextmanager
def clone_of(root: Path) -> Iterator[Path]:
    """A clone of the repository's commit with the weights of the language model, for the block."""
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "mtrec"
        run(["git", "clone", "--quiet", str(root), str(clone)], root)
        shutil.copytree(root / "data" / "smollm2-135m", clone / "data" / "smollm2-135m")
        yield clone


def bring(
    clone: Path, domain: str, files: Mapping[str, pd.DataFrame], *answers: str
) -> dict[str, Cost]:
    """Write files as CSV and let ``mtrec new`` and ``mtrec check`` read them; what each step cost.

    Args:
        clone: of :func:`clone_of`.
        domain: its name.
        files: ``events``, and perhaps ``items`` and ``users``.
        answers: flags of ``mtrec new`` besides ``--yes``.

    Raises:
        RuntimeError: a step fails; with its last words.
    """
    flags = []
    for name, frame in files.items():
        path = clone.parent / f"{name}.csv"
        frame.to_csv(path, index=False)
        flags += [f"--{name}", str(path)]
    command = str(Path(sys.executable).with_name("mtrec"))
    return {
        "new": run([command, "new", domain, *flags, "--yes", *answers], clone),
        "check": run([command, "check", domain], clone, warnings=True),
    }


def stages(clone: Path, domain: str, names: Sequence[str]) -> dict[str, Cost]:
    """Run stages of a domain in their order; what each cost.

    Raises:
        RuntimeError: a stage fails; with its last words.
    """
    dvc = str(Path(sys.executable).with_name("dvc"))
    return {name: run([dvc, "repro", "--single-item", f"{name}@{domain}"], clone) for name in names}


def run(words: Sequence[str], folder: Path, warnings: bool = False) -> Cost:
    """Run a command; a check may end with status 1 for its findings.

    Raises:
        RuntimeError: it fails; with its last words.
    """
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cost = launch(list(words), folder, PYTHONHASHSEED="0", TF_CPP_MIN_LOG_LEVEL="3",
                  MPLBACKEND="agg", DVC_NO_ANALYTICS="1", PYTHONPATH=str(folder / "src"),
                  PATH=tools)  # fmt: skip
    if cost.status not in ((0, 1) if warnings else (0,)):
        raise RuntimeError(f"{' '.join(words[:3])} failed: {cost.said}")
    return cost
