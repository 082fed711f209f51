"""Small tables that show a reader what the data are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import EmbedSettings
from mtrec.tables.schema import SPLITS, Tables
from mtrec.text.embed import count_tokens

GROUP_LEVELS = (4, 40)  # a column with so many values colours a map legibly
ORDER_ONLY = "made up: an order only"  # what stands for the times of data that have none
WIDTH = 80  # characters of a text in a table
PROJECTIONS = {
    f"{side}_{part}" for side in ("users", "items", "tasks") for part in ("mean", "axes")
}


def overview(frames: Mapping[str, Any]) -> pd.DataFrame:
    """Rows and columns of each table; what is no table is left out."""
    tables = {name: part for name, part in frames.items() if isinstance(part, pd.DataFrame)}
    rows = [(name, len(table), ", ".join(table.columns)) for name, table in tables.items()]
    return pd.DataFrame(rows, columns=["table", "rows", "columns"])


def known_time(settings: Any) -> str:
    """What alone is known of the times of a domain without a clock, such as its school year.

    Args:
        settings: those of the domain's data; ``known_time`` is there if something is known.
    """
    return getattr(settings, "known_time", "")


def columns(frame: pd.DataFrame, has_clock: bool, known_time: str = "") -> pd.DataFrame:
    """Type, share of missing values and an example of each column.

    Args:
        frame: the table.
        has_clock: times are those of the data; of others none is shown.
        known_time: what alone is known of these others; empty if they only order the rows.
    """
    rows = []
    for name in frame:
        known = frame[name].dropna()
        example = known.iloc[0] if len(known) else ""
        if isinstance(example, pd.Timestamp) and not has_clock:
            example = f"made up but for the {known_time}" if known_time else ORDER_ONLY
        text = f"{example:.3g}" if isinstance(example, float) else str(example)
        rows.append((name, str(frame[name].dtype), frame[name].isna().mean() * 100, text[:60]))
    return pd.DataFrame(rows, columns=["column", "type", "missing [%]", "example"])


def split_table(examples: pd.DataFrame, labels: list[str], has_clock: bool) -> pd.DataFrame:
    """Rows, period, cold users and items, and known labels per split.

    Args:
        examples: the examples table.
        labels: label columns.
        has_clock: times are those of the data; without, there is no period to show.
    """
    rows = []
    for split in SPLITS:
        part = examples[examples["split"] == split]
        first, last = part["timestamp"].min(), part["timestamp"].max()
        period = {"from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}"} if has_clock else {}
        rows.append(
            {"split": split, "rows": len(part), **period,
             "cold user": int(part["cold_user"].sum()), "cold item": int(part["cold_item"].sum()),
             **{label: int(part[label].notna().sum()) for label in labels}}
        )  # fmt: skip
    return pd.DataFrame(rows)


def split_note(examples: pd.DataFrame, has_clock: bool, known_time: str = "") -> str:
    """How rows that name a user and an item are ordered and split, in a sentence.

    Args:
        examples: with ``user_id``, ``item_id``, ``timestamp`` and ``split``.
        has_clock: as for :func:`columns`.
        known_time: as for :func:`columns`.
    """
    rows = examples.dropna(subset=["user_id", "item_id", "timestamp"])
    times = rows.groupby("split")["timestamp"].agg(["min", "max"])
    times = times.reindex([split for split in SPLITS if split in times.index])
    apart = all(a <= b for a, b in pairwise(times[["min", "max"]].to_numpy().ravel()))
    if has_clock:
        how = "Time splits the rows: the earliest train, the latest test"
        return f"{how}." if apart else "These data have times, but the splits overlap in time."
    if known_time:
        whole = rows.groupby("user_id")["split"].nunique().max() == 1
        how = "whole users are split" if whole else "a user may be in several splits"
        return f"Of the times of these data, only the {known_time} is known; {how}."
    how = ", training rows first" if apart else ""
    return f"These data have no times: a seeded shuffle orders the rows{how}."


def label_table(
    examples: pd.DataFrame, labels: Mapping[str, str], units: Mapping[str, str]
) -> pd.DataFrame:
    """What the training labels look like: mean and deviation, or number and share of classes.

    Args:
        examples: the examples table.
        labels: type of each label column.
        units: what each label is counted in, such as ``stars``; ``-`` if nothing.
    """
    training = examples[examples["split"] == "train"]
    rows = []
    for label, kind in labels.items():
        known = training[label].dropna()
        form = TASK_TYPES.forms[kind]
        if form in (Form.BIT, Form.NUMBER):
            found = f"mean {known.mean():.3f}, standard deviation {known.std():.3f}"
        elif form is Form.SET:
            each = known.explode().dropna().value_counts() / len(known)
            found = (f"{len(each)} labels, {known.map(len).mean():.2f} per row; "
                     f"most frequent: {each.index[0]} ({each.iloc[0]:.0%} of rows)")  # fmt: skip
        else:
            share = known.value_counts(normalize=True)
            found = f"{len(share)} classes; most frequent: {share.index[0]} ({share.iloc[0]:.1%})"
        rows.append((label, kind, units[label], len(known), found))
    return pd.DataFrame(rows, columns=["label", "type", "unit", "training rows", "distribution"])


def middle_of_test(examples: pd.DataFrame) -> pd.Timestamp:
    """Median time of the test rows, to the second."""
    times = examples.loc[examples["split"] == "test", "timestamp"].dropna()
    return times.sort_values().iloc[len(times) // 2].floor("s")


def moment(time: pd.Timestamp, has_clock: bool) -> str:
    """The day of the middle of the test rows, or these words where days are made up."""
    return f"{time:%Y-%m-%d}" if has_clock else "the middle of the test rows"


def settings_table(settings: EmbedSettings) -> pd.DataFrame:
    """Settings of the language model with their meaning."""
    fields = EmbedSettings.model_fields
    rows = [(k, str(v), fields[k].description or "") for k, v in settings.model_dump().items()]
    return pd.DataFrame(rows, columns=["setting", "value", "meaning"])


def sample_table(tables: Tables, tasks: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """Three texts of each kind, long ones cut."""
    kinds = {
        "users": tables.users.get("text", pd.Series(dtype=object)),
        "items": tables.items.get("text", pd.Series(dtype=object)),
        "tasks": pd.Series([task.text for task in tasks.values()]),
    }
    rows = [
        (kind, short(text))
        for kind, column in kinds.items()
        for text in _sample(column.dropna().drop_duplicates(), seed)
    ]
    return pd.DataFrame(rows, columns=["kind", "text"])


def short(text: str, width: int = WIDTH) -> str:
    """At most ``width`` characters of a text: its start and its end, as either may be what differs.

    Example:
        >>> short("A first-grade teacher with 19 years of experience in a rural school", 60)
        'A first-grade teacher with 19 years … in a rural school'
    """
    if len(text) <= width:
        return text
    last = width // 3
    start, end = text[: width - last - 3].rstrip(), text[-last:].lstrip()
    if " " in start:
        start = start.rsplit(" ", 1)[0]
    if " " in end:
        end = end.split(" ", 1)[1]
    return f"{start} … {end}"


def _sample(column: pd.Series, seed: int) -> pd.Series:
    return column.sample(min(3, len(column)), random_state=seed)


def token_table(
    tables: Tables, tasks: Mapping[str, Any], settings: EmbedSettings, raw: Path
) -> pd.DataFrame:
    """Rows, distinct texts and tokens of each kind."""
    kinds = {
        "users": tables.users.get("text", pd.Series(dtype=object)).dropna(),
        "items": tables.items.get("text", pd.Series(dtype=object)).dropna(),
        "tasks": pd.Series([task.text for task in tasks.values()]),
    }
    rows = [
        (kind, len(column), column.nunique(), count_tokens(list(column), settings, raw))
        for kind, column in kinds.items()
    ]
    return pd.DataFrame(rows, columns=["kind", "rows with text", "distinct texts", "tokens"])


def shape_table(vectors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Rows, width and rows without text per kind; what makes vectors of later texts is left out."""
    rows = [
        (kind, array.shape[0], array.shape[1], int(np.isnan(array).any(axis=1).sum()))
        for kind, array in vectors.items()
        if kind not in PROJECTIONS
    ]
    return pd.DataFrame(rows, columns=["kind", "rows", "width", "rows without text"])


