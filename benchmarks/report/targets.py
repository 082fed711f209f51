"""What is asked of each protocol, as data, and whether the rows meet it."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from benchmarks.harness.results import DIFFERENCE, FINE, OURS
from mtrec.metrics.families import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Target:
    """One demand.

    Attributes:
        protocol: name or pattern of protocols.
        metric: name or pattern of metrics.
        rule: ``limit``: at least (at most) ``value``; ``peers``: better than ``value`` times the
            best peer; ``not worse``: the interval of a difference reaches 0.
        value: see ``rule``.
        ours: which of our systems may meet it: the best of them counts.
        peers: against which.
    """

    protocol: str
    metric: str
    rule: Literal["limit", "peers", "not worse"]
    value: float = 1.0
    ours: str = f"{OURS}*"
    peers: str = "*"


TARGETS = (
    Target("rating_u1", "rmse", "limit", 0.889, ours="mtrec joint network"),
    Target("rating_u1", "rmse", "limit", 0.876),
    Target("rating_u1_u5_mean", "rmse", "peers", peers="myFM*"),
    Target("like_random", "auc", "limit", 0.805),
    Target("like_*", "auc", "peers"),
    Target("topn_811", "ndcg@10", "peers", 1.05),
    Target("leave_last_out", "ndcg@10", "limit", 0.065),
    Target("ecommerce_purchase", "auc", "peers", ours="mtrec joint"),
    Target("ecommerce_purchase", "log_loss", "peers", ours="mtrec joint"),
    Target("ecommerce_purchase", "ece", "peers", ours="mtrec joint"),
    Target("ecommerce_spend", "rmse", "peers", ours="mtrec joint"),
    Target("ecommerce_category", "accuracy", "peers", ours="mtrec joint"),
    Target("ecommerce_basket", "map", "peers", ours="mtrec joint"),
    Target("next_basket_all", "ndcg@10", "peers", 1.05),
    Target("next_basket_explore", "recall@10", "peers", 2.0),
    Target("joint_*", "*", "not worse", ours="mtrec joint - single"),
    Target("step_cost", "* cost_ratio", "limit", 1.3),
    Target("cold_items", "*", "peers", ours="mtrec joint"),
    Target("cold_items", "video rating rmse", "limit", 1.0, ours="mtrec joint"),
    Target("tallrec", "auc", "limit", 0.65, ours="mtrec LoRA*"),
    Target("tallrec_full_pool", "auc", "limit", 0.76),
    Target("train_speed", "ratio_to_torch_rechub", "limit", 3.0, ours=OURS),
    Target("train_speed", "ratio_to_torch_loop", "limit", 1.5, ours=OURS),
    Target("embed_speed", "ratio_to_transformers", "limit", 1.5, ours=OURS),
    Target("scaling_events", "exponent_seconds", "limit", 1.1),
    Target("scaling_events", "exponent_seconds_end", "limit", 1.1),
    Target("scaling_tasks", "exponent_seconds", "limit", 1.1),
    Target("scaling_tasks", "exponent_seconds_end", "limit", 1.1),
)

MAIN = {
    "rating_*": "rmse", "like_*": "auc", "topn_*": "ndcg@10", "leave_last_out": "ndcg@10",
    "ecommerce_purchase": "auc", "ecommerce_spend": "rmse", "ecommerce_category": "accuracy",
    "ecommerce_basket": "map", "next_basket_*": "ndcg@10", "train_speed": "rows_per_second",
    "embed_speed": "tokens_per_second", "serve_latency": "p50_ms", "tallrec*": "auc",
}  # fmt: skip

# Rows that are compared among themselves, not with the protocol's others.
APART = {
    "embed_speed": "*16 layers", "train_speed": "*bfloat16", "serve_latency": "product *",
    "rating_*": f"*{FINE}*", "like_*": f"*{FINE}*",
}  # fmt: skip


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose systems do the same work."""
    apart = [
        any(
            fnmatch.fnmatch(protocol, name) and fnmatch.fnmatch(system, pattern)
            for name, pattern in APART.items()
        )
        for protocol, system in zip(rows["protocol"], rows["system"], strict=True)
    ]
    return rows[~pd.Series(apart, index=rows.index, dtype=bool)]


