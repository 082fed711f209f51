"""From column roles to a domain: settings, features, tasks and texts, as a commented YAML block."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import pandas as pd
import yaml

from mtrec.domains.own import lists
from mtrec.domains.own.columns import Column
from mtrec.domains.own.inspect import Inspection
from mtrec.domains.own.plan import SHARES, Plan, Task, words
from mtrec.domains.own.sides import side_name

PIECES = 6  # columns in a text without a title or a description


@dataclass(frozen=True)
class Proposal:
    """A domain.

    Attributes:
        block: its lines for ``params.yaml``, below ``domains:``.
        tasks: ``task``, ``type``, ``view``, ``label``, ``question``.
        notes: what the reader should know.
    """

    block: str
    tasks: pd.DataFrame
    notes: tuple[str, ...]


def propose(
    domain: str, frames: Mapping[str, pd.DataFrame], found: Inspection, repeats: str = "keep",
    left: Mapping[str, str] | None = None,
) -> Proposal:  # fmt: skip
    """Propose a domain of that name for inspected files.

    Args:
        domain: its name.
        frames: text cells by table.
        found: what the columns are.
        repeats: ``keep`` or ``collapse``.
        left: tasks to leave out, each with the reason.
    """
    plan, left = Plan.of(frames, found), left or {}
    tasks = [
        replace(task, when=None if task.when in left else task.when)
        for task in plan.tasks()
        if task.name not in left
    ]
    notes = [f"left out: {reason}" for reason in left.values()]
    if len(tasks) == 1:
        notes.append(
            "one task only: notebook 06 compares tasks and needs two; name a rating, a yes-or-no "
            "column or a file of items"
        )
    if plan.split == "random" and found.named("events", "timestamp"):
        notes.append(
            "too few different times to divide the events by, so the split is random; choose "
            "another by data.split in params.yaml"
        )
    if plan.chosen:
        notes.append(
            f"rows without {plan.chosen} are taken as shown only: no part of histories, and no "
            "next item; take data.events.chosen out of params.yaml if they are more"
        )
    columns = ["task", "type", "view", "label", "question"]
    table = pd.DataFrame([astuple(task)[:5] for task in tasks], columns=columns)
    return Proposal(_block(domain, found, plan, tasks, repeats), table, tuple(notes))


def _template(columns: Sequence[Column]) -> str:
    """Titles, then long texts; without either, the first few columns with their names."""
    texts = [c for c in columns if c.kind == "title"] + [c for c in columns if c.kind == "text"]
    if texts:
        kinds = [
            c
            for c in columns
            if c.kind == "categorical" or (c.kind == "multi" and c.detail != lists.BRACKETS)
        ][:2]
        return ". ".join(f"{{{c.name}}}" for c in [*texts[:3], *kinds])
    plain = [c for c in columns if c.kind in ("categorical", "numeric", "multi")]
    return ", ".join(f"{words(c.name)} {{{c.name}}}" for c in plain[:PIECES])


def text(value: object) -> str:
    """A value as YAML in one line; a name stays bare where YAML reads it back as that name."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z0-9_/]+", value) and yaml.safe_load(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value)


def _line(indent: int, key: str, value: object, comment: str = "") -> str:
    line = f"{' ' * indent}{text(key)}:" + ("" if value is None else f" {text(value)}")
    return f"{line:<30} # {comment}" if comment else line


