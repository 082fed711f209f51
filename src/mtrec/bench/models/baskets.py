"""Baskets of households as sparse matrices, and the published ways to predict the next one.

No maintained package has these methods, so they are written here after the papers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

Array = np.ndarray


@dataclass(frozen=True)
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


def tifu_vectors(baskets: Baskets, within: float, between: float, group: int) -> sparse.csr_matrix:
    """Personalised item frequency ``(households, items)``.

    The last ``group`` baskets are the last group, and so on back; the first may be smaller. A
    group's vector is the mean of its baskets, the one ``j`` before its end times ``within ** j``;
    the household's is the mean of its groups', the one ``g`` before the end times ``between ** g``.

    Source: Hu et al. 2020, "Modeling personalized item frequency information for next-basket
    recommendation", https://arxiv.org/abs/2006.00556, eq. 2 and 3.
    """
    length, age = baskets.length[baskets.household], baskets.age
    number, place = age // group, age % group
    groups = -(-length // group)
    size = np.where(number == groups - 1, length - number * group, group)
    return baskets.matrix(within**place * between**number / size / groups)


def tifu_knn(
    baskets: Baskets, neighbours: int, within: float, between: float, alpha: float, group: int
) -> Array:
    """Scores ``(households, items)``: ``alpha`` own vector + ``1 - alpha`` mean of neighbours'.

    Neighbours are the nearest by Euclidean distance.

    Source: Hu et al. 2020, https://arxiv.org/abs/2006.00556.
    """
    own = tifu_vectors(baskets, within, between, group)
    return _blend(own, nearest(own, neighbours), alpha)


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


def _blend(own: sparse.csr_matrix, near: sparse.csr_matrix, alpha: float) -> Array:
    return (alpha * own + (1 - alpha) * (near @ own)).toarray().astype("float32")


PEERS = {"personal_top": personal_top, "tifu_knn": tifu_knn, "up_cf": up_cf}
