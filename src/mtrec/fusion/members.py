"""Who may answer a task: the joint model, its twin, and every peer that learns such a task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from mtrec.features.assemble import Assembly
from mtrec.features.candidates import left_out
from mtrec.features.dataset import Dataset
from mtrec.models.predict import compile_forward, predict
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT
from mtrec.peers import baselines
from mtrec.peers.base import NoAnswer, PeerTask, Specialist, answers
from mtrec.registry import PEERS
from mtrec.tables.schema import Tables

Array = np.ndarray
TWIN = "single"
BATCH = 4096  # rows at a time
CHOOSING = 4000  # validation rows on which rankings are fused, at most


@dataclass(frozen=True)
class Member:
    """One who answers a task.

    Attributes:
        name: ``joint``, ``single`` or a peer's.
        answer: positions of examples -> predictions in the form of the task type's ``predict``.
        fitted: what can be saved and asked again; None for networks, and where nothing can.
        seconds: that fitting took.
    """

    name: str
    answer: Callable[[Array], Array]
    fitted: Specialist | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Bench:
    """A domain's rows and trained models.

    Attributes:
        assembly: task types and features.
        data: all examples.
        tables: the four tables.
        tasks: task settings by name.
        trained: folder of the trained models.
        seed: for members that draw.
    """

    assembly: Assembly
    data: Dataset
    tables: Tables
    tasks: Mapping[str, Any]
    trained: Path
    seed: int
    _networks: dict[str, Any] = field(default_factory=dict, repr=False)

    def rows(self, task: str, split: str) -> Array:
        """Positions of the labelled examples of a split."""
        own = (self.tables.examples["split"] == split).to_numpy()
        return np.flatnonzero(own & self.data.masks[task])

    def choosing(self, task: str) -> Array:
        """Validation rows on which members are fused: all, or some of many rankings."""
        rows = self.rows(task, "validation")
        if self.assembly.types[task].candidates and len(rows) > CHOOSING:
            drawn = np.random.default_rng(self.seed).permutation(len(rows))[:CHOOSING]
            rows = rows[np.sort(drawn)]
        return rows

    def clusters(self, rows: Array) -> Array:
        """User of each row; its item where there is no user."""
        ids = self.tables.examples.iloc[rows]
        found = ids["user_id"].where(ids["user_id"].notna(), ids["item_id"])
        return found.to_numpy().astype(str)

    def rivals(self, task: str, rows: Array) -> Array:
        """Candidates that do not compete in some rows, ``(n, candidates)`` bool."""
        kind = self.assembly.types[task]
        return left_out(kind, self.assembly.encoder, self.tables, self.tasks[task].label, rows)

    def network(self, name: str, task: str, rows: Array) -> Array:
        """What a trained model says of a task's rows."""
        if name not in self._networks:
            model = load_model(self.trained / f"{name}.keras")
            self._networks[name] = model, compile_forward(model)
        model, forward = self._networks[name]
        whole = np.resize(rows, -(-len(rows) // BATCH) * BATCH)  # or each size is compiled anew
        logits = predict(model, self.data.take(whole).inputs, BATCH, forward)[task]
        return ops.convert_to_numpy(self.assembly.types[task].predict(logits[: len(rows)]))

    def question(self, task: str) -> PeerTask:
        """A task as peers learn it."""
        assembly, data, settings = self.assembly, self.data, self.tasks[task]
        kind, means = assembly.types[task], None
        if not kind.candidates:
            means = baselines.baseline(task, assembly.types, data, self.tables, self.tasks)
        return PeerTask(
            task, settings, kind, self.tables, assembly.encoder, data.labels[task],
            data.masks[task], self.seed, means if settings.offset else None, means=means,
        )  # fmt: skip


def members(
    bench: Bench, task: str, peers: Sequence[str] | None = None
) -> tuple[list[Member], list[str]]:
    """Fit all who can answer a task.

    Args:
        bench: rows and models.
        task: its name.
        peers: names to ask; if None those of :attr:`mtrec.registry.Peers.members` and what
            ``peers:`` of the task names.

    Returns:
        The networks, then the peers that learn such a task; and a sentence for each that failed.
    """
    found = [
        Member(JOINT, lambda rows: bench.network(JOINT, task, rows)),
        Member(TWIN, lambda rows: bench.network(task, task, rows)),
    ]
    asked, notes = bench.question(task), []
    if peers is None:
        peers = tuple(dict.fromkeys((*PEERS.members, *bench.tasks[task].peers)))
    for name in peers:
        try:
            found.append(_fitted(name, asked))
        except NoAnswer:
            continue
        except Exception as error:  # whatever a package raises: the others answer without it
            notes.append(f"{task}: {name} steps aside: {_sentence(error)}")
    return found, notes


def _fitted(name: str, asked: PeerTask) -> Member:
    began = time.perf_counter()
    peer = PEERS[name](asked)
    seconds = time.perf_counter() - began
    fitted = peer if isinstance(peer, Specialist) else None
    return Member(name, lambda rows: answers(peer, asked, rows), fitted, seconds)


def _sentence(error: Exception) -> str:
    """What went wrong, on one line that ends in a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
