"""Cards of data sets and models: what a stranger asks before using either.

The figures are what the pipeline wrote; the words, in ``docs/cards.yaml``, are a person's.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from mtrec.config import Experiment
from mtrec.fetch.manifest import read_manifest
from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.report import controls
from mtrec.report.book.facts import SYSTEMS, BookError, Facts, markdown, show
from mtrec.report.findings import verdicts as verdicts_of
from mtrec.studies import controls_plan

TITLES = {"baseline": "baseline", "single": "single-task", "joint": "joint"}
TABLES = ("users", "items", "events", "examples")
SPLITS = ("train", "validation", "test")


class Words(BaseModel):
    """What no file of results knows about a data set and its model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    about: str
    collected: str
    licence: str
    cite: str
    people: str
    use: str
    not_for: str
    limits: list[str]


def read_words(file: Path) -> dict[str, Words]:
    """``docs/cards.yaml``, by domain.

    Raises:
        BookError: it is missing, broken, or lacks a key.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {name: Words.model_validate(words) for name, words in raw.items()}
    except (OSError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise BookError(f"{file.name}: {' '.join(str(error).split())}. Mend it.") from None


def results(known: Facts) -> str:
    """The main metric of every task by every system, with 95 % intervals over users."""
    rows = []
    for name, task in tasks(known).items():
        way = "↑" if HIGHER_IS_BETTER[task["metric"]] else "↓"
        systems = [show(task[system]) if system in task else "" for system in SYSTEMS]
        peers = "; ".join(f"{peer} {show(task[peer])}" for peer in task["peers"])
        rows.append([name, f"{task['metric']} {way}", *systems, peers or "none"])
    return markdown(["task", "metric", *TITLES.values(), "peers"], *rows)


def verdicts(run: Experiment, known: Facts) -> str:
    """What several trainings with controls allow to be said, as notebook 12 printed it."""
    said = known["said"].get("12_controls")
    if said:
        return show(said)
    return (
        "One training of each model allows no verdict on joint training or the language model: "
        f"`make study DOMAIN={run.name} PART=controls` trains three, with controls."
    )


def together(run: Experiment, known: Facts) -> str:
    """What joint training is worth: a verdict of several trainings, or the values of one."""
    plan = controls_plan.PLAN
    if plan.file(run).is_file():
        found = controls.combined(plan.results(run, plan.keys(run)))
        if (seeds := found["seeds"].min()) > 1:
            said = verdicts_of(controls.difference(found, "difference"), "Joint training")
            return f"**{said}** So say {seeds} trainings with different seeds."
    listed = "; ".join(
        f"`{name}` {task['single']['value']:.3f} alone and {task['joint']['value']:.3f} together "
        f"({task['metric']})"
        for name, task in tasks(known).items()
    )
    return (
        "**Joint training has no verdict here yet**, since each model was trained once. By that "
        f"training: {listed}."
    )


def tasks(known: Facts) -> Facts:
    """The facts that are a task's."""
    return {name: fact for name, fact in known.items() if isinstance(fact, dict) and "type" in fact}


def data_card(run: Experiment, words: Words, known: Facts) -> str:
    """What the rows are, where they come from, and what they may be used for."""
    rows = known["rows"]
    asked = [
        [f"`{name}`", task.type, task.view, f"“{task.text}”"]
        for name, task in run.domain.tasks.items()
    ]
    return "\n\n".join(
        [
            f"# Data card: {words.title}",
            f"{words.about} The domain `{run.name}` is made of it.",
            "## Size",
            markdown(["table", "rows"], *[[f"`{name}`", show(rows[name])] for name in TABLES]),
            markdown(["split", "examples"], *[[name, show(rows[name])] for name in SPLITS]),
            "## What is asked of it",
            markdown(["task", "type", "sees", "question"], *asked),
            "## Origin",
            words.collected,
            _origin(run),
            "## Licence",
            f"{words.licence} Cite: {words.cite}",
            "## People in it",
            words.people,
            "## Intended use",
            f"{words.use} Not for: {words.not_for}",
            "## Limits",
            "\n".join(f"- {limit}" for limit in words.limits),
        ]
    )


def _origin(run: Experiment) -> str:
    """Files of the domain in the manifest of raw data, with what they must hash to."""
    folder = f"{run.raw.name}/"
    rows = [
        [f"`{member.to}`", f"`{part.file}`", f"`{member.sha256[:12]}…`"]
        for part in read_manifest()
        for member in part.members
        if member.to.startswith(folder)
    ]
    return markdown(["file", "taken out of", "SHA-256"], *rows)


def model_card(run: Experiment, words: Words, known: Facts) -> str:
    """What the trained model is, how good it is, and where it should not be trusted."""
    seconds = known["seconds"]
    return "\n\n".join(
        [
            f"# Model card: the joint model of `{run.name}`",
            f"One network that answers {len(run.domain.tasks)} questions about "
            f"{words.title}, trained by `make repro DOMAIN={run.name}`.",
            "## Intended use",
            f"{words.use} Not for: {words.not_for}",
            "## What it is",
            markdown(["what", "value"], *_structure(run, known)),
            "## How good it is",
            f"On {show(known['rows']['test'])} test examples, one training (seed "
            f"{known['seed']}), with 95 % intervals by bootstrap over users. *Single-task* is the "
            "same network for one task alone; *peers* are what a specialist would use.",
            results(known),
            "## What three trainings say",
            verdicts(run, known),
            "## Cost",
            f"Training took {seconds['training']:.0f} seconds and evaluation "
            f"{seconds['evaluation']:.0f}, beside whatever else the machine did, on its "
            f"{known['device']}, in {known['precision']}. The training is that of the joint model "
            "and of a single-task model for each task. Energy was not measured.",
            "## Limits",
            "\n".join(f"- {limit}" for limit in [*words.limits, *GENERAL]),
        ]
    )


GENERAL = (
    "The intervals above hold the sampling of test users, not that of trainings.",
    "The model answers with the latest state of users and items that the data hold; it does not "
    "learn online.",
    "Nobody has examined how errors are distributed over groups of people.",
)


def _structure(run: Experiment, known: Facts) -> list[list[str]]:
    model, training, embedding = run.model_building, run.training, run.task_embedding
    shared = model.shared
    sides = [side for side in ("users", "items") if "text" in known["columns"][side]]
    texts = f"of {' and '.join(sides)}, as one vector each" if sides else "of tasks alone"
    if model.reader:
        texts = f"of {' and '.join(model.reader.sides)}, token by token"
    found = {
        "trained parameters": show(known["parameters"]),
        "shared layer": f"`{shared.layer}`, {shared.experts} experts of {shared.units} units",
        "width of a user's or item's state": show(model.width),
        "history": f"{model.history.encoder}, {model.history.length} events",
        "language model": f"{embedding.preset}, block {embedding.layer}, frozen",
        "texts that it reads": texts,
        "balancing of tasks": f"`{training.balancing}`",
        "share of the loss that follows single-task models": f"{training.distillation:g}",
        "dropout": f"{model.dropout:g}",
        "seed": str(known["seed"]),
    }
    return [[name, value] for name, value in found.items()]
