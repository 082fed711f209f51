"""What a peer is asked, and the same features as plain tables for it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mtrec.features.dataset import Dataset
from mtrec.features.encoder import Encoder
from mtrec.features.fields import Field, Side
from mtrec.features.visibility import Visible
from mtrec.metrics.ranks import ranks
from mtrec.registry import METRICS
from mtrec.tasks.base import TaskType

Array = np.ndarray
MODULES = {"lightfm": "lightfm-next", "catboost": "catboost"}


@dataclass(frozen=True)
class Question:
    """One task as a peer sees it: fit on ``training``, choose on ``validation``, predict ``test``.

    Attributes:
        kind: fitted type of the task.
        encoder: features, all of them.
        seen: which of them the task may use.
        training: training rows with the task's label as ``label``.
        validation: validation rows.
        test: test rows.
        cold: ``item`` or ``user``, the side whose entities are held out.
        seed: of every draw.
    """

    kind: TaskType
    encoder: Encoder
    seen: Visible
    training: Rows
    validation: Rows
    test: Rows
    cold: str
    seed: int

    @property
    def candidates(self) -> Side:
        """Users or items, whichever a ranking task has compete."""
        of_users = self.kind.candidates == "users"
        return self.encoder.user if of_users else self.encoder.item

    def without_ids(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of features but for the cold side's ids."""
        return tuple(name for name in names if name != f"{self.cold}_id")


@dataclass(frozen=True)
class Rows:
    """Rows with a known label.

    Attributes:
        inputs: the model's inputs, see :meth:`mtrec.features.encoder.Encoder.inputs`.
        label: encoded labels, ``(n, ...)``.
        out: of a ranking task, candidates that do not compete, ``(n, candidates)`` bool.
    """

    inputs: dict[str, Array]
    label: Array
    out: Array | None = None

    @classmethod
    def of(cls, data: Dataset, task: str, out: Array | None = None) -> Rows:
        """The rows of ``data`` with a label of ``task``; ``out`` is for these alone."""
        known = data.masks[task]
        return cls({n: v[known] for n, v in data.inputs.items()}, data.labels[task][known], out)


def judge(question: Question, predictions: Array) -> float:
    """The task's main metric on the validation rows, negative if lower is better.

    Args:
        question: what was asked.
        predictions: of the validation rows, in the form of the task type's ``predict``.
    """
    rows, family = question.validation, METRICS[question.kind.metrics]
    if rows.out is not None:
        predictions = ranks(predictions, rows.label, rows.out)
    value = family.values(rows.label, predictions)[family.main]
    return value if family.higher_is_better[family.main] else -value


def require(name: str) -> Any:
    """Import a peer's package.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(
            f"the peer {MODULES[name]} is not installed and is left out of the cold-start study. "
            f"Install it: `pip install {MODULES[name]}`."
        ) from None


def frame(question: Question, rows: Rows) -> pd.DataFrame:
    """One line of plain columns per row: integer categories, numbers, text components, context.

    The cold side's ids are not among them: they are unknown in every held-out row.
    """
    seen, encoder = question.seen, question.encoder
    users, items = (question.without_ids(names) for names in (seen.user, seen.item))
    parts = [
        entity_frame(encoder.user, users).iloc[rows.inputs["user"]].add_prefix("user "),
        entity_frame(encoder.item, items).iloc[rows.inputs["item"]].add_prefix("item "),
    ]
    for side, scaler in encoder.contexts.items():
        values = _missing(rows.inputs[f"{side}_context"])
        names = getattr(seen, f"{side}_context")
        parts.append(pd.DataFrame(values, columns=list(scaler.columns))[list(names)])
    return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)


def entity_frame(side: Side, names: tuple[str, ...]) -> pd.DataFrame:
    """The features of a side's rows, row 0 the unknown one; missing numbers are NaN."""
    rows = len(side.ids) + 1
    columns: dict[str, Array] = {}
    for field in side.fields:
        if field.name not in names:
            continue
        if field.kind == "categorical":
            columns[field.name] = field.table
        elif field.kind == "numeric":
            columns[field.name] = _missing(field.table[:, None])[:, 0]
        else:
            values = _dense(field)
            columns |= {f"{field.name} {k}": values[:, k] for k in range(values.shape[1])}
    return pd.DataFrame(columns, index=range(rows))


def entity_matrix(side: Side, names: tuple[str, ...] | None = None) -> sparse.csr_matrix:
    """The features of a side's rows ``(rows, features)``, each feature of about unit length.

    The last one says that nothing is known: rows without any other feature share it, as rare ids
    share an embedding in our models. (LightFM divides by the number of features of an interaction.)
    """
    blocks = [_block(f) for f in side.fields if names is None or f.name in names]
    known = sparse.hstack([sparse.csr_matrix((len(side.ids) + 1, 0)), *blocks], format="csr")
    nothing = sparse.csr_matrix((known.getnnz(axis=1) == 0)[:, None])
    return sparse.hstack([known, nothing], format="csr", dtype="float32")


def _block(field: Field) -> sparse.spmatrix:
    if field.kind == "categorical":
        known = np.flatnonzero(field.table)
        one = np.ones(len(known), dtype="float32")
        return sparse.csr_matrix(
            (one, (known, field.table[known])), (len(field.table), field.size), dtype="float32"
        )
    values = field.table if field.vectors is None else field.vectors[field.table]
    length = np.linalg.norm(values, axis=1)
    typical = length[length > 0].mean() if (length > 0).any() else 1.0
    return sparse.csr_matrix(values / typical)


def _dense(field: Field) -> Array:
    """Values of a multi-hot or text field by row; text that is missing is NaN."""
    if field.vectors is None:
        return field.table
    return np.where((field.table == 0)[:, None], np.nan, field.vectors[field.table])


def _missing(values: Array) -> Array:
    """Standardised values ``(n, columns)`` from values and flags ``(n, columns, 2)``."""
    return np.where(values[..., 1] > 0, np.nan, values[..., 0])