def _block(domain: str, found: Inspection, plan: Plan, tasks: Sequence[Task], repeats: str) -> str:
    time = found.named("events", "timestamp")
    lines = [
        _line(2, domain, None, "proposed by `mtrec new`: read it, change what is wrong"),
        _line(4, "module", "own", "src/mtrec/domains/own/ reads the files"),
        _line(4, "raw", f"own/{domain}", "where the files were copied to"),
        _line(4, "data", None),
        *_events(found, plan),
    ]
    for table in ("items", "users"):
        if getattr(found, table):
            lines += _side(table, found)
    if plan.types:
        lines.append(_line(6, "types", plan.types, "labels: 1 for events of these types"))
    if plan.like is not None:
        lines.append(_line(6, "like_from", plan.like, "ratings from here on are a like"))
    if plan.next_of:
        names = [side_name(column.name, "item") for column in plan.next_of]
        lines += [
            _line(6, "next_of", names, "item columns; the next item's value is a label"),
            _line(6, "classes", 40, "most frequent values kept of each, the rest is OTHER"),
        ]
    ways = "temporal | random | leave_last_out | given" if time else "without times random | given"
    lines += [
        _line(6, "repeats", repeats, "keep or collapse: same user and item (and time) once"),
        _line(6, "split", plan.split, ways),
        *_shares(plan),
        *_features(found, plan),
        _line(4, "model_building", {}, "what differs here from model_building: above"),
        _line(4, "training", {}, "what differs here from training: above"),
        _line(4, "tasks", None),
    ]
    for task in tasks:
        settings: dict[str, object] = {"type": task.type, "view": task.view, "label": task.label}
        settings |= {"when": task.when} if task.when else {}
        settings |= {"offset": task.offset} if task.offset else {}
        settings |= {"peers": task.peers} if task.peers else {}
        lines += [
            _line(6, task.name, None),
            f"        {text({**settings, 'text': task.question})}",
        ]
    return "\n".join(lines) + "\n"


def _shares(plan: Plan) -> list[str]:
    if plan.split == "given":
        why = "of the events for training, where none is named for validation"
        return [_line(6, "validation_share", SHARES[0], why)]
    return [
        _line(6, "validation_share", SHARES[0], "of the events"),
        _line(6, "test_share", SHARES[1]),
    ]


def _events(found: Inspection, plan: Plan) -> list[str]:
    user, item = (found.named("events", role)[0].name for role in ("user_id", "item_id"))
    lines = [
        _line(6, "events", None, "columns of the events file"),
        _line(8, "user_id", user),
        _line(8, "item_id", item),
    ]
    for time in found.named("events", "timestamp"):
        lines += [
            _line(8, "timestamp", time.name),
            _line(8, "time_unit", time.detail, 'iso | s | ms | us | ns | d (days) | "%d/%m/%Y"'),
        ]
    named: tuple[tuple[str, object, str], ...] = (
        ("rating", plan.rating and plan.rating.name, "number that says how the event went"),
        ("numeric", plan.numeric, "of past events, for histories"),
        ("amounts", plan.amounts, "how much the user did: log(1 + x) is a label"),
        ("binary", plan.binary, "yes or no, each a label"),
        ("chosen", plan.chosen, "yes or no; otherwise the item was only shown"),
        ("type", plan.type, "what happened; types: below makes labels of it"),
        (
            "split",
            next((c.name for c in found.named("events", "split")), None),
            "says train, validation or test, for split: given",
        ),
    )
    return lines + [_line(8, key, value, why) for key, value, why in named if value]


def _side(table: str, found: Inspection) -> list[str]:
    role = "item_id" if table == "items" else "user_id"
    lines = [
        _line(6, table, None, f"columns of the {table} file"),
        _line(8, "id", found.named(table, role)[0].name),
    ]
    if table in found.of_events:
        lines[0] = _line(6, table, None, f"told by the events: there is no file of {table}")
        told = [column.name for column in getattr(found, table) if column.kind != role]
        lines.append(_line(8, "of_events", told, "columns of events, the same for each id"))
    numeric = [c.name for c in found.named(table, "numeric")]
    multi = {c.name: c.detail for c in found.named(table, "multi")}
    if numeric:
        lines.append(_line(8, "numeric", numeric))
    if multi:
        lines.append(_line(8, "multi", multi, "columns of lists, with their separators"))
    template = _template(getattr(found, table))
    if template:
        lines.append(_line(8, "text", template, "what the language model reads"))
    return lines


def _features(found: Inspection, plan: Plan) -> list[str]:
    lines = [_line(4, "features", None, "what the model sees")]
    for side in ("user", "item"):
        kinds = {
            kind: [side_name(c.name, side) for c in found.named(f"{side}s", kind)]
            for kind in ("categorical", "multi", "numeric")
        }
        kinds["categorical"].insert(0, f"{side}_id")
        kinds["context"] = [f"{side}_count"] + ([f"{side}_mean_rating"] if plan.rating else [])
        lines.append(_line(6, side, None))
        lines += [_line(8, kind, names) for kind, names in kinds.items() if names]
    event = (["rating"] if plan.rating else []) + [plan.called(name) for name in plan.numeric]
    return lines + ([_line(6, "event", event, "of past events")] if event else [])
