"""What a fused answer needs in service: weights, fitted specialists, and what they look up.

``fusion.json`` says who answers each task with which weights, and for which trained model that was
found; a later model is not asked with it. ``<task>-<member>.npz`` is the state of a specialist,
arrays alone; ``<task>.ranker.npz`` that of a network that orders candidates. ``events.npz`` holds
what users met, where a ranking needs all of it; ``means.npz`` the latest running means of tasks
whose heads do not start from them. ``SHA256SUMS`` lists them all, and a folder that differs from it
is not read.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mtrec.features import offsets
from mtrec.features.encoder import usable_events
from mtrec.features.events import Events
from mtrec.features.offsets import RunningMean
from mtrec.files import SUMS, save_arrays, write_sums, write_text
from mtrec.fusion.choice import Choice
from mtrec.fusion.domain import NETWORKS, Fused, uses
from mtrec.fusion.listwise import Ranker
from mtrec.fusion.members import TWIN, Bench
from mtrec.models.twins import JOINT
from mtrec.paths import Paths
from mtrec.peers.base import Specialist
from mtrec.peers.running_mean import RunningMeans
from mtrec.serving.manifest import check_list

Array = np.ndarray
CHOICES, EVENTS, MEANS, RANKER = "fusion.json", "events", "means", "ranker"
PEERS = "mtrec.peers."


@dataclass(frozen=True)
class Means:
    """Running means of a task as of now: what they learnt, and what each user and item adds."""

    learnt: RunningMean
    user: Array
    item: Array


@dataclass(frozen=True)
class Kept:
    """What :func:`save` wrote.

    Attributes:
        choices: who answers each task that the joint model does not answer alone.
        specialists: by task and name.
        events: what users met; None where nobody needs all of it.
        means: running means by task, where a member needs them.
        model: digest of the list of files of the model that it was made for, if that had one.
    """

    choices: dict[str, Choice]
    specialists: dict[tuple[str, str], Specialist]
    events: Events | None
    means: dict[str, Means]
    model: str = ""


def save(bench: Bench, fused: Mapping[str, Fused], folder: Path) -> None:
    """Write what requests need, after whatever was there before is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plain: dict[str, Any] = {}
    means: dict[str, Array] = {}
    needs_events = False
    for task, one in fused.items():
        used = sorted(uses(one.served))
        specialists = {n: one.fitted[n].fitted for n in used if n not in NETWORKS}
        for name, fitted in specialists.items():
            assert fitted is not None
            save_arrays(folder / f"{task}-{name}.npz", fitted.state())
            needs_events |= bool(bench.assembly.types[task].candidates)
            if isinstance(fitted, RunningMeans):
                means |= {f"{task}/{key}": v for key, v in _latest(bench, task).items()}
        plain[task] = {
            "chosen": one.served.chosen,
            "weights": {n: w for n, w in one.served.weights.items() if n in used},
            "bias": one.served.bias, "ranker": one.served.ranker is not None,
            "classes": {n: _place(fitted) for n, fitted in specialists.items()},
        }  # fmt: skip
        if one.served.ranker is not None:
            save_arrays(folder / f"{task}.{RANKER}.npz", one.served.ranker.state())
    if needs_events:
        events = usable_events(bench.tables, bench.assembly.encoder)
        save_arrays(folder / f"{EVENTS}.npz", vars(events))
    if means:
        save_arrays(folder / f"{MEANS}.npz", means)
    whole = {"model": _digest(bench.trained), "tasks": plain}
    write_text(folder / CHOICES, json.dumps(whole, indent=2) + "\n")
    write_sums(folder)


def current(paths: Paths) -> tuple[Kept | None, str]:
    """What :func:`save` wrote for the model that is there, if it did; else a sentence why not.

    Raises:
        ValueError: see :func:`load`.
    """
    kept = load(paths.fusion)
    if kept and kept.model and kept.model != _digest(paths.trained):
        return None, (
            f"{paths.fusion}: was made for an earlier model, so the joint model answers every "
            f"task. Run the stage fusion: `make repro DOMAIN={paths.domain}`."
        )
    return kept, ""


