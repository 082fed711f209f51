"""Among what an answer is divided: features, past events, context, readings, running means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtrec.features.assemble import Assembly
from mtrec.models.history import HistoryEncoder
from mtrec.models.model import MultiTaskModel

HISTORY, OFFSET, POPULARITY, LINKS = "history", "running mean", "popularity", "links"
CANDIDATE = "candidate"
KINDS = ("ids", "columns", "text", "graph", "history", "context", "prior")
OF_FIELD = {"categorical": "columns", "multi": "columns", "numeric": "columns"}


@dataclass(frozen=True)
class Group:
    """One feature as people name it, or the whole history.

    Attributes:
        name: of the feature; with its side in front where both sides have one of that name.
        kind: one of ``KINDS`` or the name of a source of vectors.
        columns: of the coefficients that it owns; more than one for the history alone.
    """

    name: str
    kind: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Players:
    """All groups, and which coefficient each slot of each embedded part has.

    Attributes:
        groups: what an answer is divided among.
        slots: of each part, the coefficient of each of its slots, ``(slots,)``.
        count: number of coefficients.
    """

    groups: tuple[Group, ...]
    slots: dict[str, np.ndarray]
    count: int

    @property
    def history(self) -> tuple[int, ...]:
        """Coefficients of the past events, oldest first."""
        return next((g.columns for g in self.groups if g.name == HISTORY), ())

    def by_group(self, values: np.ndarray) -> np.ndarray:
        """Sums over each group's coefficients, ``(..., players)`` -> ``(..., groups)``."""
        parts = [values[..., list(group.columns)].sum(axis=-1) for group in self.groups]
        return np.stack(parts, axis=-1)


class _Columns:
    """Coefficients that are given out one after the other."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], int] = {}
        self.kinds: dict[tuple[str, str], str] = {}

    def of(self, side: str, name: str, kind: str) -> int:
        """The coefficient of a feature, the same one whenever it is asked for."""
        self.kinds.setdefault((side, name), kind)
        return self.names.setdefault((side, name), len(self.names))


def make_players(assembly: Assembly, model: MultiTaskModel) -> Players:
    """The players of a model: one coefficient for each feature and each past event."""
    encoder, columns = assembly.encoder, _Columns()
    slots: dict[str, list[int]] = {}
    side: str
    for side in (one for one in ("user", "item") if one in model.encoders):
        fields = getattr(encoder, side).fields
        slots[side] = [columns.of(side, f.name, _kind(f.name, f.kind)) for f in fields]
    if any(isinstance(layer, HistoryEncoder) for layer in model.layers):
        places = range(encoder.history_length)
        slots[HISTORY] = [columns.of(HISTORY, str(n), HISTORY) for n in places]
    for side, scaler in encoder.contexts.items():
        slots[f"{side}_context"] = [columns.of(side, c, "context") for c in scaler.columns]
    for side, reader in model.readers.items():
        slots[f"{side}_read"] = [columns.of(side, "text", "text")] * reader.tasks
    for task in model.output:
        kind = assembly.types[task]
        if task in assembly.offsets:
            slots[f"{task}_offset"] = [columns.of("", OFFSET, "prior")] * kind.outputs
        if kind.candidates and hasattr(model.heads[task], "query"):
            side = kind.candidates.removesuffix("s")
            of = "item" if side == "item" else CANDIDATE
            fields = getattr(encoder, side).fields
            own = [columns.of(of, f.name, _kind(f.name, f.kind)) for f in fields]
            slots[f"{task}_candidate"] = own
            slots[f"{task}_bias"] = [columns.of("", POPULARITY, "prior")]
            if hasattr(model.heads[task], "evidence"):
                width = model.heads[task].kinds.shape[-1]
                slots[f"{task}_links"] = [columns.of("", LINKS, "graph")] * width
    found = {part: np.array(own, dtype="int32") for part, own in slots.items() if len(own)}
    return Players(_groups(columns), found, len(columns.names))


def _kind(name: str, kind: str) -> str:
    return "ids" if name in ("user_id", "item_id") else OF_FIELD.get(kind, kind)


def _groups(columns: _Columns) -> tuple[Group, ...]:
    names = [name for side, name in columns.names if side not in (HISTORY, CANDIDATE)]
    found: list[Group] = []
    events = tuple(at for (side, _), at in columns.names.items() if side == HISTORY)
    for (side, name), at in columns.names.items():
        if side == HISTORY:
            if at == events[0]:
                found.append(Group(HISTORY, HISTORY, events))
            continue
        twice = names.count(name) > 1 or side == CANDIDATE or name == "text"
        shown = f"{side} {name}" if twice and side else name
        found.append(Group(shown, columns.kinds[side, name], (at,)))
    return tuple(found)


def names(groups: Sequence[Group]) -> list[str]:
    """Names of groups."""
    return [group.name for group in groups]
