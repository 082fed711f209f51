"""What each system of the cold-start study is told about a new item or user, as a figure."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mtrec.report.cold_start import NO_RESULT, OTHERS, OURS
from mtrec.report.plots import COLOURS, NotDrawn

OWN = ("its columns", "its text")  # of the new item or user
ID, COLUMNS, TEXT, CONTEXT, PAST, LABELS = (
    "id",
    "columns",
    "text",
    "context",
    "past events",
    "labels",
)
THERE = (ID, COLUMNS, TEXT, CONTEXT, PAST, LABELS)  # of the user or item beside it
GIVEN: Mapping[str, frozenset[str]] = {
    "ids": frozenset({ID, PAST}),
    "tables": frozenset({OWN[0], ID, COLUMNS, CONTEXT, PAST}),
    "llm": frozenset({OWN[1], ID, TEXT, PAST}),
    "both": frozenset({*OWN, ID, COLUMNS, TEXT, CONTEXT, PAST}),
    "means": frozenset({LABELS}),
    "lightfm": frozenset({*OWN, ID, COLUMNS, TEXT}),
    "catboost": frozenset({*OWN, ID, COLUMNS, TEXT, CONTEXT}),
}
SIDES = {"cold_items": ("of the new item", "of the user"),
         "cold_users": ("of the new user", "of the item")}  # fmt: skip


def figure(results: pd.DataFrame, split: str, title: str) -> Figure | NotDrawn:
    """A mark for everything that a system is told on a held-out row.

    Args:
        results: of the study.
        split: ``cold_items`` or ``cold_users``; a new user has no past, and an item none here.
        title: of the figure.
    """
    there = set(results.loc[results["split"] == split, "system"])
    systems = [name for name in (*OURS, *OTHERS) if name in there and name in GIVEN]
    if not systems:
        return NO_RESULT
    gone = {PAST} if split == "cold_users" else set()
    gone |= set() if {"llm", "both"} & there else {OWN[1], TEXT}
    own, beside = ([one for one in some if one not in gone] for some in (OWN, THERE))
    drawn, axes = plt.subplots(figsize=(7, 1.2 + 0.4 * len(systems)))
    for column, one in enumerate([*own, *beside]):
        for row, system in enumerate(systems):
            given, ours = one in GIVEN[system], system in OURS
            axes.scatter(column, row, s=110 if given else 18, marker="o" if ours else "s",
                         color=COLOURS[0 if ours else 1] if given else "0.85")  # fmt: skip
    axes.set_xticks(range(len(own) + len(beside)),
                    [one.removeprefix("its ").replace(" ", "\n") for one in (*own, *beside)],
                    fontsize=9)  # fmt: skip
    axes.set_yticks(range(len(systems)),
                    [OTHERS.get(name, f"joint model, {name}") for name in systems])  # fmt: skip
    axes.xaxis.tick_top()
    axes.axvline(len(own) - 0.5, color="0.6", linewidth=1)
    for name, first, count in zip(
        SIDES[split], (0, len(own)), map(len, (own, beside)), strict=True
    ):
        axes.annotate(name, (first + (count - 1) / 2, -0.5), xytext=(0, 36), ha="center",
                      textcoords="offset points", fontsize=10, annotation_clip=False)  # fmt: skip
    axes.set_xlim(-0.6, len(own) + len(beside) - 0.4)
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    drawn.suptitle(title)
    return drawn
