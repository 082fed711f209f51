"""Links of a knowledge graph -> one vector per entity, from training entities alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from mtrec.features.source import Asked, Found, Vectors

Array = np.ndarray
COMPONENTS = 32
MIN_ENTITIES = 2  # a link that one entity alone has says nothing about another


def graph(asked: Asked) -> Found:
    """A feature per column of links that a side names."""
    return {
        one.side: {
            name: Vectors(reduce_links(one.table[name], one.training)) for name in one.columns
        }
        for one in asked.sides
    }


def reduce_links(links: pd.Series, training: Array, components: int = COMPONENTS) -> Array:
    """Truncated SVD of the TF-IDF matrix of entities and their links.

    Entities that share rare neighbours, such as a director, come close to each other. Columns are
    divided by their deviation over the training entities.

    Args:
        links: a list of ``relation neighbour`` strings per entity, ``(n,)``; empty where none.
        training: entities to learn from, ``(n,)`` bool.
        components: at most so many.

    Returns:
        ``(n, components)`` float32, NaN for entities without a link that training shows.

    Source: Deerwester et al. 1990, "Indexing by Latent Semantic Analysis",
    https://doi.org/10.1002/(SICI)1097-4571(199009)41:6%3C391::AID-ASI1%3E3.0.CO;2-9.
    """
    counts = links[training].explode().value_counts()
    vocabulary = sorted(counts[counts >= MIN_ENTITIES].index)
    empty = np.full((len(links), 0), np.nan, dtype="float32")
    if len(vocabulary) < 2:
        return empty
    weighting = TfidfVectorizer(analyzer=list, vocabulary=vocabulary, sublinear_tf=True)
    weighting.fit(links[training])
    matrix = weighting.transform(links)
    known = np.asarray(matrix.getnnz(axis=1) > 0)
    svd = TruncatedSVD(min(components, len(vocabulary) - 1), random_state=0)
    with threadpool_limits(1):  # the same sums whatever the number of cores
        svd.fit(matrix[known & training])
        found = svd.transform(matrix)
    deviation = np.maximum(found[known & training].std(axis=0), 1e-6)
    return np.where(known[:, None], found / deviation, np.nan).astype("float32")
