"""``reports/benchmarks/README.md`` and its figures, from ``benchmarks/results.json`` alone."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from mtrec.bench import plots
from mtrec.bench.targets import (
    DIFFERENCE,
    higher_is_better,
    is_ours,
    judge,
    main_metric,
    reasons,
)
from mtrec.evaluation.plots import save, style

PACKAGES = ("mtrec", "tensorflow", "keras", "keras-hub", "numpy", "scikit-learn")
SCALING, PROFILE = "scaling_", "repro_profile"
MANY = 6  # more systems than this stand in rows, as do their notes
QUESTIONS = {
    "rating_u1": "MovieLens-100K ratings, official fold u1.",
    "rating_u1_u5_mean": "MovieLens-100K ratings, mean of the official folds u1 to u5.",
    "like_random": "MovieLens-100K, rating of 4 or more, rows at random 8:1:1. An earlier run: "
    "peers chose among one to three settings, not fourteen as elsewhere, and our network is older.",
    "like_temporal": "MovieLens-100K, rating of 4 or more, in time order 8:1:1.",
    "topn_811": "MovieLens-100K top-N, each user's events at random 8:1:1, all films ranked.",
    "leave_last_out": "MovieLens-100K, each user's last film among all films.",
    "ecommerce_purchase": "The Complete Journey: will the household buy the product this week?",
    "ecommerce_spend": "The Complete Journey: spend on the product if it is bought.",
    "ecommerce_category": "The Complete Journey: department of the next purchase.",
    "ecommerce_basket": "The Complete Journey: categories in the coming week's baskets.",
    "next_basket_all": "The Complete Journey: products of the next basket.",
    "next_basket_repeat": "The Complete Journey: next basket, what was bought before.",
    "next_basket_explore": "The Complete Journey: next basket, what was never bought before.",
    "step_cost": "A training step of the joint model, in units of its single-task twins'.",
    "cold_items": "Items without any event in training.",
    "cold_users": "Users without any event in training.",
    "own_million": "A stranger's million events, from `mtrec new` to trained models.",
    "train_speed": "One epoch of the same MMoE on 400,000 rows.",
    "embed_speed": "SmolLM2-135M's states for texts of all domains, bfloat16.",
    "serve_latency": "Ten best of 100,000 items for one user, one request at a time.",
    "repro_profile": "Where the time of `make repro` goes: wall seconds of each stage.",
    "scaling_events": "Preparing and one epoch, by number of events.",
    "scaling_tasks": "One epoch of 18,000 rows, by number of tasks.",
    "scaling_items": "One step of 64 rows with a ranking task, by number of items.",
}
UNITS = {
    "rows_per_second": "training rows per second",
    "tokens_per_second": "tokens per second",
    "p50_ms": "median latency [ms]",
    "rmse": "RMSE (less is better)",
    "auc": "AUC (more is better)",
    "ndcg@10": "NDCG@10 (more is better)",
    "accuracy": "accuracy (more is better)",
    "map": "mean average precision (more is better)",
}


def write(root: Path, rows: pd.DataFrame) -> None:
    """Write the page and its figures; figures of protocols that are gone go too.

    Args:
        root: of the repository.
        rows: see :class:`mtrec.bench.results.Row`.
    """
    folder = root / "reports" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    judged = judge(rows)
    made = figures(folder / "figures", rows, judged)
    for file in (folder / "figures").glob("*.png"):
        if file.stem not in made:
            file.unlink()
    temporary = folder / "README.partial"
    temporary.write_text(page(rows, judged, made, machine()), encoding="utf-8")
    os.replace(temporary, folder / "README.md")


def page(
    rows: pd.DataFrame, judged: pd.DataFrame, figures: Sequence[str], machine: Sequence[str]
) -> str:
    """The page as Markdown.

    Args:
        rows: all rows.
        judged: see :func:`mtrec.bench.targets.judge`.
        figures: names of those that were made.
        machine: lines about what this ran on.
    """
    counts = judged["verdict"].value_counts()
    parts = [
        "# Benchmarks",
        "Written by `make bench` from `benchmarks/results.json`; do not edit. Our systems' names "
        "begin with `mtrec`. Everyone learns from the same frozen split, chooses on validation "
        "rows, and is scored by one function; brackets are 95 % intervals, **bold** is the best "
        "of a column.",
        "## On what",
        "\n".join(f"- {line}" for line in machine),
        "## Against the targets",
        f"{counts.get('met', 0)} met, {counts.get('missed', 0)} missed, "
        f"{counts.get('not measured', 0)} not measured. A target is met by the value, whatever its "
        f"interval.{_differences(rows)}",
        *_picture(figures, "targets", "Share of each target that was reached"),
        *_verdicts(judged),
        "## Where we lead, where we do not",
        _standing(rows),
        "## Cost against size" if "scaling" in figures else "",
        *_picture(figures, "scaling", "Seconds and memory over events, tasks and items"),
    ]
    for protocol in sorted(set(rows["protocol"])):
        parts += _section(protocol, rows[rows["protocol"] == protocol], figures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _differences(rows: pd.DataFrame) -> str:
    """How many differences are told apart from zero; that is more than not to be worse."""
    some = rows[rows["system"].str.contains(DIFFERENCE) & rows["low"].notna()]
    if some.empty:
        return ""
    better, worse = int((some["low"] > 0).sum()), int((some["high"] < 0).sum())
    return (
        f" *Not worse* asks only that the interval of a difference reaches zero, which a noisy "
        f"task does easily: of {len(some)} differences between joint and single-task models "
        f"{better} are above zero with their whole interval, {worse} below, and "
        f"{len(some) - better - worse} undecided."
    )


def _picture(figures: Sequence[str], name: str, words: str) -> list[str]:
    return [f"![{words}](figures/{name}.png)"] if name in figures else []


def _verdicts(judged: pd.DataFrame) -> list[str]:
    """A table per verdict, misses first."""
    parts = []
    for verdict in ("missed", "met", "not measured"):
        some = judged[judged["verdict"] == verdict]
        if some.empty:
            continue
        table = pd.DataFrame(
            {
                "protocol": some["protocol"],
                "metric": some["metric"],
                "target": some["target"],
                "ours": [
                    "" if pd.isna(value) else f"{_number(value)} ({system})"
                    for value, system in zip(some["value"], some["system"], strict=True)
                ],
                "needed": [
                    ""
                    if pd.isna(bound)
                    else f"{_number(bound)}" + (f" ({peer})" if isinstance(peer, str) else "")
                    for bound, peer in zip(some["bound"], some["peer"], strict=True)
                ],
            }
        )
        parts += [f"### {verdict.capitalize()}", markdown(table)]
        if verdict == "missed":
            parts.append("\n".join(f"- {words}" for words in reasons(some)))
    return parts


def _standing(rows: pd.DataFrame) -> str:
    """Our best system against the best peer, per protocol's main metric; many metrics: a count."""
    lines = []
    for protocol, part in rows.groupby("protocol", sort=True):
        pairs = [pair for m, some in part.groupby("metric") if (pair := _pair(m, some))]
        main = main_metric(str(protocol))
        if main is None:
            ahead = sum(pair["ahead"] for pair in pairs)
            if pairs:
                behind = ", ".join(pair["metric"] for pair in pairs if not pair["ahead"])
                lines.append([protocol, f"{len(pairs)} metrics", f"ahead in {ahead}",
                              f"behind: {behind}" if behind else "", ""])  # fmt: skip
            continue
        for pair in pairs:
            if pair["metric"] == main:
                lines.append([protocol, main, pair["ours"], pair["peer"],
                              "we lead" if pair["ahead"] else "**we do not**"])  # fmt: skip
    columns = ["protocol", "metric", "our best", "best peer", ""]
    return markdown(pd.DataFrame(lines, columns=columns)) if lines else "No peer was measured."


