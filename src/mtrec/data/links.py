r"""What links among users say of one to come: evidence for every pair, and each row's own link.

With :math:`A_{ab} = 1` where a training row says that a chose b, the evidence that a chooses c is

==============  ======================  ==================================================
``returned``    :math:`A^\top`          c chose a
``out_out``     :math:`A A`             someone whom a chose chose c
``out_in``      :math:`A A^\top`        a and c both chose someone
``in_out``      :math:`A^\top A`        someone chose both a and c
``in_in``       :math:`A^\top A^\top`   c chose someone who chose a
==============  ======================  ==================================================

counted, and ``chosen``: a chose c already, or is c. A training row is itself a link, which at the
moment of prediction is not known: a model would see its label. So each training row names its own
link, and what that link adds is taken out again, exactly (up to 255 links in common, where counts
end). Held-out links are in no row's evidence. Times of links are not read: use it where links have
none, or a training row knows of links that came after it.

Source: Liben-Nowell and Kleinberg 2007, https://doi.org/10.1002/asi.20591, section 3; leaving the
row itself out, as in Zhang et al. 2023, https://arxiv.org/abs/2306.00899.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

Array = np.ndarray
KINDS = ("returned", "out_out", "out_in", "in_out", "in_in", "chosen")
MOST = 255  # counted
LARGEST = 4096  # users: evidence is a table of all pairs, 17 MB each
HEAD = "linked_catalogue"  # that reads the evidence


def links(user: Array, other: Array, users: int) -> csr_matrix:
    """Who chose whom, ``(users, users)``: 1 where the row's user chose the column's.

    Args:
        user: rows of users of the training links, ``(n,)``; 0, the unknown user, is left out.
        other: positions of those they chose, ``(n,)``.
        users: number of users.
    """
    known = user > 0
    pairs = np.unique(np.stack([user[known] - 1, other[known]]), axis=1)
    return csr_matrix((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(users, users))


def adjacency(user: Array, other: Array, users: int) -> Array:
    """The links as a table, ``(users + 1, users)`` uint8; row 0, the unknown user, chose nobody.

    Args:
        user, other, users: see :func:`links`.

    Raises:
        ValueError: there are more users than a table of all pairs can hold.
    """
    if users > LARGEST:
        raise ValueError(
            f"head {HEAD}: its table of all pairs holds {LARGEST:,} users at most (found: "
            f"{users:,}). Leave head: out in params.yaml."
        )
    found = np.zeros((users + 1, users), dtype="uint8")
    found[1:] = links(user, other, users).toarray()
    return found


def tables(chose: Array) -> dict[str, Array]:
    """Counts of all pairs by kind but ``chosen``, ``(users + 1, users)`` uint8, up to 255.

    Args:
        chose: from :func:`adjacency`.

    Example:
        >>> found = tables(adjacency(np.array([1, 2]), np.array([1, 2]), 3))  # 1 -> 2 -> 3
        >>> found["out_out"].tolist()
        [[0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    """
    out = chose[1:].astype("float32")
    back = out.T
    found = (back, out @ out, out @ back, back @ out, back @ back)
    return {kind: _of_others(counts) for kind, counts in zip(KINDS, found, strict=False)}


def _of_others(counts: Array) -> Array:
    """Counts of pairs of different users, with a row of the unknown one before them."""
    kept = np.minimum(counts, MOST).astype("uint8")
    np.fill_diagonal(kept, 0)
    return np.concatenate([np.zeros_like(kept[:1]), kept])


def own_links(labels: Array, mask: Array, training: Array) -> Array:
    """Row of the user whom a training row names, ``(n,)`` int32; 0 for all other rows.

    Args:
        labels: positions in the catalogue, ``(n,)``.
        mask: whether the label is known, ``(n,)``.
        training: whether it is a training row, ``(n,)``.
    """
    return np.where(mask & training, labels + 1, 0).astype("int32")


def input_name(task: str) -> str:
    """Name of the model's input that holds each row's own link of a task."""
    return f"{task}_own_link"


def linked(types: Any) -> tuple[str, ...]:
    """Tasks whose heads read the evidence."""
    return tuple(name for name, kind in types.items() if kind.head == HEAD)