def _digest(folder: Path) -> str:
    """Digest of a folder's list of files, empty without one."""
    file = folder / SUMS
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def load(folder: Path) -> Kept | None:
    """Undo :func:`save`; None where nothing was saved.

    Raises:
        ValueError: a file is damaged, or of an earlier version of these systems.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    mend = f"Run the stage fusion again: `make repro DOMAIN={folder.parent.name}`."
    for name in (CHOICES, SUMS):  # without a list, nobody could tell who wrote the rest
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: missing. {mend}")
    check_list(folder, mend)
    try:
        return _read_all(folder)
    except (TypeError, KeyError, OSError, BadZipFile, ImportError, AttributeError) as error:
        raise ValueError(
            f"{folder}: damaged, or of an earlier version ({type(error).__name__}: {error}). {mend}"
        ) from None


def _read_all(folder: Path) -> Kept:
    whole = json.loads((folder / CHOICES).read_text(encoding="utf-8"))
    choices, specialists = {}, {}
    for task, one in whole["tasks"].items():
        file = folder / f"{task}.{RANKER}.npz"
        ranker = Ranker.restored(_read(file)) if one["ranker"] else None
        choices[task] = Choice(
            one["chosen"], one["weights"], tuple(one["bias"]), ranker=ranker
        )  # fmt: skip
        for name, place in one["classes"].items():
            specialists[task, name] = _class(place).restored(_read(folder / f"{task}-{name}.npz"))
    events, means = folder / f"{EVENTS}.npz", folder / f"{MEANS}.npz"
    return Kept(
        {task: one for task, one in choices.items() if one.chosen != JOINT},
        specialists,
        Events(**_read(events)) if events.is_file() else None,
        _means(_read(means)) if means.is_file() else {},
        whole["model"],
    )


def networks(kept: Kept) -> tuple[str, ...]:
    """Tasks whose answer asks the twin."""
    return tuple(task for task, choice in kept.choices.items() if TWIN in uses(choice))


def _latest(bench: Bench, task: str) -> dict[str, Array]:
    """Running means as of now, as arrays."""
    kind, encoder = bench.assembly.types[task], bench.assembly.encoder
    rows, _ = offsets.label_rows(task, kind, bench.tasks[task].view, bench.data, bench.tables)
    learnt = offsets.fit(rows)
    user, item = learnt.latest(rows, len(encoder.user.ids), len(encoder.item.ids))
    plain = {one.name: getattr(learnt, one.name) for one in fields(learnt)}
    numbers = {k: np.array(np.nan if v is None else v) for k, v in plain.items()}
    return {**numbers, "user": user, "item": item}


def _means(arrays: Mapping[str, Array]) -> dict[str, Means]:
    found: dict[str, dict[str, Array]] = {}
    for key, values in arrays.items():
        task, name = key.rsplit("/", 1)
        found.setdefault(task, {})[name] = values
    return {
        task: Means(
            RunningMean(**{one.name: _number(parts[one.name]) for one in fields(RunningMean)}),
            parts["user"], parts["item"],
        )
        for task, parts in found.items()
    }  # fmt: skip


def _number(values: Array) -> Any:
    """A tuple, a number, or None."""
    if values.ndim:
        return tuple(values.tolist())
    return None if np.isnan(values) else float(values)


def _place(fitted: Specialist | None) -> str:
    return f"{type(fitted).__module__}:{type(fitted).__qualname__}"


def _class(place: str) -> type[Specialist]:
    """The class of a saved specialist, which is one of our peers."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name) if module.startswith(PEERS) else None
    if not (isinstance(found, type) and issubclass(found, Specialist)):
        raise ValueError(
            f"{CHOICES}: '{place}' is no specialist of {PEERS[:-1]}; run the stage fusion again."
        )
    return found


def _read(file: Path) -> dict[str, Array]:
    with np.load(file) as arrays:
        return dict(arrays)
