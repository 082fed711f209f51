"""Run a system as a process of its own, under its own environment, timed and weighed.

A system is a script ``benchmarks/systems/NAME.py`` that reads arrays from one ``.npz`` file and
writes its answers to another, so that peers need not share our packages and none sees test labels.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.launch import launch

Array = np.ndarray
OURS = "mtrec"  # the environment this runs in


class NotMade(FileNotFoundError):
    """An environment that a system needs is not there."""


@dataclass(frozen=True)
class Answer:
    """What a system answered.

    Attributes:
        arrays: its answers by name.
        version: of its package, as the script says.
        seconds: wall time of the process, without the start of Python and the reading of files
            where the script times itself (``seconds`` among its answers).
        peak_mb: peak resident memory of the process, 10^6 bytes.
    """

    arrays: Mapping[str, Array]
    version: str
    seconds: float
    peak_mb: float


def ask(
    root: Path, environment: str, script: str, arrays: Mapping[str, Array], **options: Any
) -> Answer:
    """Ask a system.

    Args:
        root: of the repository.
        environment: ``mtrec`` for ours, or the name of a folder in ``.venv/bench``.
        script: name of a file in ``benchmarks/systems``, without ``.py``.
        arrays: what the system may see.
        options: settings, handed over as JSON.

    Raises:
        RuntimeError: the system fails; with its last words.
        NotMade: its environment is not there.
    """
    python = interpreter(root, environment)
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, allow_pickle=False, **arrays)
        command = [str(python), str(root / "benchmarks" / "systems" / f"{script}.py"),
                   str(given), str(answered), json.dumps(options)]  # fmt: skip
        cost = launch(command, root, **variables(root, environment))
        if cost.status:
            raise RuntimeError(f"benchmarks/systems/{script}.py failed: {cost.said}")
        with np.load(answered) as found:
            out = {key: found[key] for key in found.files}
    version = str(out.pop("version", ""))
    seconds = float(out.pop("seconds", cost.seconds))
    return Answer(out, version, seconds, cost.peak_mb)


def search(
    root: Path, environment: str, script: str, arrays: Mapping[str, Array],
    trials: Sequence[Mapping[str, Any]], **options: Any,
) -> Answer:  # fmt: skip
    """Ask a system for the best of several settings; each core tries its part of them.

    The script tries ``trials`` and answers for the best: ``loss``, on validation rows, and
    ``best``, its number among those it was given.

    Returns:
        The answer with the least loss, the first of equals; ``best`` is its number among all
        ``trials``, seconds are those of all processes together, memory that of the largest.

    Raises:
        RuntimeError, NotMade: as :func:`ask`.
    """
    lanes = min(os.cpu_count() or 1, len(trials))
    with ThreadPoolExecutor(lanes) as pool:
        found = list(
            pool.map(
                lambda part: ask(root, environment, script, arrays, trials=part, **options),
                [trials[lane::lanes] for lane in range(lanes)],
            )
        )
    ranked = [
        (float(one.arrays["loss"]), lane + lanes * int(one.arrays["best"]))
        for lane, one in enumerate(found)
    ]
    loss, best = min(ranked)
    chosen = found[ranked.index((loss, best))]
    return replace(
        chosen, arrays={**chosen.arrays, "best": np.array(best)},
        seconds=sum(one.seconds for one in found), peak_mb=max(one.peak_mb for one in found),
    )  # fmt: skip


def variables(root: Path, environment: str) -> dict[str, str]:
    """Variables of a system's process; our scripts import :mod:`benchmarks`, peers' need not."""
    found = {"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if environment == OURS:
        before = os.environ.get("PYTHONPATH")
        found["PYTHONPATH"] = os.pathsep.join([str(root), *([before] if before else [])])
    return found


def interpreter(root: Path, environment: str) -> Path:
    """Python of an environment.

    Raises:
        NotMade: it is not there.
    """
    if environment == OURS:
        return Path(sys.executable)
    python = root / ".venv" / "bench" / environment / "bin" / "python"
    if not python.is_file():
        raise NotMade(
            f"{python}: no such environment; `make bench` makes it from "
            f"benchmarks/environments/{environment}.lock."
        )
    return python
