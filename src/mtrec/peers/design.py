"""What a task's head sees as one sparse matrix, for peers that are linear or factorise.

Blocks: features of the user and of the item (ids, categories, numbers, texts, graph), context, what
the user met lately, and the running means of the label, each of about unit length per row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from mtrec.features.events import training_events
from mtrec.features.fields import Field, Side
from mtrec.peers.base import PeerTask, Question
from mtrec.peers.columns import entity_matrix


def reads_means(task: PeerTask) -> bool:
    """Whether running means are columns: not without a split in time, where a row's own label is
    what its mean lacks."""
    _, in_time = training_events(task.tables.events, task.tables.examples)
    return task.running_mean is not None and in_time


def design(
    asked: Question, means: bool, components: int | None = None, history: bool = True
) -> tuple[sparse.csr_matrix, list[int]]:
    """The matrix ``(n, columns)`` float32, and the number of columns of each block.

    Args:
        asked: the rows.
        means: whether running means are among the columns, see :func:`reads_means`.
        components: leading ones of a text's or a graph's vector; None for all.
        history: whether the user's last events are read.

    Raises:
        ValueError: there is no column.
    """
    parts = [part for part in _blocks(asked, means, components, history) if part.shape[1]]
    if not parts:
        raise ValueError("no feature that the head may see becomes a column; drop this peer.")
    whole = sparse.hstack(parts, format="csr", dtype="float32")
    return whole, [part.shape[1] for part in parts]


def _blocks(
    asked: Question, means: bool, components: int | None, history: bool
) -> Iterator[sparse.csr_matrix]:
    seen, encoder = asked.seen, asked.encoder
    for side, rows, names in (
        (encoder.user, asked.user, seen.user),
        (encoder.item, asked.item, seen.item),
    ):
        for name in names:
            yield _field(side, side.field(name), components)[rows]
    for side_name, scaler in encoder.contexts.items():
        names = getattr(seen, f"{side_name}_context")
        kept = [k for k, name in enumerate(scaler.columns) if name in names]
        values = asked.context(side_name)[:, kept]
        yield sparse.csr_matrix(values.reshape(len(values), -1))
    if seen.history and history:
        yield from _history(asked)
    if means:
        assert asked.running_mean is not None
        yield sparse.csr_matrix(asked.running_mean.reshape(len(asked), -1))


def _field(side: Side, field: Field, components: int | None = None) -> sparse.csr_matrix:
    table = entity_matrix(side, (field.name,))
    return table if field.vectors is None else table[:, :components]


def _history(asked: Question) -> Iterator[sparse.csr_matrix]:
    """Mean features of the last items but vectors, those of the very last, and their events."""
    items, values = asked.histories
    known = items > 0
    count = np.maximum(known.sum(axis=1), 1)
    row = np.repeat(np.arange(len(items)), known.sum(axis=1))
    bag = sparse.csr_matrix(
        (np.repeat(count**-0.5, known.sum(axis=1)), (row, items[known])),
        shape=(len(items), len(asked.encoder.item.ids) + 1),
    )
    for field in asked.encoder.item.fields:
        if field.vectors is not None:
            continue
        table = _field(asked.encoder.item, field)
        yield bag @ table
        yield table[items[:, -1]]
    mean = (values * known[:, :, None]).sum(axis=1) / count[:, None]
    yield sparse.csr_matrix(np.column_stack([mean, values[:, -1], np.log1p(known.sum(axis=1))]))
