"""Baskets of households as sparse matrices, and the published ways to predict the next one.

A test holds all three to cornac's numbers. Its own ``TIFUKNN`` and ``UPCF`` cannot stand in for
them; ``docs/decisions.md`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

Array = np.ndarray


@dataclass(frozen=True, eq=False)  # known by identity, as arrays cannot be hashed
class Baskets:
    """Lines of baskets, each item once a basket, sorted by household, then basket.

    Attributes:
        household: ``(n,)``.
        basket: number of the household's basket, from 0 in order of time, ``(n,)``.
        item: ``(n,)``.
        day: of the basket, days since the first of all, ``(n,)``.
        households: how many there are.
        items: size of the catalogue.
    """

    household: Array
    basket: Array
    item: Array
    day: Array
    households: int
    items: int

    def take(self, keep: Array) -> Baskets:
        """The lines of a mask."""
        return Baskets(self.household[keep], self.basket[keep], self.item[keep], self.day[keep],
                       self.households, self.items)  # fmt: skip

    @property
    def length(self) -> Array:
        """Number of baskets of each household, ``(households,)``."""
        out = np.zeros(self.households, dtype=int)
        np.maximum.at(out, self.household, self.basket + 1)
        return out

    @property
    def age(self) -> Array:
        """Baskets since each line's, 0 for those of a household's last, ``(n,)``."""
        return self.length[self.household] - 1 - self.basket

    def matrix(self, values: Array | None = None) -> sparse.csr_matrix:
        """``(households, items)``: sum of values (1 if None) of the lines."""
        data = np.ones(len(self.item)) if values is None else values
        shape = (self.households, self.items)
        return sparse.csr_matrix((data, (self.household, self.item)), shape=shape)


def personal_top(baskets: Baskets) -> Array:
    """Scores ``(households, items)``: how often bought; popularity fills and breaks ties."""
    counts = baskets.matrix()
    popular = np.asarray(counts.sum(axis=0)).ravel()
    return (counts.toarray() + 0.5 * popular / (popular.max() + 1)).astype("float32")


def block_vectors(baskets: Baskets, within: float, between: float, size: int) -> sparse.csr_matrix:
    """Decayed frequency ``(households, items)`` over blocks of ``size`` baskets: a feature of ours.

    The last ``size`` baskets are the last block, and so on back; the first may be smaller. A
    block's vector is the mean of its baskets, the one ``j`` before its end times ``within ** j``;
    the household's is the mean of its blocks', the one ``g`` before the end times ``between ** g``.
    """
    length, age = baskets.length[baskets.household], baskets.age
    number, place = age // size, age % size
    blocks = -(-length // size)
    count = np.where(number == blocks - 1, length - number * size, size)
    return baskets.matrix(within**place * between**number / count / blocks)


@lru_cache(maxsize=1)
def tifu_vectors(
    baskets: Baskets, within: float, between: float, groups: int, decay: str
) -> sparse.csr_matrix:
    """Personalised item frequency ``(households, items)``: each history in ``groups`` groups.

    Sizes of the groups differ by one at most, the later ones being larger; a shorter history has a
    group per basket, which are the oldest ones. A group's vector is the mean of its baskets, that
    of the household ``sum_g between ** (groups - 1 - g) vector_g / number of its groups``.

    Args:
        baskets: known lines.
        within: factor per basket.
        between: factor per group.
        groups: number of groups of a history.
        decay: ``group``: ``within`` counts back from the end of each group, as in the paper;
            ``history``: from the end of the history, as in its authors' code.

    Source: Hu et al. 2020, "Modeling personalized item frequency information for next-basket
    recommendation", https://arxiv.org/abs/2006.00556, eq. 2 and 3, and its authors' code,
    https://github.com/HaojiHu/TIFUKNN.
    """
    length, place = baskets.length[baskets.household], baskets.basket
    small, larger = length // groups, length % groups  # baskets of a group, groups of one more
    early = (groups - larger) * small  # baskets in groups of the small size
    number = np.where(
        place < early,
        place // np.maximum(small, 1),
        groups - larger + (place - early) // (small + 1),
    )
    number = np.where(length < groups, place, number)
    size = np.where(place < early, small, small + 1)
    end = np.where(
        place < early, (number + 1) * small, early + (number + 1 - groups + larger) * (small + 1)
    )
    end = np.where(length < groups, place + 1, end)
    back = end - 1 - place if decay == "group" else baskets.age
    weight = within**back * between ** (groups - 1.0 - number) / size
    return baskets.matrix(weight / np.minimum(length, groups))


@lru_cache(maxsize=1)
def tifu_neighbours(
    baskets: Baskets, neighbours: int, within: float, between: float, groups: int, decay: str
) -> sparse.csr_matrix:
    """Mean vector ``(households, items)`` of each household's nearest others."""
    own = tifu_vectors(baskets, within, between, groups, decay)
    return nearest(own, neighbours) @ own


def tifu_knn(
    baskets: Baskets, neighbours: int, within: float, between: float, alpha: float, groups: int,
    decay: str,
) -> Array:  # fmt: skip
    """Scores ``(households, items)``: ``alpha`` own vector + ``1 - alpha`` mean of neighbours'.

    Neighbours are the nearest by Euclidean distance. Settings are those of :func:`tifu_vectors`.

    Source: Hu et al. 2020, https://arxiv.org/abs/2006.00556.
    """
    own = tifu_vectors(baskets, within, between, groups, decay)
    near = tifu_neighbours(baskets, neighbours, within, between, groups, decay)
    return (alpha * own + (1 - alpha) * near).toarray().astype("float32")


def up_cf(baskets: Baskets, recency: int, locality: float, asymmetry: float) -> Array:
    """Scores ``(households, items)``: users' recency-aware popularity, weighed by likeness.

    ``score = W^q P``; ``P[u, i]`` is the share of u's last ``recency`` baskets with i (all if 0),
    ``W[u, v] = |I_u & I_v| / (|I_u|^a |I_v|^(1 - a))``, with ``W[u, u] = 1``.

    Source: Faggioli et al. 2020, "Recency aware collaborative filtering for next basket
    recommendation", https://doi.org/10.1145/3340631.3394850.
    """
    window = np.minimum(baskets.length, recency) if recency else baskets.length
    keep = baskets.age < window[baskets.household]
    share = baskets.matrix(keep / window[baskets.household])
    bought = (baskets.matrix() > 0).astype("float32")
    size = np.maximum(np.asarray(bought.sum(axis=1)).ravel(), 1)
    likeness = (bought @ bought.T).toarray()
    likeness /= size[:, None] ** asymmetry * size[None] ** (1 - asymmetry)
    return (share.T @ (likeness**locality).T).T.astype("float32")


def nearest(vectors: sparse.csr_matrix, neighbours: int) -> sparse.csr_matrix:
    """Weights ``1 / k`` of each row's k nearest others."""
    squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    distance = squares[:, None] + squares[None] - 2 * (vectors @ vectors.T).toarray()
    np.fill_diagonal(distance, np.inf)
    count = min(neighbours, len(distance) - 1)
    near = np.argpartition(distance, count - 1, axis=1)[:, :count]
    rows = np.repeat(np.arange(len(distance)), count)
    shape = (len(distance), len(distance))
    return sparse.csr_matrix((np.full(near.size, 1 / count), (rows, near.ravel())), shape=shape)


PEERS = {"personal_top": personal_top, "tifu_knn": tifu_knn, "up_cf": up_cf}