def higher_is_better(metric: str) -> bool | None:
    """Direction of a metric, whose name may follow a domain's and a task's; None if it has none.

    Example:
        >>> higher_is_better("video rating rmse"), higher_is_better("seconds@100")
        (False, False)
    """
    last = metric.split()[-1]
    if last in HIGHER_IS_BETTER:
        return HIGHER_IS_BETTER[last]
    if last.startswith("ratio_to_") or last.endswith("_per_second"):
        return True
    if last.startswith(("exponent_", "seconds", "peak_mb", "cost_ratio")) or last.endswith("_ms"):
        return False
    return None


def main_metric(protocol: str) -> str | None:
    """The metric that a protocol is foremost about."""
    return next((m for pattern, m in MAIN.items() if fnmatch.fnmatch(protocol, pattern)), None)


def is_ours(systems: pd.Series) -> pd.Series:
    """Which systems are ours."""
    return systems.str.startswith(OURS)


def judge(rows: pd.DataFrame, targets: Sequence[Target] = TARGETS) -> pd.DataFrame:
    """One line per target and table that it is about.

    Args:
        rows: as in ``results.json``.
        targets: what is asked.

    Returns:
        ``protocol``, ``metric``, ``target`` (in words), ``system`` (ours), ``value``, ``bound``
        (what had to be reached), ``peer`` and ``verdict``: ``met``, ``missed`` or
        ``not measured``; of ours ``low`` and ``high``; ``factor``: the target's.
    """
    lines, rows = [], comparable(rows)
    for target in targets:
        near = rows[_like(rows["protocol"], target.protocol) & _like(rows["metric"], target.metric)]
        near = near[near["metric"].map(higher_is_better).notna()]
        near = near[near["system"].str.contains(DIFFERENCE) == (target.rule == "not worse")]
        found = [
            _line(target, str(protocol), str(metric), part)
            for (protocol, metric), part in near.groupby(["protocol", "metric"])
        ]
        known = [line for line in found if line["verdict"] != "not measured"]
        lines += known or [_unknown(target, target.protocol, target.metric)]
    columns = ["protocol", "metric", "target", "system", "value", "low", "high", "bound", "peer",
               "factor", "verdict"]  # fmt: skip
    return pd.DataFrame(lines, columns=columns)


def _line(target: Target, protocol: str, metric: str, part: pd.DataFrame) -> dict:
    up = bool(higher_is_better(metric))
    mine = part[is_ours(part["system"]) & _like(part["system"], target.ours)]
    peers = part[~is_ours(part["system"]) & _like(part["system"], target.peers)]
    if mine.empty or (target.rule == "peers" and peers.empty):
        return _unknown(target, protocol, metric)
    best = mine.loc[mine["value"].idxmax() if up else mine["value"].idxmin()]
    peer = None
    if target.rule == "not worse":
        bound, met = 0.0, float(best["high"]) >= 0.0
    elif target.rule == "limit":
        bound = target.value
        met = best["value"] >= bound if up else best["value"] <= bound
    else:
        other = peers.loc[peers["value"].idxmax() if up else peers["value"].idxmin()]
        peer, bound = other["system"], target.value * other["value"]
        enough = best["value"] >= bound if up else best["value"] <= bound
        met = enough and best["value"] != other["value"]
    return {
        **_unknown(target, protocol, metric), "system": best["system"], "value": best["value"],
        "low": best["low"], "high": best["high"], "bound": bound, "peer": peer,
        "factor": target.value, "verdict": "met" if met else "missed",
    }  # fmt: skip


def _unknown(target: Target, protocol: str, metric: str) -> dict:
    return {"protocol": protocol, "metric": metric, "target": in_words(target, metric),
            "verdict": "not measured"}  # fmt: skip


def in_words(target: Target, metric: str) -> str:
    """A target in words.

    Example:
        >>> in_words(Target("topn_811", "ndcg@10", "peers", 1.05), "ndcg@10")
        'at least 1.05 × the best peer'
    """
    if target.rule == "not worse":
        return "not worse than alone (95 % interval)"
    sign = "at least" if higher_is_better(metric) else "at most"
    whose = "" if target.ours in (f"{OURS}*", OURS) else f" ({target.ours})"
    if target.rule == "limit":
        return f"{sign} {target.value:g}{whose}"
    against = "the best peer" if target.peers == "*" else f"the best of {target.peers}"
    if target.value == 1.0:
        return f"ahead of {against}{whose}"
    return f"{sign} {target.value:g} × {against}{whose}"


def _like(names: pd.Series, pattern: str) -> pd.Series:
    return names.map(lambda name: fnmatch.fnmatch(name, pattern)).astype(bool)
