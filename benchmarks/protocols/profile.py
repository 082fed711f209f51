"""Where the time of ``make repro`` goes: ``repro_profile``, wall seconds of each domain's stages.

Nothing is run here: the executed notebooks carry their wall times, and ``mtrec readme`` keeps them
in ``reports/DOMAIN/metrics.json``. Two domains run at a time, so the sum is more than the wall time
of the whole. Texts that were embedded before are not embedded again; ``task_embedding`` of
``social_reviews`` shows whether they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.results import Row
from mtrec.domains import DOMAINS

NAME = "repro_profile"
NOTE = "wall time of each executed notebook in its last run; two domains ran at a time"


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
    return rows


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {NAME: run}
