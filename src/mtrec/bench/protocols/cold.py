"""New items and new users: ``cold_items`` and ``cold_users`` of every domain.

Nothing is trained here: ``make study PART=cold_start`` trained all systems on the same rows,
scored them on the same held-out entities and committed what it found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from mtrec.bench.results import Row
from mtrec.training import ledger

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
    files = sorted((root / "reports" / "study").glob("*_cold.csv"))
    if not files:
        raise FileNotFoundError(
            f"{root / 'reports' / 'study'}: no cold-start study; run `make study PART=cold_start`."
        )
    return [row for file in files for row in domain_rows(split, file)]


def domain_rows(split: str, file: Path) -> list[Row]:
    """Rows of one domain's study; where the peers changed, those of its last key."""
    domain = file.stem.removesuffix("_cold")
    found = ledger.read(file)
    found = found[(found["split"] == split) & ~found["system"].str.contains(" - ")]
    found = found[found["key"] == found["key"].iloc[-1]] if len(found) else found
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    whole = "both" if "both" in set(found["system"]) else "tables"  # without texts, tables are all
    names = NAMES | {whole: NAMES["both"]}
    return [_row(split, sha256, domain, names, row) for _, row in found.iterrows()]


def _row(split: str, sha256: str, domain: str, names: dict[str, str], row: pd.Series) -> Row:
    system = names.get(row["system"], row["system"])
    return Row(split, sha256, system, "", f"{domain} {row['task']} {row['metric']}", row["value"],
               row["low"], row["high"], 1, float("nan"), float("nan"),
               "sha256 of the study's file; the split is drawn by its seed")  # fmt: skip


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    split: partial(run, split) for split in ("cold_items", "cold_users")
}
