"""Joint training against training alone, every task of every domain: ``joint_<domain>``.

Nothing is trained here: the rows are those of ``make study PART=controls``, which notebook 12
shows. What a step costs: ``step_cost``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.harness.frozen import sha256_of
from benchmarks.harness.results import Row
from mtrec.config import experiment
from mtrec.data import schema
from mtrec.domains import DOMAINS as BUILT_IN
from mtrec.study import controls_report as controls

GAIN = "mtrec joint - single"
SYSTEMS = {"joint": "mtrec joint", "single": "mtrec single-task twin", "difference": GAIN}


def run(domain: str, root: Path) -> Sequence[Row]:
    """Rows ``<task> <metric>`` of a domain.

    Raises:
        FileNotFoundError: the pipeline has not run, or nothing is known of the domain.
    """
    one = experiment(domain, root)
    examples = schema.read(one.paths.tables).examples
    split = sha256_of(examples[["user_id", "item_id", "split"]])
    return rows_of(f"joint_{domain}", split, controls.combined(controls.results(one)))


def rows_of(protocol: str, split_sha256: str, found: pd.DataFrame) -> list[Row]:
    """Rows of what is known, see :func:`mtrec.study.controls_report.combined`."""
    nan = float("nan")
    return [
        Row(protocol, split_sha256, SYSTEMS[row.system], "", f"{row.task} {row.metric}", row.value,
            row.low, row.high, int(row.seeds), nan, nan)
        for row in found.itertuples()
        if row.system in SYSTEMS
    ]  # fmt: skip


DOMAINS = tuple(name for name in BUILT_IN if name != "own")
PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"joint_{domain}": partial(run, domain) for domain in DOMAINS
}
