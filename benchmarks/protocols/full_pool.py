"""TALLRec's thousand questions, answered by what a user gets, trained on all answered ones.

The events of TALLRec's rows and of the ten films before each are files of one's own, with titles
and, in a second pair of rows, with what else is known of films and people. ``mtrec new --yes``
proposes the domain, whose column ``split`` names the parts of :mod:`benchmarks.models.tallrec`, and
the pipeline trains and judges it: the figures are those of its report. No setting is touched.

Unlike the prompts', its training also holds the ten films before a user's first row, as events of
their own, and a row's past is all of the user's, not ten films.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import strangers
from benchmarks.harness.results import Row
from benchmarks.models import rating_table, tallrec
from benchmarks.protocols import prompts, served

Array = np.ndarray
PROTOCOL, TASK, OURS = "tallrec_full_pool", "like", "mtrec full pool"
DESCRIBED = ", films and users described"


def measure(root: Path) -> list[Row]:
    """``tallrec_full_pool``."""
    return [row for described in (False, True) for row in trained(root, described)]


def trained(root: Path, described: bool) -> list[Row]:
    """Rows of what is served and of the joint network alone.

    Args:
        root: of the repository.
        described: all that is known of films and people is given, not titles alone.
    """
    with strangers.clone_of(root) as clone:
        costs = strangers.bring(clone, served.DOMAIN, files(root, described))
        costs |= strangers.stages(clone, served.DOMAIN, served.STAGES)
        report = clone / "reports" / served.DOMAIN / "fusion.json"
        found = json.loads(report.read_text(encoding="utf-8"))["tasks"][TASK]
    seconds = round(sum(cost.seconds for cost in costs.values()), 2)
    peak_mb = max(cost.peak_mb for cost in costs.values())
    rows = []
    for system, name, who in (
        ("answer", OURS, f"answered by {found['served']}"),
        ("joint", f"{OURS}, joint network", "the joint model"),
    ):
        auc = found[system]["auc"]
        rows.append(Row(
            PROTOCOL, prompts.split(root).sha256, name + DESCRIBED * described, version("mtrec"),
            "auc", auc["value"], auc["low"], auc["high"], 1, seconds, peak_mb,
            f"{who}; files of one's own, nothing chosen by hand",
        ))  # fmt: skip
    return rows


def files(root: Path, described: bool) -> dict[str, pd.DataFrame]:
    """A stranger's ``events``, ``items`` and perhaps ``users``.

    Args:
        root: of the repository.
        described: see :func:`trained`.
    """
    folder = root / "data" / "ml-100k"
    part = parts(root)
    events = rating_table.interactions(folder).assign(split=part)[part != ""]
    events = events.rename(columns={"user": "user_id", "item": "item_id", "time": "timestamp"})
    if described:
        return {"events": events, **served.described(folder)}
    titles = tallrec.titles(folder).rename("title").rename_axis("item_id").reset_index()
    return {"events": events, "items": titles}


def parts(root: Path) -> Array:
    """``train``, ``validation``, ``test`` or nothing, by row of the raw file."""
    table = rating_table.interactions(root / "data" / "ml-100k")
    part = np.full(len(table), "", dtype="<U10")
    rows = prompts.split(root).rows
    asked = np.concatenate([*rows.values()])
    for _, own in table.groupby("user", sort=False):
        own = own.sort_values("time", kind="stable").index.to_numpy()
        places = np.flatnonzero(np.isin(own, asked))
        if len(places):
            part[own[places[0] - tallrec.SEEN : places[0]]] = "train"
    for name, found in rows.items():
        part[found] = name
    return part


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {PROTOCOL: measure}
