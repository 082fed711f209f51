"""Who stands where: our best system against the best peer."""

from __future__ import annotations

import pandas as pd

from benchmarks.harness.results import DIFFERENCE
from benchmarks.report.tables import number
from benchmarks.report.targets import comparable, higher_is_better, is_ours, main_metric
from mtrec.report.findings import verdict
from mtrec.report.readme import markdown

WORDS = {
    "ahead": "we lead",
    "ahead, not told apart": "ahead, not told apart",
    "level": "level",
    "not told apart": "not told apart",
    "behind, not told apart": "**behind**, not told apart",
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
                for word in ("ahead", "not told apart", "behind")
            }
            if pairs:
                lines.append([
                    protocol, f"{len(pairs)} metrics", f"ahead in {len(named['ahead'])}",
                    f"not told apart in {len(named['not told apart'])}",
                    f"behind in {len(named['behind'])}: {', '.join(named['behind'])}".rstrip(": "),
                ])  # fmt: skip
            continue
        for pair in pairs:
            if pair["metric"] == main:
                lines.append([protocol, main, pair["ours"], pair["peer"], WORDS[pair["standing"]]])
    columns = ["protocol", "metric", "our best", "best peer", ""]
    return markdown(pd.DataFrame(lines, columns=columns)) if lines else "No peer was measured."


def _pair(metric: str, rows: pd.DataFrame, paired: bool) -> dict | None:
    """Ours and the best peer in one metric; None where nothing compares them.

    Where differences are paired, ours is the system that they are of, and ``standing`` is ``ahead``
    or ``behind`` if the interval of the difference excludes zero, else ``not told apart``. Without
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
        told = {"better": "ahead", "worse": "behind", "undecided": "not told apart"}
        standing = told[verdict(*differs.loc[name, ["low", "high"]])]
    else:
        gain = (one["value"] - other["value"]) * (1 if up else -1)
        standing = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
        if gain and one["low"] <= other["high"] and other["low"] <= one["high"]:
            standing += ", not told apart"
    shown = [f"{number(best['value'])} ({best['system']})" for best in (one, other)]
    return {"metric": metric, "ours": shown[0], "peer": shown[1], "standing": standing}
