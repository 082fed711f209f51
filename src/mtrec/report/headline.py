"""The main result of all domains on one picture, and in a few sentences.

Every gain is in percent of what it is compared with, so that metrics share an axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mtrec.metrics.families import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.report.findings import verdict
from mtrec.report.plots import VERDICTS
from mtrec.report.result_plots import KEY, interval
from mtrec.report.tables import gain

PANELS = {
    "joint": "one model of all tasks minus a model of each",
    "answer": "the served answer minus the best specialist",
}
OVER = {"joint": "a model of each task", "answer": "the best specialist"}
SEEDS = {"joint": "several seeds", "answer": "one training"}
TITLES = {
    "joint": "Joint training helps\n{better} of {all} tasks, hurts {worse}",
    "answer": (
        "The served answer beats the best\nspecialist in {better} of {all} tasks, loses in {worse}"
    ),
}
SERVED = {"joint": "the joint model", "single": "a model of this task alone"}
TOGETHER, SPECIALIST = "several together", "one specialist"
COLUMNS = ["domain", "task", "panel", "value", "low", "high"]
HELD_OUT = "[held-out split](docs/results.md#on-a-split-that-was-held-out)"
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
        ``domain``, ``task``, ``panel`` (:data:`PANELS`), ``value``, ``low``, ``high``; no row of an
        answer that is not served, :func:`unserved`.
    """
    rows = []
    for domain, found in metrics.items():
        for name, task in found["tasks"].items():
            metric = MAIN_METRIC[task["type"]]
            if domain in trained and (joint := _trained(trained[domain], name)):
                rows.append((domain, name, "joint", *joint))
            answer = fused.get(domain, {}).get("tasks", {}).get(name, {})
            if "peer" in answer and _is_served(answer):
                against = gain(answer, "peer_difference")
                rows.append((domain, name, "answer", *_percent(against, answer["peer"][metric])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _is_served(task: Mapping[str, Any]) -> bool:
    """Whether ``mtrec.load`` gives the answer that was chosen on validation rows."""
    return task.get("served") == task.get("chosen")


def unserved(fused: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Domains and tasks whose chosen answer has a member that cannot be saved and asked again."""
    return [
        (domain, name)
        for domain, report in fused.items()
        for name, task in report["tasks"].items()
        if not _is_served(task)
    ]


def joint_behind(report: Mapping[str, Any]) -> list[str]:
    """Tasks whose best specialist is ahead of the joint model, by the value on test rows.

    Args:
        report: ``fusion.json`` of a domain.

    Example:
        >>> task = {"type": "binary", "joint": {"auc": {"value": 0.7}}}
        >>> joint_behind({"tasks": {"like": {**task, "peer": {"auc": {"value": 0.8}}}}})
        ['like']
    """
    found = []
    for name, task in report["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        if "peer" in task:
            ours, theirs = (task[system][metric]["value"] for system in ("joint", "peer"))
            if (theirs > ours) if HIGHER_IS_BETTER[metric] else (theirs < ours):
                found.append(name)
    return found


def _trained(found: pd.DataFrame, task: str) -> tuple[float, ...] | None:
    known = found[found["task"] == task].set_index("system")
    if known.empty or known["seeds"].min() < 2:
        return None
    return _percent(known.loc["difference"].to_dict(), known.loc["single"].to_dict())


def _percent(found: Mapping[str, Any], of: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(100 * found[name] / abs(of["value"]) for name in ("value", "low", "high"))


def figure(
    found: pd.DataFrame,
    tasks: Mapping[str, list[str]],
    aside: Collection[tuple[str, str]] = (),
    held_out: bool = False,
) -> Figure:
    """All tasks of all domains, a panel per comparison.

    Args:
        found: of :func:`gains`.
        tasks: of each domain, in order.
        aside: of :func:`unserved`.
        held_out: whether the answers are those on the held-out split.
    """
    names = [(domain, task) for domain, own in tasks.items() for task in own]
    at = {name: -place for place, name in enumerate(names)}
    drawn, panels = plt.subplots(1, len(PANELS), figsize=(8, 0.27 * len(names) + 1.6), sharey=True)
    for axes, panel in zip(panels, PANELS, strict=True):
        part = found[found["panel"] == panel]
        for row in part.itertuples():
            interval(axes, at[row.domain, row.task], row.value, row.low, row.high, LIMIT)
        for name in set(names) - set(zip(part["domain"], part["task"], strict=True)):
            why = "not served" if panel == "answer" and name in aside else "not known"
            axes.text(0, at[name], why, ha="center", va="center", fontsize=7, color="0.45",
                      backgroundcolor="white")  # fmt: skip
        axes.axvline(0, color="black", linewidth=1, zorder=0)
        told = {outcome: len(some) for outcome, some in counted(part).items()}
        axes.set_title(TITLES[panel].format(all=len(part), **told), fontsize=10)
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-len(names) + 0.4, 0.6))
        axes.set_xticks((-10, 0, 10))
        rows = "held-out split" if held_out and panel == "answer" else "test rows"
        axes.set_xlabel(f"gain over {OVER[panel]} [%]\n{rows}, {SEEDS[panel]}", fontsize=10)
    for domain, own in tasks.items():
        last = at[domain, own[-1]]
        if last > -len(names) + 1:
            for axes in panels:
                axes.axhline(last - 0.5, color="0.8", linewidth=1, zorder=0)
    panels[0].set_yticks(list(at.values()), [f"{domain} · {task}" for domain, task in names])
    panels[0].tick_params(axis="y", labelsize=9)
    drawn.supxlabel(f"{KEY}; an arrow goes on beyond {LIMIT:.0f} %", fontsize=9)
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
    seen: pd.DataFrame | None = None,
) -> list[str]:
    """What was found over all domains, the negative ones among it.

    Args:
        found: of :func:`gains`.
        fused: as there.
        trained: as there.
        seen: :func:`gains` on test rows that were looked at before, where ``found`` and ``fused``
            are of the held-out split.
    """
    rows = "test rows" if seen is None else f"the {HELD_OUT}"
    joint, answer = (found[found["panel"] == panel] for panel in PANELS)
    said = []
    if len(joint):
        told = counted(joint)
        middle = round(joint["value"].median(), 1) + 0.0  # no minus before a zero
        said.append(
            f"**Training tasks together helps {len(told['better'])} of {len(joint)} tasks and "
            f"hurts {len(told['worse'])}; {_undecided(told)}.** The median "
            f"gain is {middle:+.1f} % of the metric."
            f"{_named(' It hurts ', told['worse'])}"
        )
    behind = [name for report in fused.values() for name in joint_behind(report)]
    known = [task for report in fused.values() for task in report["tasks"].values()]
    asked = sum("peer" in task for task in known)
    if asked:
        said.append(
            f"**The joint model alone is behind the best specialist in {len(behind)} of {asked} "
            f"tasks**, by the value on {rows}, on which that specialist was picked."
        )
    if len(answer):
        told = counted(answer)
        said.append(
            f"**What `mtrec.load` answers beats the best specialist in {len(told['better'])} of "
            f"{len(answer)} tasks and loses in {len(told['worse']) or 'none'}; "
            f"{_undecided(told)}.** That is by one training of each member, on "
            f"{'test rows' if seen is None else 'a split that was held out'}. "
            f"Whoever led on validation rows answers: {_answering(known)}."
            f"{_named(' It is behind in ', told['worse'])}{_not_counted(fused)}{_before(seen)}"
        )
    said += _ablated(trained)
    return said


def _before(seen: pd.DataFrame | None) -> str:
    """The same on test rows that were looked at before, for comparison."""
    if seen is None:
        return ""
    answer = seen[seen["panel"] == "answer"]
    told = counted(answer)
    return (
        f" On the test rows of the notebooks, which were looked at often, it is ahead in "
        f"{len(told['better'])} of {len(answer)}, behind in {len(told['worse'])}."
    )


def _undecided(told: Mapping[str, list[str]]) -> str:
    number = len(told["undecided"])
    return f"{number} {'is' if number == 1 else 'are'} undecided"


def _answering(tasks: Collection[Mapping[str, Any]]) -> str:
    """Who is served in how many tasks."""
    by = Counter(
        TOGETHER if name == "fused" else SERVED.get(name, SPECIALIST)
        for name in (str(task.get("served")) for task in tasks)
    )
    order = [who for who in (TOGETHER, *SERVED.values(), SPECIALIST) if by[who]]
    parts = [f"{who} in {by[who]}" for who in order]
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _not_counted(fused: Mapping[str, Mapping[str, Any]]) -> str:
    """Where a request gets less than was chosen, and what that would have been worth."""
    aside = unserved(fused)
    known = [fused[domain]["tasks"][name] for domain, name in aside]
    ahead = sum(gain(task, "peer_difference")["low"] > 0 for task in known if "peer" in task)
    names = _named(" Not counted: ", [f"{domain} · {name}" for domain, name in aside])
    return names and (
        f"{names} A fusion led there, ahead of the best specialist in {ahead} of {len(aside)}, "
        "but a member of it cannot be saved, and a simpler answer is served."
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
            f"**{subject} helps {len(told['better'])} of {len(found)} tasks measured "
            f"and hurts {len(told['worse'])}.**{_named(' It helps ', told['better'])}"
            f"{_named(' It hurts ', told['worse'])}"
        )
    return said


def _named(before: str, names: list[str]) -> str:
    return f"{before}{', '.join(f'`{name}`' for name in names)}." if names else ""


def caption(found: pd.DataFrame, held_out: bool = False) -> str:
    """What the figure shows, for who does not see it."""
    rows = {"answer": " on the held-out split"} if held_out else {}
    parts = [
        f"{title}{rows.get(panel, '')}: better in {len(told['better'])}, worse in "
        f"{len(told['worse'])}, undecided in {len(told['undecided'])} tasks"
        for panel, title in PANELS.items()
        for told in [counted(found[found["panel"] == panel])]
    ]
    return "Gains in percent by task; " + "; ".join(parts)
