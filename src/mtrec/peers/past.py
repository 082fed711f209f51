"""Who met whom: what ranking peers learn from, and what a row's user met before it.

Where items compete, a user's past is the events strictly before the row. Where users compete, it is
the training rows that say whom he chose; when is not read, since links often have no time.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mtrec.features.events import Events, make_events, training_events
from mtrec.peers.base import Array, NoAnswer, PeerTask, Question, TooMany
from mtrec.registry import LARGEST, Form


def require(task: PeerTask, peer: str, holds: str = "", items: bool = False) -> None:
    """Check that a peer ranks what the task ranks.

    Args:
        task: what it is asked to learn.
        peer: its name.
        holds: what it holds of all candidates at once, "a number for each pair of candidates", so
            that it takes :data:`mtrec.registry.LARGEST` candidates at most; empty if it takes any
            number.
        items: whether it ranks items alone.

    Raises:
        NoAnswer: it does not.
        TooMany: there are more candidates than it takes.
    """
    also = not items or task.kind.candidates == "items"
    task.require(peer, (Form.RANK,), also, "of items")
    count = len(task.candidates.ids)
    if holds and count > LARGEST:
        raise TooMany(
            f"task '{task.name}': peer {peer} holds {holds} and takes at most {LARGEST:,} "
            f"candidates (found: {count:,}). Take it out of peers: in params.yaml."
        )


def choosing(task: PeerTask, peer: str) -> Question:
    """What a peer is asked to compare its settings: :attr:`PeerTask.choosing`.

    Raises:
        NoAnswer: there are no validation rows, so nothing can be compared.
    """
    if not len(task.choosing):
        raise NoAnswer(
            f"task '{task.name}': peer {peer} chooses its settings on validation rows, and there "
            "are none. Take it out of peers: in params.yaml."
        )
    return task.question(task.choosing)


def training(task: PeerTask) -> Events:
    """Events that training may learn from."""
    events, _ = training_events(task.tables.events, task.tables.examples)
    encoder = task.encoder
    return make_events(events, encoder.user, encoder.item, encoder.event)


def links(task: PeerTask) -> Array:
    """Users and those they chose in training, ``(n, 2)``; none where items compete."""
    if task.kind.candidates != "users":
        return np.zeros((0, 2), dtype="int32")
    rows = task.rows("train")
    return np.stack([task.entities["user"][rows], task.labels[rows] + 1], axis=1).astype("int32")


def met(task: PeerTask) -> sparse.csr_matrix:
    """Who met whom in training, ``(users, candidates)`` of zeros and ones."""
    size = len(task.encoder.user.ids), len(task.candidates.ids)
    if task.kind.candidates == "users":
        pairs = links(task)
    else:
        events = training(task)
        pairs = np.stack([events.user, events.item], axis=1)
    pairs = np.unique(pairs[(pairs > 0).all(axis=1)], axis=0) - 1
    return sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=size)


def before(asked: Question, chosen: Array, half_life: float = np.inf) -> sparse.csr_matrix:
    """What each row's user met before it, ``(n, candidates)``.

    Args:
        asked: the rows.
        chosen: from :func:`links`.
        half_life: events after which one counts half; what was met again counts once, at most 1.
    """
    size = len(asked), asked.kind.outputs
    if asked.kind.candidates == "users":
        users = len(asked.encoder.user.ids) + 1
        own = sparse.csr_matrix(
            (np.ones(len(chosen)), (chosen[:, 0], chosen[:, 1] - 1)), shape=(users, size[1])
        )
        own.data[:] = 1.0
        return own[asked.user].multiply((asked.user > 0)[:, None]).tocsr()
    row, item, ago = asked.met
    weight = np.exp2(-ago / half_life)
    found = sparse.csr_matrix((weight, (row, item - 1)), shape=size)
    found.data = np.minimum(found.data, 1.0)
    return found


def narrowed(known: sparse.csr_matrix, table: Array) -> tuple[sparse.csr_matrix, Array]:
    """The same product of fewer columns and rows: those that are used, of one request few.

    Args:
        known: ``(n, candidates)``.
        table: ``(candidates, width)``.
    """
    used, column = np.unique(known.indices, return_inverse=True)
    size = known.shape[0], len(used)
    return sparse.csr_matrix((known.data, column, known.indptr), size), table[used]
