"""Joint training against training alone, every task of every domain: ``joint_<domain>``.

The pipeline's joint model and its twins learn the same rows over three seeds; differences are
paired, on the same test rows and seed, and signed so that more is better. Values and intervals
(each a bootstrap over users) are means over seeds. What it costs: ``step_cost``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness.results import Row
from benchmarks.models.retrained import SEEDS, Domain, Trained, split_sha256, trained
from mtrec.domains import DOMAINS as BUILT_IN
from mtrec.evaluation.intervals import Scores, evaluate
from mtrec.evaluation.metrics import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.models.assemble import JOINT

RESAMPLES = 200
ALONE = "single"
GAIN = "mtrec joint - single"
SYSTEMS = {"mtrec joint": JOINT, "mtrec single-task twin": ALONE, GAIN: "difference"}


def run(domain: str, root: Path) -> Sequence[Row]:
    """Rows ``<task> <metric>`` of a domain.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    found = trained(domain, root)
    sha256 = split_sha256(found)
    rows: list[Row] = []
    for task in found.bench.assembly.types:
        rows += task_rows(f"joint_{domain}", sha256, task, found)
    return rows


def task_rows(protocol: str, sha256: str, task: str, found: Domain) -> list[Row]:
    """Rows of one task: either system, and the paired gain of joint training.

    Args:
        protocol: ``joint_<domain>``.
        sha256: of the split.
        task: its name.
        found: the domain's trained models.
    """
    kind = found.bench.assembly.types[task]
    metric, rows = MAIN_METRIC[kind.metrics], found.rows("test", task)
    ids = found.bench.tables.examples.iloc[rows]
    users = ids["user_id"].where(ids["user_id"].notna(), ids["item_id"]).to_numpy().astype(str)
    labels = found.bench.data.labels[task][rows]
    pairs = list(zip(found.models[JOINT], found.models[task], strict=True))
    scores = [
        evaluate(
            kind.metrics, labels,
            {JOINT: joint.answers["test"][task], ALONE: alone.answers["test"][task]},
            users, RESAMPLES, SEEDS[0], {"difference": (JOINT, ALONE)},
        )
        for joint, alone in pairs
    ]  # fmt: skip
    seconds = {JOINT: found.models[JOINT], ALONE: found.models[task]}
    return [
        _row(protocol, sha256, system, f"{task} {metric}", metric, [one[key] for one in scores],
             seconds.get(key, []))
        for system, key in SYSTEMS.items()
    ]  # fmt: skip


def _row(
    protocol: str, sha256: str, system: str, name: str, metric: str,
    scores: Sequence[Scores], runs: Sequence[Trained],
) -> Row:  # fmt: skip
    each = [one[metric]["value"] for one in scores]
    value, low, high = (
        float(np.mean([one[metric][part] for one in scores])) for part in ("value", "low", "high")
    )
    if system == GAIN and not HIGHER_IS_BETTER[metric]:
        value, low, high, each = -value, -high, -low, [-one for one in each]
    seconds = float(np.mean([run.seconds for run in runs])) if runs else float("nan")
    note = "by seed: " + ", ".join(f"{one:.4f}" for one in each)
    return Row(protocol, sha256, system, "", name, value, low, high, len(scores),
               round(seconds, 1), float("nan"), note)  # fmt: skip


DOMAINS = tuple(name for name in BUILT_IN if name != "own")
PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"joint_{domain}": partial(run, domain) for domain in DOMAINS
}
