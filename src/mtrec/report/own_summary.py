"""What was found in a domain of one's own: five sentences, a picture, and how to ask the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtrec.config import Experiment
from mtrec.files import keep_out_of_git, write_text
from mtrec.report.findings import verdicts
from mtrec.report.tables import difference_table, results_table
from mtrec.tables import schema

PICTURE = "figures/joint_minus_single.png"


def sentences(run: Experiment, metrics: Mapping[str, Any]) -> list[str]:
    """What the data are, what the models are worth, and how to go on.

    Args:
        run: the settings.
        metrics: what ``metrics.json`` holds.

    Raises:
        FileNotFoundError: the tables are not there.
    """
    tables = schema.read(run.paths.tables)
    figures = [
        f"{row['task']} {row['joint'].split(' ')[0]} ({row['metric']}, baseline "
        f"{row['baseline'].split(' ')[0]})"
        for row in results_table(metrics).to_dict("records")
    ]
    ranks = any(task["type"] == "ranking" for task in metrics["tasks"].values())
    user, item = tables.users["user_id"].iloc[0], tables.items["item_id"].iloc[0]
    request = f"recommend({user!r}) asks it for items"
    if not ranks:
        request = f"score(pairs) asks it about users and items such as {user!r} and {item!r}"
    return [
        f"{run.name} has {len(tables.examples):,} events of {len(tables.users):,} users with "
        f"{len(tables.items):,} items.",
        f"On rows that it never saw, the joint model reaches {'; '.join(figures)}.",
        verdicts(difference_table(metrics, "baseline_difference"), "The model, against the "
                 "baseline,"),
        verdicts(difference_table(metrics), "Training all tasks together, in this one run,"),
        f'The model lies in models/{run.name}; mtrec.load("{run.name}").{request}.',
    ]  # fmt: skip


def write(run: Experiment, metrics: Mapping[str, Any]) -> Path:
    """Write ``summary.md`` beside the executed notebooks and return it; git ignores that folder."""
    folder = run.paths.root / "reports" / run.name
    lines = [f"# {run.name}", *(f"- {sentence}" for sentence in sentences(run, metrics))]
    if (folder / PICTURE).is_file():
        lines.append(f"\n![Joint minus single-task models]({PICTURE})")
    keep_out_of_git(folder)
    write_text(folder / "summary.md", "\n".join(lines) + "\n")
    return folder / "summary.md"
