"""The test rows of a domain, and what systems answer on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.features import ablation
from mtrec.features.assemble import Assembly
from mtrec.features.candidates import left_out
from mtrec.features.dataset import Dataset
from mtrec.metrics.ranks import ranks
from mtrec.models.predict import predict
from mtrec.models.twins import JOINT
from mtrec.peers import baselines
from mtrec.peers.base import PeerTask, TooMany, answers
from mtrec.registry import PEERS

Array = np.ndarray
SINGLE, SELF_TAUGHT, BASELINE = "single", "self_taught", "baseline"
DIFFERENCES = {
    "difference": (JOINT, SINGLE),
    "control_difference": (JOINT, SELF_TAUGHT),
    "teacher_difference": (SELF_TAUGHT, SINGLE),
    "text_difference": (JOINT, ablation.WITHOUT_TEXT),
    "words_difference": (JOINT, ablation.WITHOUT_WORDS),
    "text_and_words_difference": (JOINT, ablation.WITHOUT_TEXT_AND_WORDS),
    "graph_difference": (JOINT, ablation.WITHOUT_GRAPH),
    "baseline_difference": (JOINT, BASELINE),
}


@dataclass(frozen=True)
class Predictions:
    """Test rows of one task.

    Attributes:
        type: family of metrics of the task's type.
        rows: positions in the examples table.
        labels: encoded labels.
        systems: predictions (ranks for ranking) by system: networks, baseline, the task's peers.
        clusters: user of each row (item where there is no user).
        peers: names of the peers among the systems.
    """

    type: str
    rows: Array
    labels: Array
    systems: dict[str, Array]
    clusters: Array
    peers: tuple[str, ...] = ()

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        """Paired differences to report: name -> (system, other)."""
        pairs = DIFFERENCES | {f"{name}_difference": (JOINT, name) for name in self.peers}
        return {name: pair for name, pair in pairs.items() if self.systems.keys() >= {*pair}}


@dataclass(frozen=True)
class HeldOut:
    """The test rows of all tasks.

    Attributes:
        assembly: task types and features.
        data: all examples.
        tables: the four tables.
        tasks: task settings by name.
    """

    assembly: Assembly
    data: Dataset
    tables: Any
    tasks: Mapping[str, Any]

    def rows(self, task: str) -> Array:
        """Positions of the test rows whose label of a task is known."""
        test = (self.tables.examples["split"] == "test").to_numpy()
        return np.flatnonzero(test & self.data.masks[task])

    def answers(self, model: keras.Model, tasks: Sequence[str]) -> dict[str, Array]:
        """What a model of some tasks says of each one's rows: predictions, or ranks."""
        test = np.flatnonzero((self.tables.examples["split"] == "test").to_numpy())
        asked = self.rows(tasks[0]) if len(tasks) == 1 else test
        logits = predict(model, self.data.take(asked).inputs)
        found = {}
        for task in tasks:
            kept = np.isin(asked, self.rows(task), assume_unique=True)
            kind = self.assembly.types[task]
            found[task] = self._placed(task, ops.convert_to_numpy(kind.predict(logits[task][kept])))
        return found

    def others(self, task: str, seed: int) -> dict[str, Array]:
        """What the baseline and the task's peers say of its rows."""
        assembly, data, settings = self.assembly, self.data, self.tasks[task]
        means = baselines.baseline(task, assembly.types, data, self.tables, self.tasks)
        asked = PeerTask(
            task, settings, assembly.types[task], self.tables, assembly.encoder,
            data.labels[task], data.masks[task], seed, means if settings.offset else None,
        )  # fmt: skip
        rows = self.rows(task)
        found = {BASELINE: means[rows]}
        for peer in settings.peers:
            try:
                found[peer] = answers(PEERS[peer](asked), asked, rows)
            except TooMany as error:
                print(f"It steps aside: {error}")
        return {system: self._placed(task, scores) for system, scores in found.items()}

    def predictions(self, task: str, systems: Mapping[str, Array]) -> Predictions:
        """A task's rows with what systems say of them."""
        rows = self.rows(task)
        ids = self.tables.examples.iloc[rows]
        clusters = ids["user_id"].where(ids["user_id"].notna(), ids["item_id"]).to_numpy()
        return Predictions(
            self.assembly.types[task].metrics, rows, self.data.labels[task][rows], dict(systems),
            clusters.astype(str), tuple(p for p in self.tasks[task].peers if p in systems),
        )  # fmt: skip

    def _placed(self, task: str, found: Array) -> Array:
        """Scores of candidates as ranks of the one that was chosen; other predictions as given."""
        if task not in self._out:
            return found
        return ranks(found, self.data.labels[task][self.rows(task)], self._out[task])

    @cached_property
    def _out(self) -> dict[str, Array]:
        """Candidates that do not compete, by ranking task."""
        return {
            task: left_out(
                kind, self.assembly.encoder, self.tables, self.tasks[task].label, self.rows(task)
            )
            for task, kind in self.assembly.types.items()
            if kind.candidates
        }
