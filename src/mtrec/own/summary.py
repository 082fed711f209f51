"""What was found in a domain of one's own: five sentences, a picture, and how to ask the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtrec.data import schema
from mtrec.evaluation.findings import verdicts
from mtrec.evaluation.tables import difference_table, results_table

PICTURE = "figures/joint_minus_single.png"


def sentences(run: Any, metrics: Mapping[str, Any]) -> list[str]:
    """What the data are, what the models are worth, and how to go on.

    Args:
        run: :class:`mtrec.config.Experiment`.
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


def write(run: Any, metrics: Mapping[str, Any]) -> Path:
    """Write ``summary.md`` beside the executed notebooks and return it; git ignores that folder."""
    folder = run.paths.root / "reports" / run.name
    lines = [f"# {run.name}", *(f"- {sentence}" for sentence in sentences(run, metrics))]
    if (folder / PICTURE).is_file():
        lines.append(f"\n![Joint minus single-task models]({PICTURE})")
    keep_out_of_git(folder)
    temporary = folder / "summary.md.partial"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "summary.md")
    return folder / "summary.md"


def keep_out_of_git(folder: Path) -> None:
    """Make ``folder`` if it is not there, and a rule in it that git ignores all that it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