def vector_note(vectors: Mapping[str, np.ndarray]) -> str:
    """How many users, items and tasks have a vector, in a sentence.

    Example:
        >>> without, tasks = np.full((3, 1), np.nan), np.ones((4, 8))
        >>> vector_note({"users": without, "items": without, "tasks": tasks})
        'No user or item here has a text; the 4 tasks have.'
    """
    tasks = len(vectors["tasks"])
    known = {side: int(np.isfinite(vectors[side]).all(axis=1).sum()) for side in ("users", "items")}
    if not any(known.values()):
        return f"No user or item here has a text; the {tasks} tasks have."
    users, items = (f"{known[side]:,} of {len(vectors[side]):,} {side}" for side in known)
    return f"{users}, {items} and all {tasks} tasks have a text, and so a vector."


def neighbours(items: pd.DataFrame, vectors: np.ndarray, seed: int, k: int = 3) -> pd.DataFrame:
    """Nearest other texts of five random items by cosine similarity; no rows without texts.

    Long texts are cut.
    """
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    if not len(known):
        return pd.DataFrame(columns=["item", "nearest"])
    _, first = np.unique(items["text"].to_numpy()[known].astype(str), return_index=True)
    rows = known[np.sort(first)]
    unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    texts = items["text"].to_numpy()[rows]
    chosen = np.random.default_rng(seed).choice(len(rows), size=min(5, len(rows)), replace=False)
    similar = np.argsort(-(unit[chosen] @ unit.T), axis=1, kind="stable")[:, 1 : k + 1]
    return pd.DataFrame(
        [
            (short(texts[i]), " · ".join(map(short, texts[near])))
            for i, near in zip(chosen, similar, strict=True)
        ],
        columns=["item", "nearest"],
    )


def text_note(items: pd.DataFrame) -> str:
    """How many items have a text, in a sentence."""
    known = int(items["text"].notna().sum()) if "text" in items else 0
    if not known:
        return "no item of this domain has a text: no neighbours to show, and no map below"
    return f"{known:,} of {len(items):,} items have a text"


def groups(items: pd.DataFrame) -> pd.Series:
    """A property to colour items by: the first list or text column with few distinct values."""
    for name in items.columns.drop(["item_id", "text"], errors="ignore"):
        values = items[name]
        if values.map(lambda value: isinstance(value, list)).any():
            values = values.map(lambda value: value[0] if value else None)
        if GROUP_LEVELS[0] <= values.nunique() <= GROUP_LEVELS[1]:
            return values.rename(name)
    return pd.Series("item", index=items.index, name="item")


def task_similarity(vectors: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Cosine similarity of the task vectors."""
    frame = pd.DataFrame(vectors @ vectors.T, columns=names)
    frame.insert(0, "task", names)
    return frame
