"""From column roles to a domain: settings, features, tasks and texts, as a commented YAML block."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import yaml

from mtrec.domains.own import values
from mtrec.domains.own.columns import Column
from mtrec.domains.own.inspect import Inspection
from mtrec.domains.own.settings import TAKEN
from mtrec.domains.own.sides import TAKEN as SIDE_TAKEN

CLASSES = 50  # distinct values of a column that becomes a multi-class task, at most
NEXT = 3  # such tasks, at most
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


def propose(domain: str, frames: Mapping[str, pd.DataFrame], found: Inspection) -> Proposal:
    """Propose a domain of that name for inspected files."""
    notes: list[str] = []
    numeric, binary = (_free(found.named("events", kind), notes) for kind in ("numeric", "binary"))
    rating = next(iter(found.named("events", "rating")), None)
    like = like_from(values.numbers(frames["events"][rating.name])) if rating else None
    tasks = [("next_item", "ranking", "user", "next_item", "Which item does the user choose next?")]
    if rating:
        tasks.append(("rating", "regression", "joint", "rating",
                      "What rating will the user give this item?"))  # fmt: skip
    if like is not None:
        tasks.append(("like", "binary", "joint", "like", "Will the user like this item?"))
    for name in binary:
        tasks.append((name, "binary", "joint", name, f"{_words(name).capitalize()}: yes or no?"))
    chosen = _next_columns(frames, found) if found.items else []
    for column in chosen:
        kind = "multilabel" if column.kind == "multi" else "multiclass"
        label = f"next_{column.name}"
        tasks.append((label, kind, "user", label,
                      f"Which {_words(column.name)} does the user choose next?"))  # fmt: skip
    if len(tasks) == 1:
        notes.append(
            "one task only: notebook 06 compares tasks and needs two; name a rating, a yes-or-no "
            "column or a file of items"
        )
    block = _block(domain, found, rating, like, numeric, binary, [c.name for c in chosen], tasks)
    names = ["task", "type", "view", "label", "question"]
    return Proposal(block, pd.DataFrame(tasks, columns=names), tuple(notes))


def like_from(ratings: pd.Series) -> float | None:
    """The rating that divides the known ones most evenly, or None if there is but one value.

    Example:
        >>> like_from(pd.Series([1.0, 2, 3, 4, 4, 5]))
        4.0
    """
    known = ratings.dropna()
    if len(known) > 100_000:
        known = known.iloc[:: len(known) // 100_000]
    share = known.value_counts(normalize=True).sort_index(ascending=False).cumsum()[:-1]
    return None if share.empty else float((share - 0.5).abs().idxmin())


def _free(columns: Sequence[Column], notes: list[str]) -> list[str]:
    """Names that tables do not give a meaning of their own."""
    taken = [column.name for column in columns if column.name in TAKEN]
    notes += [f"events, column {name}: not used, the name has a meaning here" for name in taken]
    return [column.name for column in columns if column.name not in taken]


def _next_columns(frames: Mapping[str, pd.DataFrame], found: Inspection) -> list[Column]:
    columns = [
        column
        for column in found.named("items", "categorical", "multi")
        if column.name not in SIDE_TAKEN
        and (column.kind == "multi" or frames["items"][column.name].nunique() <= CLASSES)
    ]
    return sorted(columns, key=lambda column: column.kind == "categorical")[:NEXT]


def _template(columns: Sequence[Column]) -> str:
    """Titles, then long texts; without either, the first few columns with their names."""
    texts = [c for c in columns if c.kind == "title"] + [c for c in columns if c.kind == "text"]
    if texts:
        kinds = [c for c in columns if c.kind in ("categorical", "multi")][:2]
        return ". ".join(f"{{{c.name}}}" for c in [*texts[:3], *kinds])
    plain = [c for c in columns if c.kind in ("categorical", "numeric", "multi")]
    return ", ".join(f"{_words(c.name)} {{{c.name}}}" for c in plain[:PIECES])


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


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


def _block(
    domain: str, found: Inspection, rating: Column | None, like: float | None,
    numeric: list[str], binary: list[str], chosen: list[str], tasks: Sequence[tuple[str, ...]],
) -> str:  # fmt: skip
    user, item = (found.named("events", role)[0].name for role in ("user_id", "item_id"))
    time = next(iter(found.named("events", "timestamp")), None)
    lines = [
        _line(2, domain, None, "proposed by `mtrec new`: read it, change what is wrong"),
        _line(4, "module", "own", "src/mtrec/domains/own.py reads the files"),
        _line(4, "raw", f"own/{domain}", "where the files were copied to"),
        _line(4, "data", None),
        _line(6, "events", None, "columns of the events file"),
        _line(8, "user_id", user),
        _line(8, "item_id", item),
    ]
    if time:
        lines += [
            _line(8, "timestamp", time.name),
            _line(8, "time_unit", time.detail, "iso | s | ms | us | ns"),
        ]
    if rating:
        lines.append(_line(8, "rating", rating.name, "number that says how the event went"))
    if numeric:
        lines.append(_line(8, "numeric", numeric, "of past events, for histories"))
    if binary:
        lines.append(_line(8, "binary", binary, "yes or no, each a label"))
    for table in ("items", "users"):
        if getattr(found, table):
            lines += _side(table, found)
    if like is not None:
        lines.append(_line(6, "like_from", like, "ratings from here on are a like"))
    if chosen:
        lines += [
            _line(6, "next_of", chosen, "item columns; the next item's value is a label"),
            _line(6, "classes", 40, "most frequent values kept of each, the rest is OTHER"),
        ]
    ways = "temporal | random | leave_last_out" if time else "without times only random"
    lines += [
        _line(6, "split", "temporal" if time else "random", ways),
        _line(6, "validation_share", 0.1, "of the events"),
        _line(6, "test_share", 0.1),
        *_features(found, rating, numeric),
        _line(4, "model_building", {}, "what differs here from model_building: above"),
        _line(4, "training", {}, "what differs here from training: above"),
        _line(4, "tasks", None),
    ]
    for name, kind, view, label, question in tasks:
        settings = {"type": kind, "view": view, "label": label, "text": question}
        lines += [_line(6, name, None), f"        {text(settings)}"]
    return "\n".join(lines) + "\n"


def _side(table: str, found: Inspection) -> list[str]:
    role = "item_id" if table == "items" else "user_id"
    lines = [
        _line(6, table, None, f"columns of the {table} file"),
        _line(8, "id", found.named(table, role)[0].name),
    ]
    numeric = [c.name for c in found.named(table, "numeric") if c.name not in SIDE_TAKEN]
    multi = {c.name: c.detail for c in found.named(table, "multi") if c.name not in SIDE_TAKEN}
    if numeric:
        lines.append(_line(8, "numeric", numeric))
    if multi:
        lines.append(_line(8, "multi", multi, "columns of lists, with their separators"))
    template = _template(getattr(found, table))
    if template:
        lines.append(_line(8, "text", template, "what the language model reads"))
    return lines


def _features(found: Inspection, rating: Column | None, numeric: list[str]) -> list[str]:
    lines = [_line(4, "features", None, "what the model sees")]
    for side in ("user", "item"):
        kinds = {
            kind: [c.name for c in found.named(f"{side}s", kind) if c.name not in SIDE_TAKEN]
            for kind in ("categorical", "multi", "numeric")
        }
        kinds["categorical"].insert(0, f"{side}_id")
        kinds["context"] = [f"{side}_count"] + ([f"{side}_mean_rating"] if rating else [])
        lines.append(_line(6, side, None))
        lines += [_line(8, kind, names) for kind, names in kinds.items() if names]
    event = (["rating"] if rating else []) + numeric
    return lines + ([_line(6, "event", event, "of past events")] if event else [])
