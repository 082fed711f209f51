"""The features of a task as plain columns, or as a sparse matrix, for peers that read tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from mtrec.features.fields import Field, Side
from mtrec.peers.base import Array, PeerTask


def frame(asked: PeerTask, rows: Array) -> pd.DataFrame:
    """One line of plain columns per row: integer categories, numbers, text components, context.

    The cold side's ids are not among them: they are unknown in every held-out row.
    """
    seen, encoder = asked.seen, asked.encoder
    users, items = (asked.without_ids(names) for names in (seen.user, seen.item))
    parts = [
        entity_frame(encoder.user, users).iloc[asked.entities["user"][rows]].add_prefix("user "),
        entity_frame(encoder.item, items).iloc[asked.entities["item"][rows]].add_prefix("item "),
    ]
    for side, scaler in encoder.contexts.items():
        values = _missing(encoder.context(side, asked.tables.examples.iloc[rows]))
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
    Made once for a side; not to be changed.
    """
    key = ("entity_matrix", names)
    if key not in side.derived:
        side.derived[key] = _entity_matrix(side, names)
    return side.derived[key]


def _entity_matrix(side: Side, names: tuple[str, ...] | None) -> sparse.csr_matrix:
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
