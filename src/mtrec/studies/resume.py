"""The loop of every study: train what its file of results lacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from mtrec.studies import ledger

Trainings = Callable[[list[int]], Iterator[tuple[int, pd.DataFrame]]]


def resume(
    file: Path,
    domain: str,
    settings: Iterable[tuple[str, Mapping[int, str], Trainings]],
    minutes: float | None,
) -> bool:
    """Do what the file of results lacks; it is whole after each training.

    Args:
        file: of the results, see :mod:`mtrec.studies.ledger`.
        domain: name of the domain, for the lines that are printed.
        settings: name of each setting, the key of its results by seed, and what trains it with
            some seeds and yields each seed and its rows.
        minutes: stop before a setting that would begin later than this.

    Returns:
        Whether nothing is missing any more.
    """
    started = time.monotonic()
    for name, keys, train in settings:
        done = set(ledger.read(file)["key"])
        missing = [seed for seed, key in keys.items() if key not in done]
        if not missing:
            continue
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            print(f"{domain}: stopped after {minutes:g} minutes; run again to go on", flush=True)
            return False
        begun = time.monotonic()
        for seed, rows in train(missing):
            ledger.add(file, rows.assign(key=keys[seed]))
        seconds, seeds = time.monotonic() - begun, ", ".join(map(str, missing))
        print(f"{domain}: {name}, seeds {seeds}: {seconds:.0f} s", flush=True)
    return True
