"""The runner of every study: train what its file of results lacks.

A study is a function ``study(run, minutes)`` of its module, named in the registry; :func:`main`
reads the settings and calls it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from mtrec.config import Experiment, experiment
from mtrec.models.seeds import make_deterministic
from mtrec.registry import STUDIES
from mtrec.studies import ledger
from mtrec.studies.plan import Plan

Train = Callable[[Any, list[int]], Iterator[tuple[int, pd.DataFrame]]]


def main(name: str, domain: str, minutes: float | None = None) -> bool:
    """Do a study of a domain: what its files of results lack; they are whole after each training.

    Args:
        name: of the study, in :data:`mtrec.registry.STUDIES`.
        domain: name of the domain.
        minutes: begin no setting later than this.

    Returns:
        Whether nothing is missing any more.

    Raises:
        ValueError: there is no such study, or the domain has not what it needs.
    """
    return STUDIES[name](begin(domain), minutes)


def begin(domain: str) -> Experiment:
    """The settings of a domain, in a process that computes deterministically if they say so."""
    run = experiment(domain)
    make_deterministic(run.seed, run.training.deterministic)
    return run


def resume(plan: Plan, run: Experiment, train: Train, minutes: float | None = None) -> bool:
    """Do what the file of results lacks; it is whole after each training.

    Args:
        plan: of the study.
        run: the settings.
        train: trains a setting with some seeds and yields each seed and its rows.
        minutes: stop before a setting that would begin later than this.

    Returns:
        Whether nothing is missing any more.
    """
    started, file = time.monotonic(), plan.file(run)
    for some in plan.trainings(run):
        done = set(ledger.read(file)["key"])
        missing = [seed for seed, key in some.keys.items() if key not in done]
        if not missing:
            continue
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            print(f"{run.name}: stopped after {minutes:g} minutes; run again to go on", flush=True)
            return False
        begun = time.monotonic()
        for seed, rows in train(some.setting, missing):
            ledger.add(file, rows.assign(key=some.keys[seed]))
        seconds, seeds = time.monotonic() - begun, ", ".join(map(str, missing))
        print(f"{run.name}: {some.name}, seeds {seeds}: {seconds:.0f} s", flush=True)
    return True