def _pair(metric: str, rows: pd.DataFrame) -> dict | None:
    """Best of ours and best peer in one metric; None without both."""
    up = higher_is_better(metric)
    rows = rows[~rows["system"].str.contains(DIFFERENCE)]
    mine, peers = rows[is_ours(rows["system"])], rows[~is_ours(rows["system"])]
    if up is None or mine.empty or peers.empty:
        return None
    one, other = (part.sort_values("value", ascending=not up).iloc[0] for part in (mine, peers))
    ahead = one["value"] > other["value"] if up else one["value"] < other["value"]
    shown = [f"{_number(best['value'])} ({best['system']})" for best in (one, other)]
    return {"metric": metric, "ours": shown[0], "peer": shown[1], "ahead": bool(ahead)}


def _section(protocol: str, rows: pd.DataFrame, figures: Sequence[str]) -> list[str]:
    hashes = sorted(set(rows["split_sha256"]) - {""})
    split = f" Split: `{hashes[0][:12]}`." if len(hashes) == 1 else ""
    if protocol.startswith(SCALING):
        tables = [_curve(rows)]
        pictures: list[str] = []
    elif protocol == PROFILE:
        tables = [_stages(rows)]
        pictures = _picture(figures, protocol, "Wall time of each stage, by domain")
    else:
        tables = [markdown(table(rows))]
        pictures = _picture(figures, protocol, f"{protocol}: systems by {main_metric(protocol)}")
    return [
        f"## {protocol}", (QUESTIONS.get(protocol, "") + split).strip(), *pictures, *tables,
        _notes(rows),
    ]  # fmt: skip


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Systems by metrics, or metrics by systems where these are fewer; the best is bold."""
    rows = rows.assign(cell=_cells(rows))
    wide = rows.pivot(index="system", columns="metric", values="cell").fillna("")
    if wide.shape[1] > MANY:
        wide = wide.T
    else:
        lead = main_metric(rows["protocol"].iloc[0])
        lead = str(lead if lead in wide else wide.columns[0])
        values = rows[rows["metric"] == lead].set_index("system")["value"]
        order = values.sort_values(ascending=not higher_is_better(lead)).index
        columns = [lead, *(metric for metric in wide if metric != lead)]
        wide = wide.reindex([*order, *wide.index.difference(order)])[columns]
    return wide.rename_axis(columns=None).reset_index()


def _cells(rows: pd.DataFrame) -> list[str]:
    cells = []
    for _, row in rows.iterrows():
        same = rows[(rows["metric"] == row["metric"]) & ~rows["system"].str.contains(DIFFERENCE)]
        up = higher_is_better(row["metric"])
        text = _number(row["value"])
        if len(same) > 1 and up is not None and DIFFERENCE not in row["system"]:
            best = same["value"].max() if up else same["value"].min()
            text = f"**{text}**" if row["value"] == best else text
        if pd.notna(row["low"]):
            text += f" [{_number(row['low'])}, {_number(row['high'])}]"
        cells.append(text)
    return cells


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """``protocol``, ``size``, ``seconds`` and ``peak_mb`` of the scaling protocols."""
    some = rows[rows["protocol"].str.startswith(SCALING) & rows["metric"].str.contains("@")]
    split = some["metric"].str.split("@", expand=True)
    if some.empty:
        return pd.DataFrame(columns=["protocol", "size", "seconds", "peak_mb"])
    found = some.assign(kind=split[0], size=split[1].astype(int))
    wide = found.pivot(index=["protocol", "size"], columns="kind", values="value")
    return wide.rename_axis(columns=None).reset_index()


def profile(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds by domain (rows, longest first) and stage (columns, longest first)."""
    parts = rows["metric"].str.split(expand=True)
    found = pd.DataFrame({"domain": parts[0], "stage": parts[1], "seconds": rows["value"]})
    wide = found.pivot(index="domain", columns="stage", values="seconds").fillna(0.0)
    wide = wide[wide.sum().sort_values(ascending=False).index]
    return wide.loc[wide.sum(axis=1).sort_values(ascending=False).index]


