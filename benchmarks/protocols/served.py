"""What a user gets: MovieLens-100K as files of one's own, answered by ``mtrec.load``.

The contests' other systems of ours are models made for them. Here nothing is: the events that a
contest lets everyone learn from, and none of its test, are a stranger's files, with films and users
beside them. ``mtrec new --yes`` proposes the domain, the pipeline's stages train it, and requests
are answered as of then, by whoever leads each task on validation rows. No setting is touched.

Of a split by lot, a column names the contest's validation rows (``split: given``) and a fiftieth of
the others for the pipeline's own test. Where the test is cut off in time, ``mtrec new`` splits what
is known by time, 8:1:1, wherever the contest's validation rows lie. Either way the pipeline does
not learn from its validation and test rows, as all other systems in the end do from theirs: in
time, the last fifth of what is known only moves histories and counts, and a fifth of the users of
``leave_last_out`` have no training event. Nor does it know when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import strangers
from benchmarks.harness.ask import OURS, Answer, ask
from benchmarks.harness.frozen import Split
from benchmarks.harness.results import SERVED, Row
from benchmarks.models import rating_table, topk
from benchmarks.protocols import like, rating, topn
from benchmarks.protocols.rating_rows import LIKED, RESAMPLES, SEED, score
from benchmarks.protocols.rating_scores import mean_rmse, rmse_draws
from mtrec.metrics.intervals import interval

Array = np.ndarray
DOMAIN = "films"
STAGES = ("preprocessing", "task_embedding", "model_building", "training", "fusion")
HELD = 50  # one training row in so many is the pipeline's own test
LONGEST = 200  # items asked for, of which those that validate are taken out
SYSTEMS = (SERVED, f"{SERVED}, joint alone")


@dataclass(frozen=True)
class Contest:
    """A contest.

    Attributes:
        split: of the repository's root.
        by_lot: the test was drawn by lot, not cut off in time.
        task: what is asked: ``rating``, ``like``, or ``next_item`` for lists.
    """

    split: Callable[[Path], Split]
    by_lot: bool
    task: str


CONTESTS = {
    "rating_u1": Contest(partial(rating.fold, number=1), True, "rating"),
    "like_random": Contest(partial(like.split, order="random"), True, "like"),
    "like_temporal": Contest(partial(like.split, order="temporal"), False, "like"),
    "topn_811": Contest(partial(topn.split, name="topn_811"), True, "next_item"),
    "leave_last_out": Contest(partial(topn.split, name="leave_last_out"), False, "next_item"),
}


def files(root: Path, split: Split, by_lot: bool) -> dict[str, pd.DataFrame]:
    """A stranger's three files, which hold nothing of the contest's test.

    Args:
        root: of the repository.
        split: the contest's.
        by_lot: add a column that says what each event is for.
    """
    folder = root / "data" / "ml-100k"
    train, validation = split.rows["train"], split.rows["validation"]
    known = np.sort(np.concatenate([train, validation]))
    events = rating_table.interactions(folder).iloc[known]
    events = events.rename(columns={"user": "user_id", "item": "item_id", "time": "timestamp"})
    if by_lot:
        held = np.random.default_rng(SEED).permutation(train)[: len(train) // HELD]
        part = np.select([np.isin(known, validation), np.isin(known, held)],
                         ["validation", "test"], "train")  # fmt: skip
        events = events.assign(split=part)
    films, people = (pd.read_csv(folder / f"ml-100k.{name}", sep="\t") for name in ("item", "user"))
    for side in (films, people):
        side.columns = [name.split(":")[0] for name in side.columns]
    films = films[["item_id", "movie_title", "release_year", "class"]].assign(
        item_id=films["item_id"] - 1, genres=films["class"].str.replace(" ", "|")
    )
    people = people[["user_id", "age", "gender", "occupation"]].assign(
        user_id=people["user_id"] - 1
    )
    return {"events": events, "items": films.drop(columns="class"), "users": people}


def served(root: Path, split: Split, contest: Contest) -> tuple[Answer, float, float]:
    """What is answered, the seconds of all steps together, and the largest peak of memory.

    Raises:
        RuntimeError: a step fails; with its last words.
    """
    with strangers.clone_of(root) as clone:
        costs = strangers.bring(clone, DOMAIN, files(root, split, contest.by_lot))
        costs |= strangers.stages(clone, DOMAIN, STAGES)
        asked = rating_table.interactions(root / "data" / "ml-100k").iloc[split.rows["test"]]
        arrays = {name: asked[name].to_numpy() for name in ("user", "item")}
        if contest.task == "next_item":
            arrays = {"user": np.unique(arrays["user"])}
        answer = ask(
            root, OURS, "served_mtrec", arrays, folder=str(clone), domain=DOMAIN, k=LONGEST
        )
    seconds = answer.seconds + sum(cost.seconds for cost in costs.values())
    return answer, seconds, max(answer.peak_mb, *(cost.peak_mb for cost in costs.values()))


def measure(protocol: str, root: Path) -> list[Row]:
    """Rows of what is served and of the joint model alone, in a contest."""
    contest = CONTESTS[protocol]
    split = contest.split(root)
    answer, seconds, peak_mb = served(root, split, contest)
    data = rating_table.interactions(root / "data" / "ml-100k")
    who = json.loads(str(answer.arrays["systems"]))[contest.task]
    found = answer.arrays["lists" if contest.task == "next_item" else contest.task]
    return [
        Row(protocol, split.sha256, system, answer.version, metric, *three, 1, round(seconds, 2),
            peak_mb, f"files of one's own, nothing chosen by hand; {said}")
        for system, own, said in zip(SYSTEMS, found, (who, "the joint model"), strict=True)
        for metric, three in scored(contest.task, data, split, own).items()
    ]  # fmt: skip


def scored(
    task: str, data: pd.DataFrame, split: Split, found: Array
) -> dict[str, tuple[float, float, float]]:
    """Value and 95 % interval by metric, by the functions of the contest's other systems.

    Args:
        task: ``rating``, ``like`` or ``next_item``.
        data: all events.
        split: the contest's.
        found: answers to the test's rows; of ``next_item`` a list of each of their users.
    """
    test = data.iloc[split.rows["test"]]
    stars, user = test["rating"].to_numpy("float64"), test["user"].to_numpy()
    if task == "rating":
        found = rating.stars(found)
        draws = rmse_draws([stars], [found], [user])
        three = interval(mean_rmse([stars], [found]), draws, len(np.unique(user)))
        return {"rmse": (three["value"], three["low"], three["high"])}
    if task == "like":
        three = score("binary", "auc", (stars >= LIKED).astype("int64"), found, user)
        return {"auc": (three["value"], three["low"], three["high"])}
    known = data.iloc[np.concatenate([split.rows["train"], split.rows["validation"]])]
    met = set(zip(known["user"], known["item"], strict=True))
    asked = np.unique(user)
    lists = np.full(found.shape, -1)
    for row, person in enumerate(asked):
        free = [item for item in found[row] if (person, item) not in met]
        lists[row, : len(free)] = free
    order = np.argsort(user, kind="stable")
    rows = np.searchsorted(asked, user[order])
    ranks = topk.listed_ranks(lists, rows, test["item"].to_numpy()[order])
    return {
        metric: topk.interval(values, RESAMPLES, SEED)
        for metric, values in topk.per_user(ranks, rows).items()
    }


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"served_{name}": partial(measure, name) for name in CONTESTS
}
