"""Everything wrong with the four tables of any domain: columns, labels, splits, leaks, texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mtrec.data import leaks, schema
from mtrec.data.dataset import relevant
from mtrec.own.findings import Finding, examples
from mtrec.own.language import other_language

YAML = "params.yaml"
LEAK_ROWS = 20_000  # rows per split in which leaks are looked for
RARE = 0.001  # share of the rarer class below which a binary task is doubtful


def check_tables(tables: Any, domain: Any) -> Iterator[Finding]:
    """Yield what is wrong with ``tables`` for the features and tasks of ``domain``.

    Args:
        tables: the four tables.
        domain: :class:`mtrec.settings.Domain`.
    """
    yield from _features(tables, domain.features)
    labels = {t.label: t.type for t in domain.tasks.values() if t.label in tables.examples}
    try:
        schema.validate(tables, labels)
    except schema.SchemaError as error:
        what, _, mend = str(error).partition(". ")
        if not what.endswith(f"{', '.join(schema.SPLITS)}"):  # empty splits follow below, all
            yield Finding("error", "tables", "", what, mend)
    for split in schema.SPLITS:
        if not (tables.examples["split"] == split).any():
            yield Finding("error", "examples", "split", f"the {split} split is empty",
                          f"Add rows, or change the shares under data: in {YAML}.")  # fmt: skip
    for name in domain.tasks:
        yield from _task(tables, domain, name)
    for table in ("users", "items"):
        yield from _texts(getattr(tables, table), table)


def untrainable(tables: Any, domain: Any) -> dict[str, str]:
    """Tasks that these tables cannot train, each with the first reason."""
    found = {name: _task(tables, domain, name) for name in domain.tasks}
    errors = {name: [f.what for f in of if f.level == "error"] for name, of in found.items()}
    return {name: reasons[0] for name, reasons in errors.items() if reasons}


def _features(tables: Any, features: Any) -> Iterator[Finding]:
    places = [("events", tables.events, features.event, "event")]
    for side, table in (("user", tables.users), ("item", tables.items)):
        columns = getattr(features, side)
        places.append((f"{side}s", table, (*columns.categorical, *columns.multi, *columns.numeric),
                       side))  # fmt: skip
        places.append(("examples", tables.examples, columns.context, f"{side}.context"))
    places.append(("examples", tables.examples, features.joint.context, "joint.context"))
    for name, table, columns, key in places:
        for column in columns:
            if column not in table:
                yield Finding("error", name, column,
                              f"no such column, but {YAML} names it under features.{key} (found: "
                              f"{', '.join(table.columns)})",
                              f"Mend features.{key} in {YAML}, or add the column.")  # fmt: skip
    numeric = [("events", tables.events, features.event)]
    numeric += [(f"{side}s", getattr(tables, f"{side}s"), getattr(features, side).numeric)
                for side in ("user", "item")]  # fmt: skip
    for name, table, columns in numeric:
        for column in columns:
            if column in table:
                yield from _finite(table[column], name)


def _finite(column: pd.Series, table: str) -> Iterator[Finding]:
    name = str(column.name)
    if not pd.api.types.is_numeric_dtype(column):
        yield Finding("error", table, name, f"is {column.dtype}, but features call it numeric",
                      f"Name it under data: as numeric, or under categorical, in {YAML}.",
                      examples(column.dropna()))  # fmt: skip
        return
    endless = np.isinf(column.astype("float64"))
    if endless.any():
        yield Finding("error", table, name, f"{int(endless.sum()):,} values are infinite",
                      "Write finite numbers or leave the cells empty.",
                      examples(column, endless))  # fmt: skip
    if column.isna().all():
        yield Finding("warning", table, name, "every value is missing",
                      f"Take it out of features: in {YAML}, or mend the file.")  # fmt: skip


def _task(tables: Any, domain: Any, name: str) -> Iterator[Finding]:
    task, examples_table, key = domain.tasks[name], tables.examples, f"tasks.{name}"
    if task.label not in examples_table:
        yield Finding("error", YAML, key, f"there is no label '{task.label}' (found: "
                      f"{', '.join(examples_table.columns)})", "Mend label:.")  # fmt: skip
        return
    labels = relevant(examples_table, domain.tasks, name)
    training = labels[examples_table["split"] == "train"].dropna()
    for split in schema.SPLITS:
        rows = examples_table["split"] == split
        if rows.any() and not labels[rows].notna().any():
            yield Finding("error", "examples", task.label,
                          f"task '{name}' has no label in the {split} split",
                          "Add labelled rows, change the split, or drop the task.")  # fmt: skip
    classes = training.explode() if task.type == "multilabel" else training
    if len(training) and classes.nunique() < 2:
        only = f" (always {classes.iloc[0]})" if len(classes.dropna()) else ""
        yield Finding("error", "examples", task.label,
                      f"task '{name}' has one class in the training split{only}",
                      f"Drop tasks.{name} in {YAML}, or change how its label is made.")  # fmt: skip
    elif task.type == "binary" and len(training) and not RARE <= training.mean() <= 1 - RARE:
        yield Finding("warning", "examples", task.label,
                      f"task '{name}': {training.mean():.2%} of its labels are 1",
                      "With so few of one class, expect wide intervals.")  # fmt: skip
    if task.type == "binary" and len(training):
        for split in ("validation", "test"):
            known = labels[examples_table["split"] == split].dropna()
            if len(known) and known.nunique() < 2:
                yield Finding("warning", "examples", task.label,
                              f"task '{name}': all labels of the {split} split are "
                              f"{known.iloc[0]:g}",
                              "What is learnt cannot be judged there: change the split, or drop "
                              f"tasks.{name} in {YAML}.")  # fmt: skip
    yield from _leaks(tables, domain, name)


def _leaks(tables: Any, domain: Any, name: str) -> Iterator[Finding]:
    """Features in the sight of a task's head that determine its label, on a sample of rows."""
    task = domain.tasks[name]
    known = tables.examples[tables.examples[task.label].notna()]
    known = known.groupby("split", sort=False).head(LEAK_ROWS)
    columns: dict[str, pd.Series] = {}
    for side in ("user", "item"):
        if task.view not in (side, "joint"):
            continue
        seen, table = getattr(domain.features, side), getattr(tables, f"{side}s")
        indexed = table.drop_duplicates(f"{side}_id").set_index(f"{side}_id", drop=False)
        for column in (*seen.categorical, *seen.multi, *seen.numeric, "text"):
            if column in indexed:
                columns[f"{side}s, {column}"] = known[f"{side}_id"].map(indexed[column])
        columns |= {f"examples, {c}": known[c] for c in seen.context if c in known}
    if task.view == "joint":
        joint = domain.features.joint.context
        columns |= {f"examples, {c}": known[c] for c in joint if c in known}
    if task.features is not None:
        columns = {k: v for k, v in columns.items() if k.split(", ")[1] in task.features}
    frame = pd.DataFrame(columns, index=known.index)
    for feature in leaks.determining_features(frame, known[task.label], known["split"]):
        table, column = feature.split(", ")
        pairs = known[task.label].groupby(frame[feature].map(str)).first().iloc[:3]
        rows = tuple(f"{value[:20]}: {label}" for value, label in pairs.items())
        yield Finding("error", table, column,
                      f"determines '{task.label}', the label of task '{name}': it would be given "
                      "away",
                      f"Take the column out of features:, or change view: or features: of "
                      f"tasks.{name} in {YAML}.", rows)  # fmt: skip


def _texts(table: pd.DataFrame, name: str) -> Iterator[Finding]:
    if "text" not in table:
        return
    empty = table["text"].isna() | (table["text"].astype("str").str.strip() == "")
    if empty.all():
        yield Finding("error", name, "text", "every text is empty",
                      f"Mend text: under data.{name} in {YAML}, or drop it.")  # fmt: skip
        return
    if empty.mean() > 0.5:
        yield Finding("warning", name, "text", f"{empty.mean():.0%} of the texts are empty",
                      "The language model says nothing about these rows.")  # fmt: skip
    language = other_language(table["text"])
    if language is not None:
        yield Finding("warning", name, "text", f"seems to be in {language}",
                      "The language model knows English best: choose another with "
                      f"task_embedding.preset in {YAML}, or translate.",
                      examples(table["text"].dropna()))  # fmt: skip
