"""What was measured of large data, as figures, and a plan that follows from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mtrec.report.plots import COLOURS

MEASURES = {  # file in benchmarks/scale -> what writes it
    "events": "python -m benchmarks.scale.events",
    "retrieval": "make retrieval",
    "scoring": "python -m benchmarks.scale.scoring",
    "texts": "python -m benchmarks.scale.texts",
    "studies": "python -m benchmarks.scale.studies",
}
WAYS = LOOP, ONE, TWO = "loop", "1 processes", "2 processes"
DIVIDED = ("texts", "studies", "scoring")  # what several processes do
HOUR = 3600.0  # seconds
MOMENTS = 3  # arrays that Adam keeps of a table: itself and two moments
NUMBER = 4  # bytes of a float32


def measured(root: Path, what: str) -> pd.DataFrame:
    """What ``benchmarks/scale`` holds of one thing.

    Args:
        root: of the repository.
        what: one of :data:`MEASURES`.

    Raises:
        FileNotFoundError: it was not measured; the message names the command.
    """
    file = root / "benchmarks" / "scale" / f"{what}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file. Restore it from git, or measure anew: `{MEASURES[what]}`."
        )
    return pd.DataFrame(json.loads(file.read_text(encoding="utf-8")))


def exponents(curve: pd.DataFrame) -> pd.DataFrame:
    """Powers of the number of events with which core time grows, from each size to the next.

    Args:
        curve: ``events`` and ``processor_seconds``, smallest first. The last row is over all.

    Example:
        >>> found = pd.DataFrame({"events": [10, 100], "processor_seconds": [1.0, 10.0]})
        >>> exponents(found)["power"].tolist()
        [1.0, 1.0]
    """
    sizes, seconds = curve["events"].to_numpy(), curve["processor_seconds"].to_numpy()
    pairs = [*zip(range(len(sizes) - 1), range(1, len(sizes)), strict=True), (0, len(sizes) - 1)]
    return pd.DataFrame(
        [
            {"from": power_of_ten(sizes[a]), "to": power_of_ten(sizes[b]),
             "power": math.log(seconds[b] / seconds[a]) / math.log(sizes[b] / sizes[a])}
            for a, b in pairs
        ]
    )  # fmt: skip


def power_of_ten(number: float) -> str:
    """A size as a reader says it.

    Example:
        >>> power_of_ten(1_000_000), power_of_ten(2_500)
        ('10⁶', '2,500')
    """
    power = round(math.log10(number))
    if 10**power != number:
        return f"{number:,.0f}"
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power))


def events_figure(curve: pd.DataFrame, title: str) -> Figure:
    """Core seconds and memory of preparing events, over how many there are."""
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    sizes, seconds = curve["events"], curve["processor_seconds"]
    time.loglog(sizes, seconds, "o-", color=COLOURS[0], label="measured")
    time.loglog(sizes, seconds.iloc[-1] * sizes / sizes.iloc[-1], ":", color="0.4",
                label="in proportion to events")  # fmt: skip
    time.set(title="time", xlabel="events", ylabel="seconds of a core")
    time.legend(fontsize=9, frameon=False)
    memory.loglog(sizes, curve["memory_megabytes"] / 1000, "o-", color=COLOURS[0])
    limit = float(curve["limit"].iloc[-1].removesuffix("GB"))
    memory.axhline(limit, color="0.4", linestyle=":", label="limit that was set")
    memory.set(title="memory at its highest", xlabel="events", ylabel="GB", ylim=(0.05, 20))
    memory.legend(fontsize=9, frameon=False)
    for axes in (time, memory):
        _plain(axes)
    figure.suptitle(title)
    return figure


def search_figure(found: pd.DataFrame, title: str) -> Figure:
    """Milliseconds of a query over items: exact, and by an index with the recall it reaches."""
    figure, axes = plt.subplots(figsize=(7, 4))
    known = found[found["index_ms"].notna()]
    axes.loglog(found["items"], found["exact_ms"], "s-", color=COLOURS[1], label="exact")
    axes.loglog(known["items"], known["index_ms"], "o-", color=COLOURS[0], label="index")
    for row in known.itertuples():
        axes.annotate(f"recall@10\n{row.recall:.3f}", (row.items, row.index_ms), fontsize=8,
                      textcoords="offset points", xytext=(6, -22))  # fmt: skip
    axes.set(title=title, xlabel="items", ylabel="one query [ms]")
    axes.set_ylim(bottom=known["index_ms"].min() / 4)
    axes.set_xlim(right=2.6 * found["items"].max())  # room for the last recall
    axes.legend(fontsize=9, frameon=False)
    _plain(axes)
    return figure


def _plain(axes: Any) -> None:
    """Ticks that need no decoding."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def per_user(scoring: pd.DataFrame) -> tuple[float, float]:
    """Seconds of a core to start a process, and to write one user's list.

    A process more loads the model once more, and everything else is the same work.
    """
    known = scoring.set_index("way")
    one, two = (known.loc[f"{number} processes", "processor_seconds"] for number in (1, 2))
    start = max(two - one, 0.0)
    return float(start), float((one - start) / known["users"].iloc[0])


