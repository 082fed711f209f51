"""Fixed vectors of users and items from every source that a domain asks for, as fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mtrec.features.fields import Field, pad
from mtrec.features.source import Asked, Entities, Found, Vectors
from mtrec.registry import SOURCES

if TYPE_CHECKING:
    from mtrec.settings import Features


def fit_sources(features: Features, asked: Asked) -> dict[str, tuple[Field, ...]]:
    """Fields of users and of items from all sources that ``features`` names.

    A feature of which no user or item has a vector is left out.

    Args:
        features: which columns feed the model.
        asked: users, items and events; columns and settings are filled in here.

    Raises:
        ValueError: a source gives a wrong number of vectors.
    """
    fields: dict[str, list[Field]] = {one.side: [] for one in asked.sides}
    for name in SOURCES.used(features):
        user, item = (
            replace(one, columns=getattr(features, one.side).of_source(name)) for one in asked.sides
        )
        found: Found = SOURCES[name](Asked(user, item, asked.events, features.of_source(name)))
        for one in (user, item):
            for feature, vectors in found.get(one.side, {}).items():
                if np.isfinite(vectors.values).any():
                    fields[one.side].append(_field(feature, name, vectors, one))
    return {side: tuple(some) for side, some in fields.items()}


def _field(feature: str, source: str, vectors: Vectors, entities: Entities) -> Field:
    """Vectors as a field: equal ones are kept once."""
    values = vectors.values
    if values.ndim != 2 or len(values) != len(entities.table):
        raise ValueError(
            f"source '{source}': feature '{feature}' has vectors of shape {values.shape}; expected "
            f"a row for each of the {len(entities.table):,} {entities.side}s."
        )
    known = np.isfinite(values).all(axis=1)
    unique, inverse = np.unique(values[known], axis=0, return_inverse=True)
    index = np.zeros(len(values), dtype="int32")
    index[known] = inverse.reshape(-1) + 1
    table = pad(unique.astype("float32"))
    return Field(feature, source, pad(index), len(table), table, vectors.fitted)
