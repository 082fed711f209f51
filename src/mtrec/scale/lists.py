"""The best items of many users with what every task says of them, a table at a time.

The answers are those of :func:`mtrec.load`. Every call of a model has the same number of rows, the
last one padded: TensorFlow computes a shape that it knows in another order than one that it does
not, and a list must not depend on which lists its process has made before.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtrec.fusion.product import FusedRecommender
from mtrec.registry import Form
from mtrec.serving.recommender import Recommender

Array = np.ndarray
PAIRS = 2048  # rows of a call that asks about pairs
USERS = 256  # rows of a call that ranks the catalogue, and
SCORES = 1 << 22  # scores of such a call at most, which is what memory is needed for
TYPES = {Form.CLASS: pa.string(), Form.LEVEL: pa.float64(), Form.SET: pa.list_(pa.string())}
GRADED = (Form.BIT, Form.NUMBER, Form.LEVEL)


@dataclass(frozen=True)
class Lists:
    """Lists of a domain's users.

    Attributes:
        recommender: the trained domain.
        k: items per user.
        size: users per table.
        among: items that compete in a domain without a task that ranks items.
    """

    recommender: Recommender
    k: int
    size: int
    among: int = 2000

    def __call__(self, part: int) -> bytes:
        """Parquet of one part of the users, in the order of training's table of users."""
        users = self.recommender.assembly.encoder.user.ids
        file = io.BytesIO()
        pq.write_table(self.table(part * self.size, min((part + 1) * self.size, len(users))), file)
        return file.getvalue()

    @cached_property
    def by(self) -> str:
        """The task that orders the items: the first that ranks them, else the first of numbers.

        Raises:
            ValueError: there is none.
        """
        assembly = self.recommender.assembly
        ranks = [name for name, kind in assembly.types.items() if kind.candidates == "items"]
        graded = [
            name
            for name, kind in assembly.types.items()
            if kind.form in GRADED and assembly.seen[name].item and not kind.candidates
        ]
        if not ranks + graded:
            raise ValueError(
                f"domain '{self.recommender.domain}' has no task that could put items in order; "
                "add one of type ranking, binary, regression or ordinal that sees the item."
            )
        return (ranks + graded)[0]

    @cached_property
    def items(self) -> Array:
        """Positions of the items that compete: all, or where pairs are asked those met most."""
        encoder, events = self.recommender.assembly.encoder, self.recommender.events
        known = len(encoder.item.ids)
        if self._ranks or known <= self.among:
            return np.arange(known)
        counts = np.bincount(events.item[1:], minlength=known + 1)[1:]
        return np.sort(np.argsort(-counts, kind="stable")[: self.among])

    def table(self, first: int, end: int) -> pa.Table:
        """Lists of the users from ``first`` to ``end``, by position; best items first."""
        encoder = self.recommender.assembly.encoder
        found = []
        for at, own in enumerate(self._scores(encoder.user.ids[first:end])):
            met = self.recommender.met_by(first + at + 1)
            own[np.isin(self.items, met - 1)] = -np.inf
            best = top(own, self.k)
            found.append(
                (np.full(len(best), first + at), np.arange(len(best)) + 1, best, own[best])
            )
        user, rank, best, score = (np.concatenate(column) for column in zip(*found, strict=True))
        ids = [np.asarray(side.ids, dtype=object) for side in (encoder.user, encoder.item)]
        pairs = pd.DataFrame({"user_id": ids[0][user], "item_id": ids[1][self.items[best]]})
        columns = {
            "user_id": pa.array(pairs["user_id"], pa.string()),
            "rank": pa.array(rank, pa.int32()),
            "item_id": pa.array(pairs["item_id"], pa.string()),
            "score": pa.array(score.astype("float32")),
        }
        return pa.table(columns | self._answers(pairs))

    def _answers(self, pairs: pd.DataFrame) -> dict[str, pa.Array]:
        """What every task says of the pairs, as :meth:`Recommender.score` does."""
        found = in_steps(self._others, pairs, min(PAIRS, self.size * self.k))
        answers = {}
        for name, kind in self._others.assembly.types.items():
            said = kind.answers(found[name])
            form = TYPES.get(kind.form, pa.float32())
            if pa.types.is_string(form):
                said = [str(one) for one in said]
            answers[name] = pa.array(
                np.asarray(said, dtype="float64") if kind.form in GRADED else said
            ).cast(form)
        return answers

    def _scores(self, users: tuple[str, ...]) -> Iterator[Array]:
        """Scores of the competing items, ``(items,)`` float64 per user; few are there at once."""
        kind = self.recommender.assembly.types[self.by]
        if self._ranks:
            rows = max(1, min(USERS, self.size, SCORES // len(self.items)))
            for start in range(0, len(users), rows):
                some = users[start : start + rows]
                asked = pd.DataFrame({"user_id": some, "item_id": [None] * len(some)}, dtype=object)
                yield from in_steps(self._ranking, asked, rows)[self.by].astype("float64")
            return
        items = np.asarray(self.recommender.assembly.encoder.item.ids, dtype=object)[self.items]
        for user in users:
            asked = pd.DataFrame({"user_id": user, "item_id": items}, dtype=object)
            said = in_steps(self._ranking, asked, PAIRS)[self.by]
            if kind.form is Form.LEVEL:
                said = said @ np.asarray(kind.levels)  # type: ignore[attr-defined]
            yield said.reshape(len(items)).astype("float64")

    @property
    def _ranks(self) -> bool:
        return bool(self.recommender.assembly.types[self.by].candidates)

    @cached_property
    def _ranking(self) -> Recommender:
        return only(self.recommender, {self.by})

    @cached_property
    def _others(self) -> Recommender:
        """All tasks but those that rank: a score for every candidate of every pair is not asked."""
        types = self.recommender.assembly.types
        return only(self.recommender, {n for n, kind in types.items() if not kind.candidates})


def only(recommender: Recommender, tasks: Collection[str]) -> Recommender:
    """The part of a recommender that answers some of its tasks."""
    types = {name: k for name, k in recommender.assembly.types.items() if name in tasks}
    assembly = replace(recommender.assembly, types=types)
    parts: dict[str, Any] = {"model": recommender.model.only(*types), "assembly": assembly}
    if isinstance(recommender, FusedRecommender) and recommender.kept:
        choices = {name: one for name, one in recommender.kept.choices.items() if name in tasks}
        parts["kept"] = replace(recommender.kept, choices=choices)  # no twin of another task loads
    part = replace(recommender, **parts)
    vars(part)["head_inputs"] = recommender.head_inputs  # networks want the inputs of all tasks
    return part


def in_steps(recommender: Recommender, pairs: pd.DataFrame, rows: int) -> dict[str, Array]:
    """Raw predictions by task for any number of pairs, of which each call gets ``rows``."""
    parts = []
    for start in range(0, max(len(pairs), 1), rows):
        some = pairs.iloc[start : start + rows].reset_index(drop=True)
        again = np.resize(np.arange(max(len(some), 1)), rows)  # of no pairs, ids that are missing
        full = some.reindex(again).reset_index(drop=True)
        parts.append({n: found[: len(some)] for n, found in recommender.predict(full).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def top(scores: Array, k: int) -> Array:
    """Positions of the ``k`` greatest finite scores, greatest first; of the same, the first.

    Example:
        >>> top(np.array([0.5, -np.inf, 0.5, 2.0]), 3)
        array([3, 0, 2])
    """
    k = min(k, int(np.isfinite(scores).sum()))
    if not k:
        return np.zeros(0, dtype="int64")
    known = np.where(np.isfinite(scores), scores, -np.inf)
    some = np.flatnonzero(known >= np.partition(known, -k)[-k])
    return some[np.argsort(-known[some], kind="stable")][:k]
