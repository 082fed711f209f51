"""``benchmarks/results.json``: one row per protocol, system and metric."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from mtrec.files import write_text
from mtrec.lock import in_turn

# Names of systems: how ours begin, what stands between the two of a difference, and how those end
# that read a rating's minute and second.
OURS, DIFFERENCE, FINE = "mtrec", " - ", ", to the second"
SERVED = "mtrec served"  # how those of ours begin that a user has, measured apart from the others


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        protocol: what was asked, such as ``rating_u1``.
        split_sha256: SHA-256 of the split's file; empty where data are drawn (speed).
        system: who answered; ours begin with ``mtrec``.
        version: of the system's package; of ours with the commit, such as ``0.1.0+7857342``.
        metric: lower case, such as ``rmse`` or ``ndcg@10``.
        value: the figure; the mean over seeds where there are several.
        low: lower bound of its 95 % interval, None without one.
        high: upper bound.
        seeds: trainings behind the figure.
        seconds: wall time of one training and answer.
        peak_mb: peak resident memory of the system's process, 10^6 bytes.
        note: settings and what else a reader must know.
        machine: what it ran on; empty for figures that were read, and for the oldest.
    """

    protocol: str
    split_sha256: str
    system: str
    version: str
    metric: str
    value: float
    low: float | None
    high: float | None
    seeds: int
    seconds: float
    peak_mb: float
    note: str = ""
    machine: str = ""


COLUMNS = tuple(field.name for field in fields(Row))


def read(file: Path) -> pd.DataFrame:
    """The rows so far; none if there is no file.

    Raises:
        ValueError: the file is damaged.
    """
    if not file.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        rows = json.loads(file.read_text())
        return pd.DataFrame([Row(**row) for row in rows], columns=list(COLUMNS))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file}: damaged ({error}); restore it with `git checkout {file}`."
        ) from error


def stamped(rows: Sequence[Row], root: Path, machine: str = "") -> list[Row]:
    """The rows with the commit that ours were measured at in the version, and the machine."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    commit = asked.stdout.strip() or "unknown"
    mine = version("mtrec")
    return [
        replace(row, machine=machine, version=f"{row.version or mine}+{commit}")
        if row.system.startswith("mtrec") else replace(row, machine=machine)
        for row in rows
    ]  # fmt: skip


def add(file: Path, rows: Sequence[Row]) -> None:
    """Add rows; earlier ones of the same protocol go. The file is whole at any time.

    What is :data:`SERVED` and what is not go apart, as each is measured by a command of its own.
    Several processes may add to one file at a time.
    """
    if not rows:
        return
    fresh = {(row.protocol, row.system.startswith(SERVED)) for row in rows}
    with in_turn(file.parents[1] / "build" / f"{file.name}.lock"):
        kept = [
            row for row in read(file).to_dict("records")
            if (row["protocol"], row["system"].startswith(SERVED)) not in fresh
        ]  # fmt: skip
        found = sorted(
            [*kept, *map(asdict, rows)],
            key=lambda row: (row["protocol"], row["metric"], row["system"]),
        )
        cleaned = [{k: None if v != v else v for k, v in row.items()} for row in found]
        write_text(file, json.dumps(cleaned, indent=1) + "\n")
