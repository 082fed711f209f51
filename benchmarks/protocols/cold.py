"""New items and new users: ``cold_items`` and ``cold_users`` of every domain.

Nothing is trained here: ``make study PART=cold_start`` trained all systems on the same rows,
scored them on the same held-out entities and committed what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness.frozen import sha256_of
from benchmarks.harness.results import Row
from mtrec.config import experiment
from mtrec.report.cold_start import OTHERS, is_difference, pooled
from mtrec.studies.cold_split import hold_out
from mtrec.studies.cold_start_plan import PLAN, SIDES
from mtrec.tables import schema

NAMES = {
    "both": "mtrec joint",
    "tables": "mtrec joint without text",
    "ids": "mtrec joint, ids alone",
    "llm": "mtrec joint, text alone",
}
PACKAGES = {"catboost": "catboost", "lightfm": "lightfm-next"}  # of the peers


def run(split: str, root: Path) -> Sequence[Row]:
    """Rows ``<domain> <task> <metric>`` of all domains that have been studied.

    Raises:
        FileNotFoundError: there is no study.
    """
    folder = root / "reports" / "study"
    names = [file.stem.removesuffix("_cold") for file in sorted(folder.glob("*_cold.csv"))]
    if not names:
        raise FileNotFoundError(f"{folder}: no results; run `make study PART=cold_start`.")
    runs = [experiment(name, root) for name in names]
    return [row for run in runs for row in domain_rows(split, run, held_out(split, run))]


def held_out(split: str, run: Any) -> str:
    """SHA-256 of the entities of a domain and which part each is in.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    side, short = SIDES[split], run.cold_start
    keys = getattr(schema.read(run.paths.tables), f"{side}s")[f"{side}_id"]
    parts = hold_out(keys, (short.validation_share, short.test_share), run.seed)
    return sha256_of(parts.rename("part").rename_axis("entity").reset_index())


def domain_rows(split: str, run: Any, sha256: str) -> list[Row]:
    """Rows of one domain's study: means over its seeds, bounds the widest of their intervals.

    Differences are those of the whole model and each peer, paired, and positive is better.

    Args:
        split: ``cold_items`` or ``cold_users``.
        run: the domain's settings.
        sha256: see :func:`held_out`.
    """
    found = PLAN.results(run)
    found = pooled(found[found["split"] == split])
    whole = "both" if "both" in set(found["system"]) else "tables"  # without texts, tables are all
    names = NAMES | {whole: NAMES["both"]}
    names |= {f"{whole} - {peer}": f"{names[whole]} - {peer}" for peer in OTHERS}
    found = found[~is_difference(found) | found["system"].isin(names)]
    return [
        Row(split, sha256, names.get(row.system, row.system), _version(row.system),
            f"{run.name} {row.task} {row.metric}", row.value, row.low, row.high, row.trainings,
            float("nan"), float("nan"), "")
        for row in found.itertuples()
    ]  # fmt: skip


def _version(system: str) -> str:
    """Of a peer's package, as it is installed here; empty for what has none."""
    try:
        return version(PACKAGES[system]) if system in PACKAGES else ""
    except PackageNotFoundError:
        return ""


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    split: partial(run, split) for split in ("cold_items", "cold_users")
}
