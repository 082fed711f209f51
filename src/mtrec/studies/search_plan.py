"""Which trials a search for settings makes, and what is known of them; nothing trains here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.config import Experiment
from mtrec.search.samplers import SAMPLERS, size
from mtrec.search.space import Chosen, space_of
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from

VERSION = 1
COMPLETE, PRUNED = "complete", "pruned"


def journal(run: Experiment, sampler: str) -> Path:
    """The journal of a domain's search, which several processes may share."""
    return run.paths.artifacts / "search" / f"{sampler}.journal"


def identity(run: Experiment) -> list[Any]:
    """What a search depends on, but for what it varies: it goes on after its best was applied."""
    without: dict[str, Any] = {
        "domain": {"raw": True, "module": True, "model_building": True, "training": True,
                   "tasks": {"__all__": {"peers"}}},
        "model_building": {}, "task_embedding": {},
        "training": {"distillation": True, "recalibrate": True},
    }  # fmt: skip
    for key in run.search.space:
        block, *path, last = key.split(".")
        inner = without["domain"].setdefault("features", {}) if block == "features" else (
            without[block]
        )  # fmt: skip
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = True
    return [VERSION, *learnt_from(run, without)]


def searched(run: Experiment) -> dict[str, Any]:
    """The settings of a search that its trials depend on."""
    return run.search.model_dump(mode="json", exclude={"trials", "seeds"})


def trainings(run: Experiment) -> Iterator[Trainings]:
    """The trials of every sampler, each with its key."""
    space, settings = space_of(run), (identity(run), searched(run))
    for sampler in SAMPLERS:
        own = space.only(run.search.grid) if sampler == "grid" else space
        numbers = range(size(sampler, own, run.search.trials))
        keys = {n: ledger.key("search", sampler, n, *settings) for n in numbers}
        if keys:
            yield Trainings(sampler, sampler, keys, sampler)


PLAN = Plan("search", "_search", ("sampler", "trial"), trainings)


@dataclass(frozen=True)
class Compared:
    """What is compared on test rows.

    Attributes:
        before: what the domain had when the search began, by dotted path.
        after: what the best of all trials tried.
    """

    before: Chosen
    after: Chosen


def compared(trials: pd.DataFrame) -> Compared:
    """The first trial and the best of all samplers, of :data:`PLAN`'s results.

    A grid names the settings that it varies; those that it leaves are those of the first trial.
    """
    done = trials[trials["state"] == COMPLETE]
    first = [json.loads(text) for text in trials.loc[trials["trial"] == 0, "settings"]]
    before = max(first, key=len)
    return Compared(before, before | json.loads(done.loc[done["score"].idxmax(), "settings"]))


def comparisons(run: Experiment) -> Iterator[Trainings]:
    """A training before and one after for each seed, once every trial is done."""
    known = ledger.read(PLAN.file(run))
    mine = [some.keys for some in trainings(run)]
    keys = {key for some in mine for key in some.values()}
    if not keys <= {*known["key"]}:
        return
    pair = compared(known[known["key"].isin(keys)])
    seeds = range(run.seed, run.seed + run.search.seeds)
    names = {
        seed: ledger.key("search_test", seed, identity(run), searched(run), pair.before, pair.after,
                         run.evaluation.model_dump())
        for seed in seeds
    }  # fmt: skip
    yield Trainings("test rows", "before and after on test rows", names, pair)


COMPARISON = Plan("search", "_search_test", ("seed", "task", "system"), comparisons)
