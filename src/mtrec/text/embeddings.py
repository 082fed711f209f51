"""Texts of users, items and tasks -> vectors that the model can use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtrec.features.events import training_events
from mtrec.files import whole
from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import EmbedSettings
from mtrec.tables.labels import relevant
from mtrec.tables.schema import Tables
from mtrec.text.embed import embed, reduce

if TYPE_CHECKING:
    from mtrec.settings import Task

Array = np.ndarray


def embed_tables(
    tables: Tables, tasks: Mapping[str, Task], settings: EmbedSettings, raw: Path, cache: Path
) -> dict[str, Array]:
    """Embed the texts of users, items and tasks, and the names of the labels of multi-label tasks.

    Users and items get whitened principal components fitted on those with training events;
    tasks and labels, of which there are too few for that, the full vectors, centred and of unit
    length.

    Returns:
        ``users`` and ``items``: ``(rows, components)`` float32 in the tables' order, NaN rows
        where there is no text, and what makes components of later vectors, ``<side>_mean``
        ``(1, width)`` and ``<side>_axes`` ``(width, components)``; ``tasks``:
        ``(tasks, width)`` in the order of ``tasks``, and their mean before centring,
        ``tasks_mean`` ``(1, width)``;
        ``labels_<task>``: ``(labels, width)`` in the order of the sorted training labels.
    """
    events, _ = training_events(tables.events, tables.examples)
    columns = {name: _texts(getattr(tables, name)) for name in ("users", "items")}
    columns["tasks"] = pd.Series([task.text or name for name, task in tasks.items()])
    found = embed(pd.concat([c.dropna() for c in columns.values()]).tolist(), settings, raw, cache)
    result = {}
    for name, column in columns.items():
        known = column.notna().to_numpy()
        result[name] = np.full((len(column), found.shape[1]), np.nan, dtype="float32")
        result[name][known], found = found[: known.sum()], found[known.sum() :]
    for name, key in (("users", "user_id"), ("items", "item_id")):
        seen = getattr(tables, name)[key].isin(events[key]).to_numpy()
        result[name], projection = reduce(result[name], seen, settings.components)
        if projection is not None:
            result |= {f"{name}_mean": projection.mean, f"{name}_axes": projection.axes}
    result["tasks_mean"] = result["tasks"].mean(axis=0, keepdims=True)
    result["tasks"] = _directions(result["tasks"], result["tasks_mean"])
    names = label_names(tables.examples, tasks)
    if names:
        found = embed([n.title() for part in names.values() for n in part], settings, raw, cache)
        for name, part in names.items():
            own, found = found[: len(part)], found[len(part) :]
            result[f"labels_{name}"] = _directions(own, own.mean(axis=0))
    return result


def embed_tasks(
    tasks: Mapping[str, Task], settings: EmbedSettings, raw: Path, cache: Path
) -> dict[str, Array]:
    """Vectors of tasks' texts: ``tasks`` and ``tasks_mean`` as :func:`embed_tables` has them.

    Args:
        tasks: task settings by name.
        settings: as for :func:`embed_tables`.
        raw: folder of the language model's weights.
        cache: folder of vectors by content.
    """
    found = embed([task.text or name for name, task in tasks.items()], settings, raw, cache)
    mean = found.mean(axis=0, keepdims=True)
    return {"tasks": _directions(found, mean), "tasks_mean": mean}


def embed_task(
    text: str, vectors: Mapping[str, Array], settings: EmbedSettings, raw: Path, cache: Path
) -> Array:
    """Vector ``(width,)`` of a new task's text, centred as the old tasks' were, of unit length.

    Args:
        text: the task in words.
        vectors: what :func:`embed_tables` or :func:`embed_tasks` returned for the old tasks.
        settings: those that made the old vectors.
        raw: folder of the language model's weights.
        cache: folder of vectors by content.
    """
    return _directions(embed([text], settings, raw, cache), vectors["tasks_mean"])[0]


def label_names(examples: pd.DataFrame, tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """Sorted names of the labels that training shows, per multi-label task."""
    training = examples[examples["split"] == "train"]
    return {
        name: sorted(set(relevant(training, tasks, name).explode().dropna()))
        for name, task in tasks.items()
        if TASK_TYPES.forms[task.type] is Form.SET and task.label in training
    }


def _directions(vectors: Array, mean: Array) -> Array:
    """Vectors without their mean, of unit length, float32."""
    centred = vectors - mean
    norm = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return (centred / norm).astype("float32")


def _texts(table: pd.DataFrame) -> pd.Series:
    return table["text"] if "text" in table else pd.Series(None, index=table.index, dtype=object)


def save(vectors: Mapping[str, Array], folder: Path) -> None:
    """Write one ``.npy`` file per array."""
    for name, array in vectors.items():
        with whole(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, array)


def load(folder: Path) -> dict[str, Array]:
    """Read what :func:`save` wrote.

    Raises:
        FileNotFoundError: there is nothing.
    """
    found = {file.stem: np.load(file) for file in sorted(folder.glob("*.npy"))}
    if not found:
        raise FileNotFoundError(f"{folder}: no text vectors; run notebook 02 (`make repro`) first.")
    return found
