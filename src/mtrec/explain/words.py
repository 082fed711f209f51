"""One plain sentence from the numbers of a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtrec.explain.units import shown

if TYPE_CHECKING:
    from mtrec.explain.reasons import Reason

LEAST = 0.05  # of the largest contribution: what is smaller is not named


def sentence(reason: Reason, kind: Any) -> str:
    """What is said, also of the reference input, and what made most of the difference.

    Args:
        reason: with all of its numbers.
        kind: the task type.
    """
    about = f" for {reason.of}" if reason.of is not None else ""
    begin = (
        f"{reason.task}{about}: {shown(kind, reason.prediction)}, "
        f"against {shown(kind, reason.base)} for the reference input"
    )
    if reason.rank is not None:
        begin = f"{reason.task}{about}: rank {reason.rank}"
    parts = [begin, *_causes(reason)]
    found = "; ".join(parts) + "."
    return found + _without(reason, kind)


def _causes(reason: Reason) -> list[str]:
    shares = [(one["group"], one["contribution"]) for one in reason.groups]
    if not shares or abs(shares[0][1]) == 0:
        return ["nothing that this task sees tells the row from the reference input"]
    least = LEAST * abs(shares[0][1])
    for_it = [one for one in shares if one[1] > 0 and one[1] >= least][:2]
    against = [one for one in shares if one[1] < 0 and -one[1] >= least][:2]
    found = []
    if for_it:
        found.append(f"raised by {_listed(for_it, reason)}")
    if against:
        found.append(f"lowered by {_listed(against, reason)}")
    return found


def _listed(shares: list[tuple[str, float]], reason: Reason) -> str:
    said = []
    for name, share in shares:
        more = ""
        if name == "history" and reason.history:
            same = [one for one in reason.history if one["contribution"] * share > 0]
            best = max(same, key=lambda one: abs(one["contribution"]), default=None)
            more = f", most of all {_name(best)}" if best is not None else ""
        said.append(f"{name} ({share:+.2f}{more})")
    return " and ".join(said)


def _name(one: Any) -> str:
    return f"“{one['title']}”" if one.get("title") else f"item {one['item']}"


def _without(reason: Reason, kind: Any) -> str:
    other = reason.counterfactual
    if other is None:
        return ""
    if "rank" in other:
        after, same = f"rank {other['rank_without']}", other["rank"] == other["rank_without"]
        after = f"{after} instead of {other['rank']}"
    else:
        after = shown(kind, other["prediction_without"])
        same = after == shown(kind, other["prediction"])
    return "" if same else f" Without {_name(other)} in the history this would be {after}."