def _stages(rows: pd.DataFrame) -> str:
    wide = profile(rows)
    wide = wide.assign(sum=wide.sum(axis=1))
    wide.loc["sum"] = wide.sum()
    shown = wide.map(lambda seconds: f"{seconds:,.0f}" if seconds else "")
    return markdown(shown.rename_axis(columns=None).reset_index())


def _curve(rows: pd.DataFrame) -> str:
    found = points(rows).drop(columns="protocol")
    shown = pd.DataFrame(
        {
            "size": [f"{size:,}" for size in found["size"]],
            "seconds": found["seconds"].map(_number),
            "peak memory [MB]": [f"{value:,.0f}" for value in found["peak_mb"]],
        }
    )
    values = rows.set_index("metric")["value"]
    words = (
        f"Exponents: {values['exponent_seconds']:.2f} over all sizes, "
        f"{values['exponent_seconds_end']:.2f} between the two largest; memory "
        f"{values['exponent_peak_mb']:.2f}."
    )
    return f"{markdown(shown)}\n\n{words}"


def _notes(rows: pd.DataFrame) -> str:
    """How each system was run: one line per system and note."""
    kept = rows.drop_duplicates(["system", "note"]).sort_values("system")
    lines = []
    for _, row in kept.iterrows():
        facts = [f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"]
        facts += [f"{_number(row['seconds'])} s"] if pd.notna(row["seconds"]) else []
        facts += [f"{row['peak_mb']:,.0f} MB"] if pd.notna(row["peak_mb"]) else []
        name = f"{row['system']} {row['version'] or ''}".strip()
        lines.append(f"- {name}: {', '.join(facts)}" + (f"; {row['note']}" if row["note"] else ""))
    if rows["protocol"].iloc[0].startswith(SCALING):
        lines = sorted({line.split("; ", 1)[-1] for line in lines})
        lines = [f"- {line}" for line in lines]
    if len(lines) <= MANY:
        return "\n".join(lines)
    return "<details><summary>How each was run</summary>\n\n" + "\n".join(lines) + "\n\n</details>"


def figures(folder: Path, rows: pd.DataFrame, judged: pd.DataFrame) -> list[str]:
    """Draw the figures and return their names."""
    style()
    made = []
    lines = reached(judged)
    if len(lines):
        met = int((lines["verdict"] == "met").sum())
        title = f"{met} of {len(lines)} targets with a number are met"
        save(plots.against_targets(lines, title), folder / "targets.png")
        made.append("targets")
    for protocol, part in rows.groupby("protocol"):
        metric = main_metric(str(protocol))
        some = part[(part["metric"] == metric) & ~part["system"].str.contains(DIFFERENCE)]
        if len(some) > 1 and metric is not None:
            up = bool(higher_is_better(metric))
            title = QUESTIONS.get(str(protocol), str(protocol)).split(". ")[0].rstrip(".")
            figure = plots.systems(some, title, UNITS.get(metric, metric), up)
            save(figure, folder / f"{protocol}.png")
            made.append(str(protocol))
    stages = rows[rows["protocol"] == PROFILE]
    if len(stages):
        title = "Where the time of make repro goes"
        save(plots.stacked(profile(stages) / 60, title, "minutes"), folder / f"{PROFILE}.png")
        made.append(PROFILE)
    curves = points(rows)
    if len(curves):
        title = "Cost against size: better than linear where flatter than the dashed line"
        save(plots.scaling(curves, title), folder / "scaling.png")
        made.append("scaling")
    return made


def reached(judged: pd.DataFrame) -> pd.DataFrame:
    """``name``, ``reached`` (1 = the target) and ``verdict`` of targets that are a number."""
    some = judged[judged["bound"].notna() & (judged["bound"] != 0)]
    some = some[~some["protocol"].isin(["cold_items", "cold_users"]) | some["peer"].isna()]
    up = some["metric"].map(higher_is_better).astype(bool)
    ratio = (some["value"] / some["bound"]).where(up, some["bound"] / some["value"])
    return pd.DataFrame(
        {
            "name": some["protocol"] + " " + some["metric"] + " " + some["target"],
            "reached": ratio,
            "verdict": some["verdict"],
        }
    ).reset_index(drop=True)


def machine() -> list[str]:
    """Processor, cores, memory, system and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return [
        f"{os.cpu_count()} cores, {_processor()}, {memory:.0f} GB of memory, no accelerator used",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"{versions}; peers' versions stand beside their names",
    ]


def _processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, with what it can do for bfloat16."""
    if not file.is_file():
        return platform.processor() or platform.machine()
    text = file.read_text(encoding="utf-8", errors="replace")
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    wide = " (avx512_bf16)" if "avx512_bf16" in fields.get("flags", "") else ""
    return fields.get("model name", platform.machine()) + wide


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _number(value: float) -> str:
    """Four significant digits, thousands with commas.

    Example:
        >>> _number(0.88361), _number(163999.7), _number(12.346)
        ('0.8836', '164,000', '12.35')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table without index."""
    head = [str(column) for column in frame.columns]
    lines = [head, ["---"] * len(head), *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
