"""The joint model with some of its features: ids, tables, language model, both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.features import offsets
from mtrec.features.assemble import Assembly, assemble, dataset
from mtrec.features.dataset import Dataset
from mtrec.features.encoder import Encoder
from mtrec.features.fields import Field, Side
from mtrec.features.visibility import Visible
from mtrec.settings import ColdStart
from mtrec.studies.cold_split import OTHER, ColdData
from mtrec.studies.group_ranking import GroupRanking
from mtrec.studies.workbench import Workbench, library_of, sample_rows
from mtrec.tables.labels import relevant
from mtrec.tables.schema import SPLITS, Tables

if TYPE_CHECKING:
    from mtrec.tasks.ranking import Ranking

SYSTEMS: dict[str, frozenset[str]] = {
    "ids": frozenset(),
    "tables": frozenset({"tables"}),
    "llm": frozenset({"text"}),
    "both": frozenset({"tables", "text"}),
}
HELD_ROWS = 10_000  # sampled from more, of validation and of test rows
TRAINING_ROWS = 20_000  # at most; a share alone would leave small domains nothing to learn


@dataclass(frozen=True)
class ColdBench:
    """What all systems of a split share.

    Attributes:
        bench: tables, features, tasks and rows, with all features.
        test: numbers of the test rows.
        entities: held-out entity of each example.
        side: ``item`` or ``user``, the side of the held-out entities.
    """

    bench: Workbench
    test: np.ndarray
    entities: pd.Series
    side: str


def prepare(
    run: Experiment, short: ColdStart, cold: ColdData, vectors: Mapping, seed: int
) -> ColdBench:
    """Sample rows of every split and fit features and task types on the training rows.

    A head that starts from running means has those of the side that is not cold, on all rows. Of
    cold users there is no history, so no row has one: what is there in training and never in the
    test would be learnt for nothing.

    Args:
        run: the settings.
        short: its ``cold_start``.
        cold: the held-out entities.
        vectors: text vectors of users, items and tasks.
        seed: of the sample.
    """
    history = run.model_building.history.model_copy(update={"length": short.history})
    sizes = run.model_building.model_copy(update={"history": history})
    changes = {"epochs": short.epochs, "batch_size": short.batch_size}
    rows = _sample(cold, short.share, seed)
    examples = cold.tables.examples.iloc[rows].reset_index(drop=True)
    tables, entities = replace(cold.tables, examples=examples), cold.entities.iloc[rows]
    place = [list(run.domain.tasks).index(name) for name in cold.domain.tasks]
    vectors = {**vectors, "tasks": vectors["tasks"][place]}
    assembly = assemble(tables, vectors, cold.domain, sizes)
    data = dataset(assembly, tables, cold.domain.tasks)
    data = _without_history(data) if cold.side == "user" else data
    assembly, data = _one_sided(assembly, data, tables, cold)
    split = examples["split"].to_numpy()
    training, held = np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")
    assembly = _in_groups(assembly, cold, data.take(training))
    bench = Workbench(
        cold.domain, tables, vectors, assembly, data, training, held, data.take(training),
        data.take(held), sizes, run.training.model_copy(update=changes),
        library_of(run, tables, data.take(training)),
    )  # fmt: skip
    test, entities = np.flatnonzero(split == "test"), entities.reset_index(drop=True)
    return ColdBench(bench, test, entities, cold.side)


def systems(encoder: Encoder, cold: str) -> dict[str, frozenset[str]]:
    """Systems that differ in this domain: without any text there is no use in a second ``ids``."""
    found: dict[tuple, str] = {}
    for name, parts in SYSTEMS.items():
        some = select(encoder, parts, cold)
        fields = tuple(tuple(f.name for f in side.fields) for side in (some.user, some.item))
        found.setdefault((fields, tuple(some.contexts)), name)
    return {name: SYSTEMS[name] for name in found.values()}


def select(encoder: Encoder, parts: frozenset[str], cold: str) -> Encoder:
    """The encoder with ids and those ``parts`` of the other features: ``tables``, ``text``.

    Where any of these is left on the ``cold`` side its id goes, from histories too: what a model
    learns of the ids of old entities is missing for new ones.
    """
    return replace(
        encoder,
        user=_select(encoder.user, "user_id", parts, cold == "user"),
        item=_select(encoder.item, "item_id", parts, cold == "item"),
        contexts=encoder.contexts if "tables" in parts else {},
    )


def restrict(bench: Workbench, parts: frozenset[str], cold: str) -> Workbench:
    """The same bench for a model that has only some features, see :func:`select`.

    Without text, gates and label heads know tasks and labels apart, not what they mean.
    """
    assembly = bench.assembly
    encoder = select(assembly.encoder, parts, cold)
    seen = {name: _see(part, encoder) for name, part in assembly.seen.items()}
    vectors = {**bench.vectors}
    if "text" not in parts:
        vectors["tasks"] = np.eye(len(assembly.types), dtype="float32")
    gone = {f"{side}_context" for side in assembly.encoder.contexts.keys() - encoder.contexts}
    return replace(
        bench, assembly=replace(assembly, encoder=encoder, seen=seen), vectors=vectors,
        data=_without(bench.data, gone), training=_without(bench.training, gone),
        validation=_without(bench.validation, gone),
    )  # fmt: skip


def _sample(cold: ColdData, share: float, seed: int) -> np.ndarray:
    """Positions of the examples that take part, in order."""
    examples = cold.tables.examples
    masks = {
        name: relevant(examples, cold.domain.tasks, name).notna().to_numpy()
        for name in cold.domain.tasks
    }
    chosen = []
    for split in SPLITS:
        rows = np.flatnonzero((examples["split"] == split).to_numpy())
        most, asked = (TRAINING_ROWS, share) if split == "train" else (HELD_ROWS, 1.0)
        some = min(asked, most / max(len(rows), 1))
        chosen.append(sample_rows(masks, rows, some, seed))
    return np.sort(np.concatenate(chosen))


def _one_sided(
    assembly: Assembly, data: Dataset, tables: Tables, cold: ColdData
) -> tuple[Assembly, Dataset]:
    """Offsets without what the cold side adds, which would be missing on held-out rows."""
    means, inputs = {}, dict(data.inputs)
    for name in assembly.offsets:
        kind = assembly.types[name]
        rows, known = offsets.label_rows(name, kind, OTHER[cold.side], data, tables)
        rows = replace(rows, in_time=False)  # no held-out row counts, whenever it was
        means[name] = offsets.fit(rows)
        logits = np.zeros((len(data), kind.outputs), dtype="float32")
        logits[known] = kind.logits(means[name].predict(rows))
        inputs[offsets.input_name(name)] = logits
    return replace(assembly, offsets=means), replace(data, inputs=inputs)


def _without_history(data: Dataset) -> Dataset:
    parts = {name: np.zeros_like(data.inputs[name]) for name in ("history_items", "history_events")}
    return replace(data, inputs={**data.inputs, **parts})


def _in_groups(assembly: Assembly, cold: ColdData, training: Dataset) -> Assembly:
    """The assembly with candidates of the cold side in the groups of their split."""
    types, scales = dict(assembly.types), dict(assembly.scales)
    for name, kind in assembly.types.items():
        if kind.candidates == f"{cold.side}s":
            ranking = cast("Ranking", kind)
            groups = cold.groups.reindex(ranking.catalogue).map(SPLITS.index).to_numpy()
            types[name] = GroupRanking.of(ranking, groups)
            scales[name] = types[name].scale(training.labels[name][training.masks[name]])
    return replace(assembly, types=types, scales=scales)


def _select(side: Side, key: str, parts: frozenset[str], cold: bool) -> Side:
    ids = tuple(field for field in side.fields if field.name == key)
    others = tuple(f for f in side.fields if f.name != key and _part(f) in parts)
    return replace(side, fields=others if cold and others else (*ids, *others))


def _part(field: Field) -> str:
    return field.kind if field.kind in ("text", "words") else "tables"  # no system reads words yet


def _see(part: Visible, encoder: Encoder) -> Visible:
    """What is left of a head's features."""
    contexts: dict[str, Any] = {
        f"{side}_context": getattr(part, f"{side}_context") if side in encoder.contexts else ()
        for side in ("user", "item", "joint")
    }
    sides: dict[str, Any] = {
        side: tuple(n for n in getattr(part, side) if n in _names(getattr(encoder, side)))
        for side in ("user", "item")
    }
    return replace(part, **sides, **contexts)


def _names(side: Side) -> set[str]:
    return {field.name for field in side.fields}


def _without(data: Dataset, gone: set[str]) -> Dataset:
    return replace(data, inputs={n: v for n, v in data.inputs.items() if n not in gone})
