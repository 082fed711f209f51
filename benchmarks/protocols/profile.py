"""Where the time of ``make repro`` goes: ``repro_profile``, wall seconds of each domain's stages.

Nothing is run here: the executed notebooks carry their wall times, and ``mtrec readme`` keeps them
in ``reports/DOMAIN/metrics.json``. Where two domains run at a time the sum is more than the wall
time of the whole. Texts that were embedded before are not embedded again; ``task_embedding`` of
``social_reviews`` shows whether they were, and the note says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.results import Row
from mtrec.registry import DOMAINS

NAME = "repro_profile"
NOTE = "wall time of each executed notebook in its last run; some ran beside another domain"
READ = 120.0  # seconds: embedding the reviews takes longer where their vectors are not cached


def run(root: Path) -> list[Row]:
    """Rows ``<domain> <stage> seconds`` of the domains that were run.

    Raises:
        FileNotFoundError: none was.
    """
    rows = []
    for domain in DOMAINS:
        file = root / "reports" / domain / "metrics.json"
        if not file.is_file():
            continue
        stages = json.loads(file.read_text(encoding="utf-8"))["seconds"]
        rows += [
            Row(NAME, "", "mtrec", "", f"{domain} {stage} seconds", float(seconds), None, None, 1,
                float(seconds), float("nan"), NOTE)
            for stage, seconds in stages.items()
        ]  # fmt: skip
    if not rows:
        raise FileNotFoundError(f"{root / 'reports'}: no metrics.json; run `make repro` first.")
    return [replace(row, note=f"{NOTE}; {_cache(rows)}") for row in rows]


def _cache(rows: Sequence[Row]) -> str:
    """Whether the texts had been read before."""
    reading = [row.value for row in rows if row.metric == "social_reviews task_embedding seconds"]
    warm = not reading or reading[0] < READ
    return "texts had been read before (a warm cache)" if warm else "texts were read (a cold cache)"


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {NAME: run}
