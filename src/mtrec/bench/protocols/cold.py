"""New items and new users: ``cold_items`` and ``cold_users`` of every domain.

Nothing is trained here: ``make study PART=cold_start`` trained all systems on the same rows,
scored them on the same held-out entities and committed what it found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mtrec.bench.results import Row
from mtrec.cold import run as study
from mtrec.cold.report import is_difference, pooled

NAMES = {
    "both": "mtrec joint",
    "tables": "mtrec joint without text",
    "ids": "mtrec joint, ids alone",
    "llm": "mtrec joint, text alone",
}


def run(split: str, root: Path) -> Sequence[Row]:
    """Rows ``<domain> <task> <metric>`` of all domains that have been studied.

    Raises:
        FileNotFoundError: there is no study.
    """
    folder = root / "reports" / "study"
    names = [file.stem.removesuffix("_cold") for file in sorted(folder.glob("*_cold.csv"))]
    if not names:
        raise FileNotFoundError(f"{folder}: no results; run `make study PART=cold_start`.")
    return [row for name in names for row in domain_rows(split, study.settings(name, root))]


def domain_rows(split: str, run: Any) -> list[Row]:
    """Rows of one domain's study: means over its seeds, bounds the widest of their intervals.

    Args:
        split: ``cold_items`` or ``cold_users``.
        run: the domain's :func:`mtrec.cold.run.settings`.
    """
    found = study.results(run)
    found = pooled(found[(found["split"] == split) & ~is_difference(found)])
    sha256 = hashlib.sha256(study.results_file(run).read_bytes()).hexdigest()
    whole = "both" if "both" in set(found["system"]) else "tables"  # without texts, tables are all
    names = NAMES | {whole: NAMES["both"]}
    return [
        Row(split, sha256, names.get(row.system, row.system), "",
            f"{run.name} {row.task} {row.metric}", row.value, row.low, row.high, row.trainings,
            float("nan"), float("nan"),
            "sha256 of the study's file; the split is drawn by its seed")
        for row in found.itertuples()
    ]  # fmt: skip


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    split: partial(run, split) for split in ("cold_items", "cold_users")
}
