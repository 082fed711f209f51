"""The cost and loss of embedding, for readers: a table, and what its intervals allow to be said."""

from __future__ import annotations

import pandas as pd

from mtrec.report.comparison import show, verdict

LOG_LOSS = ["log_loss", "log_loss_low", "log_loss_high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """One line per setting, the default first: time, padding, log-loss and what it differs by."""
    rows = [
        {
            "changed": row["part"], "setting": row["setting"], "ms per text": row["ms_per_text"],
            "tokens per s": row["tokens_per_second"], "padding [%]": 100 * row["padding"],
            "all texts [min]": row["minutes"], "all texts [core-min]": row["cpu_minutes"],
            "log-loss": show(tuple(row[LOG_LOSS])),
            "minus default": "" if row["part"] == "default" else show(
                tuple(row[DIFFERENCE]), signed=True
            ),
            "accuracy": f"{row['accuracy']:.3f}", "AUC": f"{row['auc']:.3f}",
        }
        for _, row in results.iterrows()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def conclusions(results: pd.DataFrame, cores: int, limit: float) -> list[str]:
    """What was measured, one sentence each.

    Args:
        results: all settings, see :func:`mtrec.studies.text_cost.study`.
        cores: of the machine.
        limit: minutes that embedding all texts may take.
    """
    default = results[results["part"] == "default"].iloc[0]
    alone = results["cpu_minutes"] / cores
    fits = results[alone <= limit].sort_values("log_loss", kind="stable")
    lines = [
        f"All {default['all_texts']:,} distinct texts are {default['all_tokens']:,} tokens after "
        f"the cut. Beside the other jobs of the measurement the default would take "
        f"{default['minutes']:.1f} minutes; its {default['cpu_minutes']:.1f} core-minutes are "
        f"{default['cpu_minutes'] / cores:.1f} minutes of {cores} cores that do nothing else.",
        f"Within {limit:g} such minutes: {', '.join(fits['setting']) or 'none'}.",
    ]
    if len(fits):
        lines.append(f"The lowest log-loss among them has: {fits['setting'].iloc[0]}.")
    for _, row in results[results["part"] != "default"].iterrows():
        _, low, high = -row["difference"], -row["difference_high"], -row["difference_low"]
        change = 100 * (row["cpu_minutes"] / default["cpu_minutes"] - 1)
        lines.append(
            f"{row['setting']}: {change:+.0f} % core time; log-loss "
            f"{show(tuple(row[DIFFERENCE]), signed=True)} "
            f"({verdict((-row['difference'], low, high))})."
        )
    return lines
