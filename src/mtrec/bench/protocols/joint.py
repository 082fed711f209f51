"""Joint training against training alone, every task of every domain: ``joint_<domain>``.

Nothing is trained here: the pipeline trained both on the same rows and notebook 05 judged both on
the same test rows (``make repro``); the difference is paired and signed so that more is better.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mtrec.bench.results import Row
from mtrec.domains import DOMAINS as BUILT_IN
from mtrec.evaluation.metrics import HIGHER_IS_BETTER, MAIN_METRIC

SYSTEMS = {"mtrec joint": "joint", "mtrec single-task twin": "single", "means": "baseline"}
GAIN = "mtrec joint - single"


def run(domain: str, root: Path) -> Sequence[Row]:
    """Rows ``<task> <metric>`` of a domain.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    metrics = _read(root / "reports" / domain / "metrics.json")
    sha256 = _sha256(root / "artifacts" / domain / "tables" / "examples.parquet")
    seconds = float(metrics["seconds"]["training"])
    return [row for name, task in metrics["tasks"].items()
            for row in task_rows(f"joint_{domain}", sha256, name, task, seconds)]  # fmt: skip


def task_rows(
    protocol: str, sha256: str, name: str, task: dict[str, Any], seconds: float
) -> list[Row]:
    """Rows of one task: each system, and the paired gain of joint training.

    Args:
        protocol: ``joint_<domain>``.
        sha256: of the examples with their split.
        name: of the task.
        task: its part of ``metrics.json``.
        seconds: of the training stage, all models together.
    """
    metric = MAIN_METRIC[task["type"]]
    rows = []
    for system, key in {**SYSTEMS, GAIN: "difference"}.items():
        value, low, high = (task[key][metric][part] for part in ("value", "low", "high"))
        if system == GAIN and not HIGHER_IS_BETTER[metric]:
            value, low, high = -value, -high, -low
        rows.append(Row(protocol, sha256, system, "", f"{name} {metric}", value, low, high, 1,
                        seconds, float("nan"), "seconds of the whole training stage"))  # fmt: skip
    return rows


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; run `make repro` first.")
    return json.loads(file.read_text(encoding="utf-8"))


def _sha256(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; run `make repro` first.")
    return hashlib.sha256(file.read_bytes()).hexdigest()


DOMAINS = tuple(name for name in BUILT_IN if name != "own")
PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"joint_{domain}": partial(run, domain) for domain in DOMAINS
}
