"""TALLRec's thousand questions, answered by the pipeline as a user would run it.

The events of TALLRec's training and validation rows, of the ten films before a user's first row,
and titles are files of one's own, which hold nothing of the test but those ten films. ``mtrec new
--yes`` proposes the domain, and the pipeline trains it; a fiftieth of the training rows is its own
test. No setting is touched.

Asked as of the end of the data, it knows ten films of a test's user, those before the first of
their rows. Asked at the moment of each row and told it afterwards, as the service would be, it
knows all that happened to the user before, as the prompts know ten films before each row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.harness import strangers
from benchmarks.harness.ask import OURS, Answer, ask
from benchmarks.harness.results import Row
from benchmarks.models import rating_table, tallrec
from benchmarks.protocols import prompts, served
from benchmarks.protocols.rating_rows import SEED, Run

Array = np.ndarray
PROTOCOL, TASK = "tallrec_full_pool", "like"
SYSTEMS = {  # what systems/told_mtrec.py answers
    "served": "mtrec, full pool",
    "joint": "mtrec joint network, full pool",
    "told": "mtrec joint network, full pool, told as it happens",
}
TWO_NUMBERS = "logistic regression of two numbers"
SMOOTHING = (1.0, 2.0, 5.0, 10.0)  # rows of the mean beside a film's own, one of these


def measure(root: Path) -> list[Row]:
    """``tallrec_full_pool``."""
    found, seconds, peak_mb = trained(root)
    simple, smoothing = two_numbers(root)
    note = f"share of the ten that was liked, likes of the film; smoothing {smoothing:g}"
    systems: dict[str, tuple[Sequence[Run], str]] = {TWO_NUMBERS: ([simple], note)}
    for name, system in SYSTEMS.items():
        run = Run(found.arrays[name], found.version, seconds, peak_mb)
        systems[system] = [run], "files of one's own, nothing chosen by hand"
    rows = prompts.scored(root, systems)
    return [Row(**{**vars(one), "protocol": PROTOCOL}) for one in rows]


def two_numbers(root: Path) -> tuple[Run, float]:
    """What needs neither a language model nor a network: how generous the user, how liked the film.

    Of a training row the film's likes are those of the other rows.

    Returns:
        Its answers, and the smoothing that is best on validation rows.
    """
    began, data = time.process_time(), prompts.data(root)
    learnt = data["train"]
    likes = pd.Series(learnt.label.astype("float64")).groupby(learnt.film).agg(["sum", "count"])
    mean = learnt.label.mean()

    def seen(rows: tallrec.Rows, smoothing: float, known: bool = False) -> Array:
        of = likes.reindex(rows.film).fillna(0.0).to_numpy()
        if known:  # without the row itself
            of = of - np.column_stack([rows.label, np.ones(len(rows))])
        rate = (of[:, 0] + smoothing * mean) / (of[:, 1] + smoothing)
        return np.column_stack([rows.liked.mean(axis=1), np.log(rate / (1 - rate))])

    models = {one: LogisticRegression().fit(seen(learnt, one, True), learnt.label)
              for one in SMOOTHING}  # fmt: skip
    held = data["validation"]
    best = max(models, key=lambda one: float(
        roc_auc_score(held.label, models[one].decision_function(seen(held, one)))
    ))  # fmt: skip
    said = models[best].decision_function(seen(data["test"], best))
    return Run(said, "", time.process_time() - began, 0.0), best


def trained(root: Path) -> tuple[Answer, float, float]:
    """What is answered, the seconds of all steps together, and the largest peak of memory."""
    with strangers.clone_of(root) as clone:
        costs = strangers.bring(clone, served.DOMAIN, files(root))
        costs |= strangers.stages(clone, served.DOMAIN, served.STAGES)
        test = prompts.data(root)["test"].row
        asked = rating_table.interactions(root / "data" / "ml-100k").iloc[test]
        arrays = {name: asked[name].to_numpy() for name in rating_table.INTERACTIONS}
        found = ask(
            root, OURS, "told_mtrec", arrays, folder=str(clone), domain=served.DOMAIN, task=TASK
        )
    seconds = found.seconds + sum(cost.seconds for cost in costs.values())
    return found, seconds, max(found.peak_mb, *(cost.peak_mb for cost in costs.values()))


def files(root: Path) -> dict[str, pd.DataFrame]:
    """A stranger's ``events`` and ``items``, which hold no row of the test."""
    folder = root / "data" / "ml-100k"
    part = parts(root)
    known = part != ""
    events = rating_table.interactions(folder).assign(split=part)[known]
    events = events.rename(columns={"user": "user_id", "item": "item_id", "time": "timestamp"})
    titles = tallrec.titles(folder).rename("title").rename_axis("item_id").reset_index()
    return {"events": events, "items": titles}


def parts(root: Path) -> Array:
    """``train``, ``validation``, ``test`` (the pipeline's own) or nothing, by row of the file."""
    table = rating_table.interactions(root / "data" / "ml-100k")
    part = np.full(len(table), "", dtype="<U10")
    rows = prompts.split(root).rows
    asked = np.concatenate([*rows.values()])
    for _, own in table.groupby("user", sort=False):
        own = own.sort_values("time", kind="stable").index.to_numpy()
        places = np.flatnonzero(np.isin(own, asked))
        if len(places):
            part[own[places[0] - tallrec.SEEN : places[0]]] = "train"
    part[rows["train"]] = "train"
    part[rows["validation"]] = "validation"
    learnt = np.random.default_rng(SEED).permutation(rows["train"])
    part[learnt[: len(learnt) // served.HELD]] = "test"
    return part


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {PROTOCOL: measure}
