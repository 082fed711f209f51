"""The main result of all domains on one picture, and in a few sentences.

Every gain is in percent of what it is compared with, so that metrics share an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtrec.metrics.families import MAIN_METRIC
from mtrec.report.findings import verdict
from mtrec.report.plots import VERDICTS
from mtrec.report.result_plots import KEY
from mtrec.report.tables import gain

PANELS = {
    "joint": "one model of all tasks\nminus a model of each",
    "answer": "the fused answer\nminus the best specialist",
}
COLUMNS = ["domain", "task", "panel", "value", "low", "high"]
LIMIT = 15.0  # percent: the axis ends there, and an arrow says how far it would go


def gains(
    metrics: Mapping[str, Mapping[str, Any]],
    fused: Mapping[str, Mapping[str, Any]],
    trained: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Gains in the main metric, in percent of the other's value; positive is better.

    Args:
        metrics: ``metrics.json`` of each domain.
        fused: ``fusion.json`` of each domain that has one.
        trained: what several trainings say of a domain, of :func:`mtrec.report.controls.combined`;
            a domain without has no row of joint training, since one training allows no verdict.

    Returns:
        ``domain``, ``task``, ``panel`` (:data:`PANELS`), ``value``, ``low``, ``high``.
    """
    rows = []
    for domain, found in metrics.items():
        for name, task in found["tasks"].items():
            metric = MAIN_METRIC[task["type"]]
            if domain in trained and (joint := _trained(trained[domain], name)):
                rows.append((domain, name, "joint", *joint))
            answer = fused.get(domain, {}).get("tasks", {}).get(name, {})
            if "peer" in answer:
                against = gain(answer, "peer_difference")
                rows.append((domain, name, "answer", *_percent(against, answer["peer"][metric])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _trained(found: pd.DataFrame, task: str) -> tuple[float, ...] | None:
    known = found[found["task"] == task].set_index("system")
    if known.empty or known["seeds"].min() < 2:
        return None
    return _percent(known.loc["difference"].to_dict(), known.loc["single"].to_dict())


def _percent(found: Mapping[str, Any], of: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(100 * found[name] / abs(of["value"]) for name in ("value", "low", "high"))


def figure(found: pd.DataFrame, tasks: Mapping[str, list[str]]) -> Figure:
    """All tasks of all domains, a panel per comparison.

    Args:
        found: of :func:`gains`.
        tasks: of each domain, in order.
    """
    names = [(domain, task) for domain, own in tasks.items() for task in own]
    at = {name: -place for place, name in enumerate(names)}
    drawn, panels = plt.subplots(1, len(PANELS), figsize=(8, 0.27 * len(names) + 1.6), sharey=True)
    for axes, (panel, title) in zip(panels, PANELS.items(), strict=True):
        part = found[found["panel"] == panel]
        for row in part.itertuples():
            y, colour = at[row.domain, row.task], VERDICTS[verdict(row.low, row.high)]
            low, high = np.clip([row.low, row.high], -LIMIT, LIMIT)
            axes.plot([low, high], [y, y], color=colour, linewidth=2)
            if abs(row.value) <= LIMIT:
                axes.plot(row.value, y, "o", color=colour, markersize=5)
            else:
                axes.plot(np.sign(row.value) * LIMIT, y, ">" if row.value > 0 else "<",
                          color=colour, markersize=7, clip_on=False)  # fmt: skip
        for name in set(names) - set(zip(part["domain"], part["task"], strict=True)):
            axes.text(0, at[name], "not known", ha="center", va="center", fontsize=7, color="0.45",
                      backgroundcolor="white")  # fmt: skip
        axes.axvline(0, color="black", linewidth=1, zorder=0)
        axes.set_title(title, fontsize=11)
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-len(names) + 0.4, 0.6))
        axes.set_xticks((-10, 0, 10))
        axes.set_xlabel("gain in the main metric [%]")
    for domain, own in tasks.items():
        last = at[domain, own[-1]]
        if last > -len(names) + 1:
            for axes in panels:
                axes.axhline(last - 0.5, color="0.8", linewidth=1, zorder=0)
    panels[0].set_yticks(list(at.values()), [f"{domain} · {task}" for domain, task in names])
    panels[0].tick_params(axis="y", labelsize=9)
    drawn.supxlabel(f"{KEY}; arrows: beyond {LIMIT:.0f} %", fontsize=9)
    return drawn


def counted(found: pd.DataFrame) -> dict[str, list[str]]:
    """Names of the tasks that are ``better``, ``worse`` and ``undecided``."""
    names: dict[str, list[str]] = {outcome: [] for outcome in VERDICTS}
    for row in found.itertuples():
        names[verdict(row.low, row.high)].append(f"{row.domain} · {row.task}")
    return names


def sentences(
    found: pd.DataFrame,
    fused: Mapping[str, Mapping[str, Any]],
    trained: Mapping[str, pd.DataFrame],
) -> list[str]:
    """What was found over all domains, the negative ones among it.

    Args:
        found: of :func:`gains`.
        fused: as there.
        trained: as there.
    """
    joint, answer = (found[found["panel"] == panel] for panel in PANELS)
    said = []
    if len(joint):
        told = counted(joint)
        middle = joint["value"].median()
        said.append(
            f"**Training tasks together helps {len(told['better'])} of {len(joint)} tasks and "
            f"hurts {len(told['worse'])}; {len(told['undecided'])} are undecided.** The median "
            f"gain is {middle:+.1f} % of the metric."
            f"{_named(' It hurts ', told['worse'])}"
        )
    if len(answer):
        told = counted(answer)
        said.append(
            f"**The fused answer is ahead of the best specialist in {len(told['better'])} of "
            f"{len(answer)} tasks, behind in {len(told['worse'])}; {len(told['undecided'])} are "
            "undecided, by one training of each member.** For each task that is the joint model, a "
            "model of this task alone, a specialist, or several together, whichever led on "
            f"validation rows.{_named(' It is behind in ', told['worse'])}{_simpler(fused)}"
        )
    said += _ablated(trained)
    return said


def _simpler(fused: Mapping[str, Mapping[str, Any]]) -> str:
    """In which tasks a request gets less, since a member cannot be saved and asked again."""
    names = [
        f"{domain} · {name}"
        for domain, report in fused.items()
        for name, task in report["tasks"].items()
        if task.get("served") != task.get("chosen")
    ]
    return _named(
        " `mtrec.load` answers by a simpler one, where a member cannot be saved, in ", names
    )


ABLATIONS = {
    "text_difference": "The language model",
    "graph_difference": "The graph (of films, of trust)",
}


def _ablated(trained: Mapping[str, pd.DataFrame]) -> list[str]:
    """What the joint model loses without a source of vectors."""
    said = []
    for name, subject in ABLATIONS.items():
        parts = [
            part[part["system"] == name].assign(domain=domain) for domain, part in trained.items()
        ]
        found = pd.concat(parts) if parts else pd.DataFrame()
        if found.empty:
            continue
        told = counted(found)
        said.append(
            f"**{subject} helps {len(told['better'])} of the {len(found)} tasks that could use it "
            f"and hurts {len(told['worse'])}.**{_named(' It helps ', told['better'])}"
            f"{_named(' It hurts ', told['worse'])}"
        )
    return said


def _named(before: str, names: list[str]) -> str:
    return f"{before}{', '.join(f'`{name}`' for name in names)}." if names else ""


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, for who does not see it."""
    parts = [
        f"{title.replace(chr(10), ' ')}: better in {len(told['better'])}, worse in "
        f"{len(told['worse'])}, undecided in {len(told['undecided'])} tasks"
        for panel, title in PANELS.items()
        for told in [counted(found[found["panel"] == panel])]
    ]
    return "Gains in percent by task; " + "; ".join(parts)
