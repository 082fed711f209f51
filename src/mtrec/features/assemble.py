"""From tables and text vectors to everything that models of a domain share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.features import links, offsets
from mtrec.features.dataset import Dataset, encode_labels, fit_types, make_dataset
from mtrec.features.encoder import Encoder, fit_encoder, load_encoder, save_encoder
from mtrec.features.visibility import Visible, visible
from mtrec.files import write_text
from mtrec.registry import TASK_TYPES
from mtrec.tables.labels import relevant
from mtrec.tasks.base import TaskType

if TYPE_CHECKING:
    from mtrec.settings import Domain, ModelBuilding, Task
    from mtrec.tables.schema import Tables


@dataclass(frozen=True)
class Assembly:
    """What training learnt about features and labels before any gradient.

    Attributes:
        encoder: features.
        types: task types by task, in the order of ``params.yaml``.
        seen: what each head may see.
        base_logits: logits of the best constant prediction by task.
        scales: loss of that prediction by task.
        offsets: running means that the heads of some tasks add to; the constant is theirs.
        label_vectors: text vectors of the labels by task with head ``label_embedding``; only
            building reads them, a saved model holds its own.
        links: who chose whom in training, by task whose head reads that; as for label vectors.
    """

    encoder: Encoder
    types: dict[str, TaskType]
    seen: dict[str, Visible]
    base_logits: dict[str, np.ndarray]
    scales: dict[str, float]
    offsets: dict[str, offsets.RunningMean] = field(default_factory=dict)
    label_vectors: dict[str, np.ndarray] = field(default_factory=dict)
    links: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def evidence(self) -> dict[str, np.ndarray]:
        """What heads know beside the state of a row, by task: see ``label_vectors``, ``links``."""
        return {**self.label_vectors, **self.links}


def assemble(
    tables: Tables, vectors: Mapping[str, np.ndarray], domain: Domain, sizes: ModelBuilding
) -> Assembly:
    """Fit encoder, task types and constant predictions on the training split.

    Args:
        tables: the four tables.
        vectors: text vectors of ``users`` and ``items``.
        domain: what the models see and predict.
        sizes: ``min_count`` and ``history.length``.
    """
    ends = _ends(tables.examples, domain.tasks)
    encoder = fit_encoder(tables, domain.features, sizes, vectors, ends)
    types = fit_types(tables.examples, domain.tasks, encoder.catalogues)
    training = (tables.examples["split"] == "train").to_numpy()
    offset = [name for name, task in domain.tasks.items() if task.offset]
    linked = links.linked(types)
    entities = encoder.entities(tables.examples) if offset or linked else {}
    data = Dataset(entities, *encode_labels(tables.examples, domain.tasks, types))
    known = {name: data.labels[name][data.masks[name] & training] for name in types}
    means = {
        name: offsets.fit(
            offsets.label_rows(name, types[name], domain.tasks[name].view, data, tables)[0]
        )
        for name in offset
    }
    return Assembly(
        encoder,
        types,
        {name: visible(name, task, encoder) for name, task in domain.tasks.items()},
        {name: kind.base_logits(known[name]) * (name not in means) for name, kind in types.items()},
        {name: kind.scale(known[name]) for name, kind in types.items()},
        means,
        {n: _label_vectors(n, k, vectors) for n, k in types.items() if k.head == "label_embedding"},
        {
            name: links.adjacency(
                entities["user"][data.masks[name] & training], known[name], types[name].outputs
            )
            for name in linked
        },
    )


@dataclass(frozen=True)
class TaskInput:
    """An input of the model that one task reads itself, beside what all tasks see.

    Attributes:
        name: of the input.
        shape: without the batch.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


def task_inputs(assembly: Assembly) -> tuple[TaskInput, ...]:
    """Inputs that tasks read themselves; all of a domain's models have them all."""
    types = assembly.types
    return (
        *(TaskInput(links.input_name(name), (), "int32") for name in links.linked(types)),
        *(
            TaskInput(offsets.input_name(name), (types[name].outputs,), "float32")
            for name in assembly.offsets
        ),
    )


def _ends(examples: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.Series:
    """Users on either end of a training label that names a user."""
    training = examples[examples["split"] == "train"]
    ends = [pd.Series(dtype=object)]
    for name, task in tasks.items():
        if task.candidates == "users":
            other = relevant(training, tasks, name).dropna()
            ends += [other, training.loc[other.index, "user_id"]]
    return pd.concat(ends, ignore_index=True)


def _label_vectors(name: str, kind: TaskType, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    found = vectors.get(f"labels_{name}")
    if found is None or len(found) != kind.outputs:
        raise ValueError(
            f"task '{name}': head label_embedding needs a text vector for each of its "
            f"{kind.outputs} labels (found: {0 if found is None else len(found)}). Run notebook 02 "
            "again (`make repro`)."
        )
    return found


def dataset(assembly: Assembly, tables: Tables, tasks: Mapping[str, Task]) -> Dataset:
    """All examples as arrays, in the order of the examples table."""
    data = make_dataset(tables, assembly.encoder, tasks, assembly.types)
    inputs = offsets.add_inputs(data, assembly.offsets, assembly.types, tasks, tables)
    training = (tables.examples["split"] == "train").to_numpy()
    for name in links.linked(assembly.types):
        own = links.own_links(data.labels[name], data.masks[name], training)
        inputs[links.input_name(name)] = own
    return replace(data, inputs=inputs)


def save(assembly: Assembly, folder: Path) -> None:
    """Write the assembly: ``encoder.json``, ``encoder.npz`` and ``tasks.json``."""
    save_encoder(assembly.encoder, folder)
    plain = {
        name: {
            "type": TASK_TYPES.name_of(type(kind)),
            "config": kind.to_config(),
            "visible": vars(assembly.seen[name]),
            "base_logits": [float(v) for v in assembly.base_logits[name]],
            "scale": assembly.scales[name],
            "offset": vars(assembly.offsets[name]) if name in assembly.offsets else None,
        }
        for name, kind in assembly.types.items()
    }
    write_text(folder / "tasks.json", json.dumps(plain))


def load(folder: Path) -> Assembly:
    """Undo :func:`save`.

    Raises:
        FileNotFoundError: a file is missing.
    """
    encoder = load_encoder(folder)
    plain = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    return Assembly(
        encoder,
        {n: TASK_TYPES[task["type"]].from_config(task["config"]) for n, task in plain.items()},
        {n: Visible(**_tuples(task["visible"])) for n, task in plain.items()},
        {n: np.array(task["base_logits"], dtype="float32") for n, task in plain.items()},
        {n: task["scale"] for n, task in plain.items()},
        {
            n: offsets.RunningMean(**_tuples(task["offset"]))
            for n, task in plain.items()
            if task["offset"]
        },
    )


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    """The fields of a data class, whose tuples are lists in JSON."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
