"""Sides -> tables: vocabularies and statistics of users and items, learnt from training rows alone.

Row 0 of every side is the unknown user or item.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.features.impute import Imputer

if TYPE_CHECKING:
    from mtrec.settings import Columns

Array = np.ndarray
ROUNDING = 1e-10  # a deviation below this share of the mean is one of float sums
HASH_KEY = "mtrec id buckets"  # 16 bytes


@dataclass(frozen=True)
class Fitted:
    """What a source of vectors learnt: enough for the vectors of what comes later.

    Attributes:
        plain: JSON values.
        arrays: arrays, none of objects.
    """

    plain: Mapping[str, Any]
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class Field:
    """One feature of users or items, as a table with one row per user or item.

    Attributes:
        name: column.
        kind: ``categorical`` (index of the category, or of the row that a hashed column's category
            shares with others; 0 unknown), ``multi`` (0/1 per category), ``numeric`` (standardised
            value and a flag that is 1 where missing), or a source of
            :data:`mtrec.registry.SOURCES` (index into ``vectors``, 0 where there is none).
        table: ``(rows, )`` int32 or ``(rows, width)`` float32.
        size: number of categories or rows with the unknown one, width of a row, or number of
            vectors.
        vectors: fixed vectors ``(size, components)`` float32 of a source, else None.
        fitted: what a source learnt, if it can give vectors of later users or items.
    """

    name: str
    kind: str
    table: Array
    size: int
    vectors: Array | None = None
    fitted: Fitted | None = None


@dataclass(frozen=True)
class Scaler:
    """Mean and deviation per column, from training rows, and which of them lacks values there.

    A column that no training row lacks has a flag that no model has learnt to read. Where a request
    lacks it, it is taken to be the mean, and the flag stays down.

    Example:
        >>> scaler = Scaler.fit(pd.DataFrame({"x": [0.0, 2.0, None], "y": [1.0, 1.0, 1.0]}))
        >>> scaler(pd.DataFrame({"x": [2.0, None], "y": [2.0, None]})).tolist()
        [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    lacking: tuple[bool, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Scaler:
        """Learn from the rows of ``frame``; a column without values gets mean 0, deviation 1."""
        mean = frame.astype(float).mean().fillna(0.0)
        deviation = frame.astype(float).std(ddof=0).fillna(1.0)
        deviation = deviation.where(deviation > ROUNDING * mean.abs(), 1.0)  # of a constant: 1
        lacking = tuple(bool(one) for one in frame.isna().any())
        return cls(tuple(frame.columns), tuple(mean), tuple(deviation), lacking)

    def __call__(self, frame: pd.DataFrame) -> Array:
        """Return ``(n, columns, 2)`` float32, see :meth:`standardised`.

        Raises:
            KeyError: a column is missing.
            ValueError: a value is infinite.
        """
        missing = [column for column in self.columns if column not in frame]
        if missing:
            raise KeyError(
                f"numeric column '{missing[0]}' is missing (found: {', '.join(frame.columns)}). "
                "Add it, or take it out of features: in params.yaml."
            )
        values = frame[list(self.columns)].to_numpy(dtype="float64", na_value=np.nan)
        if np.isinf(values).any():
            column = self.columns[int(np.argwhere(np.isinf(values))[0, 1])]
            raise ValueError(f"numeric column '{column}' holds an infinite value; expected finite.")
        return self.standardised(values)

    def standardised(self, values: Array) -> Array:
        """Values ``(n, columns)`` as ``(n, columns, 2)`` float32: standardised, missing flag."""
        unknown = np.isnan(values)
        scaled = np.where(unknown, 0.0, (values - self.mean) / self.deviation)
        flags = unknown & np.array(self.lacking, dtype=bool)
        return np.stack([scaled, flags], axis=-1).astype("float32")


@dataclass(frozen=True)
class Side:
    """All users or all items: their ids (row ``i + 1`` is ``ids[i]``) and features."""

    ids: tuple[str, ...]
    fields: tuple[Field, ...]

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids, dtype="object")

    @cached_property
    def derived(self) -> dict[Hashable, Any]:
        """What others make of the whole side and need at every request, by names of theirs."""
        return {}

    def rows(self, ids: pd.Series) -> Array:
        """Row of each id, ``(n,)`` int32; 0 for ids that are missing or unknown."""
        return (self._index.get_indexer(ids.astype("object")) + 1).astype("int32")

    def field(self, name: str) -> Field:
        """The field of that name."""
        return next(field for field in self.fields if field.name == name)


def make_side(
    table: pd.DataFrame,
    key: str,
    columns: Columns,
    counts: pd.Series,
    min_count: int,
    vectors: Sequence[Field] = (),
    imputation: str | None = None,
) -> Side:
    """Encode one side's table.

    Args:
        table: users or items, one row per id.
        key: name of the id column.
        columns: settings with ``categorical``, ``multi`` and ``numeric`` column names, and
            ``hashed``, rows by categorical column.
        counts: number of training events by id; ids without one are not training entities and
            teach no vocabulary or statistic.
        min_count: training events below which an id shares the unknown embedding.
        vectors: fields of sources of vectors, see :func:`mtrec.features.vectors.fit_sources`.
        imputation: how missing numbers are filled, see :mod:`mtrec.features.impute`.

    Raises:
        ValueError: two features have one name.
    """
    seen = table[key].map(counts).fillna(0)
    training = table[(seen > 0).to_numpy()]
    fields = []
    for name in columns.categorical:
        known = table.loc[(seen >= min_count).to_numpy(), key] if name == key else training[name]
        fields.append(_categorical(table, name, known, columns.hashed.get(name)))
    for name in columns.multi:
        classes = tuple(sorted(set(training[name].explode().dropna())))
        fields.append(Field(name, "multi", pad(_multi_hot(table[name], classes)), len(classes)))
    scaled = [Scaler.fit(training[[name]])(table[[name]])[:, 0] for name in columns.numeric]
    if imputation is not None and scaled:
        together = np.stack(scaled, axis=1)
        imputer = Imputer.fit(imputation, together[(seen > 0).to_numpy()])
        scaled = list(imputer(together).swapaxes(0, 1))
    unknown = np.array([[0.0, 1.0]], dtype="float32")
    for name, values in zip(columns.numeric, scaled, strict=True):
        fields.append(Field(name, "numeric", np.concatenate([unknown, values]), 2))
    fields += vectors
    names = [field.name for field in fields]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"features.{key.removesuffix('_id')}: two features are called '{twice[0]}'; rename the "
            "column, or drop one of them in params.yaml."
        )
    return Side(tuple(table[key]), tuple(fields))


