"""Who stands where: our best system against the best peer."""

from __future__ import annotations

import pandas as pd

from benchmarks.harness.results import DIFFERENCE
from benchmarks.report.numbers import number
from benchmarks.report.targets import comparable, higher_is_better, is_ours, main_metric
from mtrec.report.findings import verdict
from mtrec.report.readme import markdown

WORDS = {
    "ahead": "we lead",
    "ahead, undecided": "ahead, undecided",
    "level": "level",
    "undecided": "undecided",
    "behind, undecided": "**behind**, undecided",
    "behind": "**we do not**",
}


def standing(rows: pd.DataFrame) -> str:
    """Our best system against the best peer, per protocol's main metric; many metrics: a count."""
    lines = []
    for protocol, part in comparable(rows).groupby("protocol", sort=True):
        main, paired = main_metric(str(protocol)), part["system"].str.contains(DIFFERENCE).any()
        pairs = [pair for m, some in part.groupby("metric") if (pair := _pair(m, some, paired))]
        if main is None:
            named = {
                word: [pair["metric"] for pair in pairs if pair["standing"] == word]
                for word in ("ahead", "undecided", "behind")
            }
            if pairs:
                lines.append([
                    protocol, f"{len(pairs)} metrics", f"ahead in {len(named['ahead'])}",
                    f"undecided in {len(named['undecided'])}",
                    f"behind in {len(named['behind'])}: {', '.join(named['behind'])}".rstrip(": "),
                ])  # fmt: skip
            continue
        for pair in pairs:
            if pair["metric"] == main:
                lines.append([protocol, main, pair["ours"], pair["peer"], WORDS[pair["standing"]]])
    columns = ["protocol", "metric", "our best", "best peer", ""]
    return markdown(pd.DataFrame(lines, columns=columns)) if lines else "No peer was measured."


PLAIN = {
    "ahead": "We lead", "ahead, undecided": "Undecided, ours ahead by the value", "level": "Level",
    "undecided": "Undecided", "behind, undecided": "Undecided, ours behind by the value",
    "behind": "Ours is behind",
}  # fmt: skip


def finding(protocol: str, rows: pd.DataFrame) -> str:
    """Who stands where in a protocol's main metric, in one line; empty if nothing is compared.

    Args:
        protocol: its name.
        rows: of the protocol.
    """
    metric, some = main_metric(protocol), comparable(rows)
    if metric is None:
        return ""
    paired = some["system"].str.contains(DIFFERENCE).any()
    pair = _pair(metric, some[some["metric"] == metric], paired)
    if pair is None:
        return ""
    return f"{PLAIN[pair['standing']]}: {pair['ours']}, {pair['peer']}"


def _pair(metric: str, rows: pd.DataFrame, paired: bool) -> dict | None:
    """Ours and the best peer in one metric; None where nothing compares them.

    Where differences are paired, ours is the system that they are of, and ``standing`` is ``ahead``
    or ``behind`` if the interval of the difference excludes zero, else ``undecided``. Without
    them it is our best, ``ahead`` or ``behind`` by value, and adds whether intervals overlap.
    """
    up = higher_is_better(metric)
    differences = rows["system"].str.contains(DIFFERENCE)
    differs, rows = rows[differences].set_index("system"), rows[~differences]
    mine, peers = rows[is_ours(rows["system"])], rows[~is_ours(rows["system"])]
    if up is None or mine.empty or peers.empty:
        return None
    one, other = (part.sort_values("value", ascending=not up).iloc[0] for part in (mine, peers))
    if paired:
        tail = f"{DIFFERENCE}{other['system']}"
        name = next((name for name in differs.index if name.endswith(tail)), None)
        if name is None:
            return None
        one = mine[mine["system"] == name.removesuffix(tail)].iloc[0]
        told = {"better": "ahead", "worse": "behind", "undecided": "undecided"}
        standing = told[verdict(*differs.loc[name, ["low", "high"]])]
    else:
        gain = (one["value"] - other["value"]) * (1 if up else -1)
        standing = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
        if gain and one["low"] <= other["high"] and other["low"] <= one["high"]:
            standing += ", undecided"
    shown = [f"{number(best['value'])} ({best['system']})" for best in (one, other)]
    return {"metric": metric, "ours": shown[0], "peer": shown[1], "standing": standing}