def speedups(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What a second process is worth by the clock, and what the engine costs a first one.

    Args:
        found: measured ways of doing the same work, by what it is.

    Returns:
        A row per work: seconds of the clock of one process (of a plain loop, where the engine was
        not measured with one) and of two, their ratio, percent by which one process under the
        engine is slower than the loop (in seconds of a core), and whether all results have one
        hash.

    Raises:
        ValueError: a loop or two processes were not measured.

    Example:
        >>> ways = {"way": ["loop", "1 processes", "2 processes"], "seconds": [9.0, 10.0, 5.0],
        ...         "processor_seconds": [10.0, 11.0, 12.0], "sha256": ["", "a", "a"]}
        >>> float(speedups({"texts": pd.DataFrame(ways)})["times as fast"].item())
        2.0
    """
    rows = []
    for work, ways in found.items():
        known = ways.set_index("way")
        if missing := [way for way in (LOOP, TWO) if way not in known.index]:
            raise ValueError(f"{work}: '{missing[0]}' was not measured; do so: {MEASURES[work]}.")
        loop, one, two = (known.loc[way if way in known.index else LOOP] for way in WAYS)
        engine = 100 * (one["processor_seconds"] / loop["processor_seconds"] - 1)
        rows.append(
            {"work": work, "one process [s]": one["seconds"], "two processes [s]": two["seconds"],
             "times as fast": one["seconds"] / two["seconds"],
             "engine beside a loop [%]": engine if ONE in known.index else np.nan,
             "equal results": known["sha256"].replace("", np.nan).nunique() == 1}
        )  # fmt: skip
    return pd.DataFrame(rows)


def rates(
    events: pd.DataFrame, search: pd.DataFrame, scoring: pd.DataFrame, tokens: float, rows: float
) -> dict[str, float]:
    """What a core does in a second and an item takes, for :func:`plan`.

    Args:
        events: measured, smallest first.
        search: of items.
        scoring: of users.
        tokens: that a core reads in a second.
        rows: that a core trains on in a second.
    """
    most = events.iloc[-1]
    built = search[search["index_ms"].notna()]
    return {
        "at": float(most["events"]), "seconds": float(most["processor_seconds"]),
        "power": float(exponents(events)["power"].iloc[-2]),
        "written": 1e6 * float(most["written_megabytes"] / most["events"]),
        "items": float(built["items"].iloc[-1]), "query": float(built["index_ms"].iloc[-1]) / 1000,
        "query_power": _power(built["items"], built["index_ms"]),
        "item_bytes": 1e6 * float(built["index_megabytes"].iloc[-1] / built["items"].iloc[-1]),
        "list": per_user(scoring)[1], "tokens": tokens, "rows": rows,
    }  # fmt: skip


def _power(sizes: pd.Series, costs: pd.Series) -> float:
    """With which power costs grow between the two largest sizes."""
    return float(np.diff(np.log(costs.to_numpy()[-2:]))[0]
                 / np.diff(np.log(sizes.to_numpy(float)[-2:]))[0])  # fmt: skip


@dataclass(frozen=True)
class Size:
    """A business to plan for.

    Attributes:
        events: in all.
        users: with a list each.
        items: of the catalogue, with a text each.
        tokens: of a text.
        epochs: of training.
        width: numbers of an id's embedding.
        cores: of all machines.
    """

    events: float
    users: float
    items: float
    tokens: float = 30
    epochs: int = 10
    width: int = 32
    cores: int = 128


def plan(size: Size, rates: Mapping[str, float]) -> pd.DataFrame:
    """Core hours, hours by the clock and what has to be kept, by step.

    Args:
        size: of the business.
        rates: of :func:`rates`.
    """
    events = rates["seconds"] * (size.events / rates["at"]) ** max(rates["power"], 1.0)
    query = rates["query"] * (size.items / rates["items"]) ** rates["query_power"]
    steps = {
        "events: sorted, split, counted": (events, size.events * rates["written"], "on disk"),
        "texts of items": (size.items * size.tokens / rates["tokens"], None, ""),
        f"training, {size.epochs} epochs": (
            size.epochs * size.events / rates["rows"], size.users * size.width * NUMBER * MOMENTS,
            "in the memory of each process: users' ids, Adam's moments",
        ),
        "lists of all users": (size.users * (rates["list"] + query), None, ""),
        "index of items": (None, size.items * rates["item_bytes"], "on each machine that asks"),
    }  # fmt: skip
    return pd.DataFrame(
        [
            {"step": name,
             "core hours": np.nan if seconds is None else seconds / HOUR,
             f"hours, {size.cores} cores": np.nan if seconds is None
             else seconds / HOUR / size.cores,
             "GB": np.nan if kept is None else kept / 1e9, "where": where}
            for name, (seconds, kept, where) in steps.items()
        ]
    )  # fmt: skip


def largest(found: pd.DataFrame) -> str:
    """The steps by their bill, in a sentence.

    Example:
        >>> largest(pd.DataFrame({"step": ["a", "b"], "core hours": [1.0, 3.0]}))
        'Of 4 core hours: b 75 %; a 25 %.'
    """
    known = found[found["core hours"].notna()].sort_values("core hours", ascending=False)
    whole = known["core hours"].sum()
    parts = [
        f"{step} {100 * hours / whole:.0f} %"
        for step, hours in zip(known["step"], known["core hours"], strict=True)
    ]
    return f"Of {whole:,.0f} core hours: {'; '.join(parts)}."