def _categorical(table: pd.DataFrame, name: str, known: pd.Series, rows: int | None) -> Field:
    vocabulary = sorted(known.dropna().astype(str).unique())
    values = table[name].astype("object").where(table[name].notna())
    codes = pd.Index(vocabulary).get_indexer(values.map(str, na_action="ignore")) + 1
    size = len(vocabulary)
    if rows is not None and rows < size:  # else each category has a row of its own
        codes, size = pad(1 + shared_rows(vocabulary, rows))[codes], rows
    return Field(name, "categorical", pad(codes.astype("int32")), size + 1)


def shared_rows(values: Sequence[str], rows: int) -> Array:
    """Row of each value, ``(n,)`` int64 in ``0 ... rows - 1``: its hash modulo ``rows``.

    The hash is that of pandas for arrays of texts: SipHash-2-4 of the UTF-8 bytes under a fixed
    key, whose bits are then mixed once more. It is the same in every process and on every machine,
    unlike Python's ``hash``, and needs no call of Python per value, unlike ``hashlib``; a test
    holds it to a computation of its own, should pandas ever change it.

    Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning",
    https://doi.org/10.1145/1553374.1553516, without its second hash for signs: each value reads one
    row, so there is no inner product whose bias a sign would take away.

    Example:
        >>> shared_rows(["u1", "u2", "u3"], 2).tolist()
        [0, 1, 0]
    """
    plain = [value.encode(errors="backslashreplace").decode() for value in values]
    texts = np.asarray(plain, dtype="object")
    hashes = pd.util.hash_array(texts, encoding="utf8", hash_key=HASH_KEY, categorize=False)
    return (hashes % rows).astype("int64")


def _multi_hot(lists: pd.Series, classes: tuple[str, ...]) -> Array:
    from mtrec.tasks.multilabel import multi_hot

    return multi_hot(lists, classes)


def pad(table: Array) -> Array:
    """The table with a first row of zeros: the unknown, or padding."""
    return np.concatenate([np.zeros((1, *table.shape[1:]), table.dtype), table])
