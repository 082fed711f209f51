"""Tables -> arrays: vocabularies and statistics learnt from the training split alone.

Row 0 of every side is the unknown user or item, and the padding of histories.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mtrec.data.factors import align, factorize
from mtrec.data.graph import reduce_links
from mtrec.data.impute import Imputer

Array = np.ndarray
Kind = Literal["categorical", "multi", "numeric", "text", "graph", "factors"]


@dataclass(frozen=True)
class Field:
    """One feature of users or items, as a table with one row per user or item.

    Attributes:
        name: column.
        kind: ``categorical`` (index of the category, 0 unknown), ``multi`` (0/1 per category),
            ``numeric`` (standardised value and a flag that is 1 where missing), ``text``,
            ``graph`` or ``factors`` (index into ``vectors``, 0 no text, links or events).
        table: ``(rows, )`` int32 or ``(rows, width)`` float32.
        size: number of categories with the unknown one, width of a row, or number of vectors.
        vectors: fixed vectors ``(size, components)`` float32 for the last three kinds, else None.
    """

    name: str
    kind: Kind
    table: Array
    size: int
    vectors: Array | None = None


@dataclass(frozen=True)
class Scaler:
    """Mean and deviation per column, from training rows.

    Example:
        >>> scaler = Scaler.fit(pd.DataFrame({"x": [0.0, 2.0, None]}))
        >>> scaler(pd.DataFrame({"x": [2.0, None]}))[:, 0].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Scaler:
        """Learn from the rows of ``frame``; a column without values gets mean 0, deviation 1."""
        mean = frame.astype(float).mean().fillna(0.0)
        deviation = frame.astype(float).std(ddof=0).fillna(1.0).replace(0.0, 1.0)
        return cls(tuple(frame.columns), tuple(mean), tuple(deviation))

    def __call__(self, frame: pd.DataFrame) -> Array:
        """Return ``(n, columns, 2)`` float32: standardised value (0 if missing), missing flag.

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
        unknown = np.isnan(values)
        scaled = np.where(unknown, 0.0, (values - self.mean) / self.deviation)
        return np.stack([scaled, unknown], axis=-1).astype("float32")


@dataclass(frozen=True)
class Side:
    """All users or all items: their ids (row ``i + 1`` is ``ids[i]``) and features."""

    ids: tuple[str, ...]
    fields: tuple[Field, ...]

    def rows(self, ids: pd.Series) -> Array:
        """Row of each id, ``(n,)`` int32; 0 for ids that are missing or unknown."""
        return (pd.Index(self.ids).get_indexer(ids.astype("object")) + 1).astype("int32")

    def field(self, name: str) -> Field:
        """The field of that name."""
        return next(field for field in self.fields if field.name == name)


def make_side(
    table: pd.DataFrame,
    key: str,
    columns: Any,
    counts: pd.Series,
    min_count: int,
    vectors: Array | None,
    factors: pd.DataFrame | None = None,
    imputation: str | None = None,
) -> Side:
    """Encode one side's table.

    Args:
        table: users or items, one row per id.
        key: name of the id column.
        columns: settings with ``categorical``, ``multi``, ``numeric`` and ``graph`` column names.
        counts: number of training events by id; ids without one are not training entities and
            teach no vocabulary or statistic.
        min_count: training events below which an id shares the unknown embedding.
        vectors: text vectors ``(rows, components)`` of ``table``, NaN where there is no text.
        factors: vectors by id from :func:`mtrec.data.factors.factorize`.
        imputation: how missing numbers are filled, see :mod:`mtrec.data.impute`.
    """
    seen = table[key].map(counts).fillna(0)
    training = table[(seen > 0).to_numpy()]
    fields = []
    for name in columns.categorical:
        known = table.loc[(seen >= min_count).to_numpy(), key] if name == key else training[name]
        fields.append(_categorical(table, name, known))
    for name in columns.multi:
        classes = tuple(sorted(set(training[name].explode().dropna())))
        fields.append(Field(name, "multi", _pad(_multi_hot(table[name], classes)), len(classes)))
    scaled = [Scaler.fit(training[[name]])(table[[name]])[:, 0] for name in columns.numeric]
    if imputation is not None and scaled:
        together = np.stack(scaled, axis=1)
        imputer = Imputer.fit(imputation, together[(seen > 0).to_numpy()])
        scaled = list(imputer(together).swapaxes(0, 1))
    unknown = np.array([[0.0, 1.0]], dtype="float32")
    for name, values in zip(columns.numeric, scaled, strict=True):
        fields.append(Field(name, "numeric", np.concatenate([unknown, values]), 2))
    for name in columns.graph:
        links = reduce_links(table[name], (seen > 0).to_numpy())
        if np.isfinite(links).any():
            fields.append(_fixed(name, "graph", links))
    if vectors is not None and np.isfinite(vectors).any():
        fields.append(_fixed("text", "text", vectors))
    if factors is not None and factors.size:
        fields.append(_fixed("factors", "factors", align(factors, table[key])))
    return Side(tuple(table[key]), tuple(fields))


def _categorical(table: pd.DataFrame, name: str, known: pd.Series) -> Field:
    vocabulary = sorted(known.dropna().astype(str).unique())
    values = table[name].astype("object").where(table[name].notna())
    codes = pd.Index(vocabulary).get_indexer(values.map(str, na_action="ignore")) + 1
    return Field(name, "categorical", _pad(codes.astype("int32")), len(vocabulary) + 1)


def _fixed(name: str, kind: Kind, vectors: Array) -> Field:
    known = np.isfinite(vectors).all(axis=1)
    unique, inverse = np.unique(vectors[known], axis=0, return_inverse=True)
    index = np.zeros(len(vectors), dtype="int32")
    index[known] = inverse.reshape(-1) + 1
    return Field(name, kind, _pad(index), len(unique) + 1, _pad(unique.astype("float32")))


def _multi_hot(lists: pd.Series, classes: tuple[str, ...]) -> Array:
    from mtrec.tasks.multilabel import multi_hot

    return multi_hot(lists, classes)


def _pad(table: Array) -> Array:
    return np.concatenate([np.zeros((1, *table.shape[1:]), table.dtype), table])


@dataclass(frozen=True)
class Encoder:
    """Everything learnt from the training split that turns rows into the model's inputs."""

    user: Side
    item: Side
    event: Scaler
    contexts: dict[str, Scaler]
    history_length: int
    imputers: dict[str, Imputer] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Users and items."""
        return self.user, self.item

    @property
    def catalogues(self) -> dict[str, tuple[str, ...]]:
        """Ids of all that a ranking task may have compete: ``items`` and ``users``."""
        return {"items": self.item.ids, "users": self.user.ids}

    def inputs(self, rows: pd.DataFrame, events: Events) -> dict[str, Array]:
        """The model's inputs for rows with ``user_id``, ``item_id`` and ``timestamp``.

        Returns ``user`` and ``item`` ``(n,)`` int32, ``history_items`` ``(n, length)`` int32,
        ``history_events`` ``(n, length, features)`` float32, and ``<side>_context``
        ``(n, columns, 2)`` float32 for each side with context columns.
        """
        user = self.user.rows(rows["user_id"])
        index = last_events(events, user, rows["timestamp"], self.history_length)
        return {
            "user": user,
            "item": self.item.rows(rows["item_id"]),
            "history_items": events.item[index],
            "history_events": self._event_features(events, index, rows["timestamp"]),
            **{f"{side}_context": self._context(side, rows) for side in self.contexts},
        }

    def _context(self, side: str, rows: pd.DataFrame) -> Array:
        scaled = self.contexts[side](rows)
        return self.imputers[side](scaled) if side in self.imputers else scaled

    def _event_features(self, events: Events, index: Array, now: pd.Series) -> Array:
        days = (milliseconds(now)[:, None] - events.time[index]) / 86_400_000
        recency = np.where(index > 0, np.log1p(np.maximum(days, 0.0)), 0.0)[..., None] / 5.0
        return np.concatenate([events.features[index], recency], axis=-1).astype("float32")


@dataclass(frozen=True)
class Events:
    """Past events as arrays, sorted by user and time; row 0 is padding.

    Attributes:
        user: rows of users, ``(events + 1,)`` int32.
        item: rows of items, ``(events + 1,)`` int32.
        time: milliseconds since 1970, ``(events + 1,)`` int64.
        features: standardised event columns, ``(events + 1, columns)`` float32.
    """

    user: Array
    item: Array
    time: Array
    features: Array


def milliseconds(times: pd.Series) -> Array:
    """Milliseconds since 1970 as int64; a missing time is later than every event."""
    values = pd.to_datetime(times).to_numpy().astype("datetime64[ms]")
    return np.where(np.isnat(values), np.int64(2**42), values.astype("int64"))


def make_events(events: pd.DataFrame, user: Side, item: Side, scaler: Scaler) -> Events:
    """Turn an events table (sorted by user and time on the way) into arrays."""
    rows, time = user.rows(events["user_id"]), milliseconds(events["timestamp"])
    order = np.lexsort((time, rows))
    features = scaler(events)[..., 0] if scaler.columns else np.zeros((len(events), 0), "float32")
    return Events(
        _pad(rows[order]),
        _pad(item.rows(events["item_id"])[order]),
        _pad(time[order]),
        _pad(features[order]),
    )


def last_events(events: Events, user: Array, now: pd.Series, length: int) -> Array:
    """Positions ``(n, length)`` in ``events`` of each user's last events strictly before ``now``.

    Oldest first, padded with 0 at the left; rows with the unknown user have no history.
    """
    origin = int(events.time[1:].min()) if len(events.time) > 1 else 0
    span = np.int64(2**43)
    key = events.user.astype("int64") * span + np.maximum(events.time - origin, 0)
    key[0] = -1
    stop = np.searchsorted(
        key, user.astype("int64") * span + np.maximum(milliseconds(now) - origin, 0), side="left"
    )
    start = np.searchsorted(key, user.astype("int64") * span, side="left")
    index = stop[:, None] + np.arange(-length, 0)
    return np.where((index >= start[:, None]) & (user[:, None] > 0), index, 0).astype("int32")


def training_events(events: pd.DataFrame, examples: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Events that training may learn from, and whether the split respects time.

    With a split in time these are the events before the first held-out example. With a split by
    user they are those of the training users; what a held-out user did before may still be known
    of him. Otherwise they are all but the events that are themselves validation or test examples,
    and those may not stand in a history either.
    """
    timed = examples[examples["timestamp"].notna()]
    held = timed[timed["split"] != "train"]
    if held.empty:
        return events, True
    first = held["timestamp"].min()
    if timed.loc[timed["split"] == "train", "timestamp"].max() <= first:
        return events[events["timestamp"] < first], True
    others = set(held["user_id"])
    if others.isdisjoint(timed.loc[timed["split"] == "train", "user_id"]):
        return events[~events["user_id"].isin(others)], True
    keys = ["user_id", "item_id", "timestamp"]
    inside = pd.MultiIndex.from_frame(events[keys]).isin(pd.MultiIndex.from_frame(held[keys]))
    return events[~inside], False


def fit_encoder(
    tables: Any,
    features: Any,
    sizes: Any,
    vectors: Mapping[str, Array],
    links: pd.Series | None = None,
) -> Encoder:
    """Learn an :class:`Encoder` from the training split of ``tables``.

    Args:
        tables: the four tables.
        features: which columns feed the model (:class:`mtrec.config.Features`).
        sizes: ``min_count`` and ``history.length`` (:class:`mtrec.config.ModelBuilding`).
        vectors: text vectors of ``users`` and ``items``, ``(rows, components)``.
        links: users on either end of a training label that names a user, one entry per end; it
            counts as an event of that user, who may have no other.
    """
    events, _ = training_events(tables.events, tables.examples)
    counts = {key: events[key].value_counts() for key in ("user_id", "item_id")}
    if links is not None:
        counts["user_id"] = pd.concat([events["user_id"], links]).value_counts()
    training = tables.examples[tables.examples["split"] == "train"]
    asked, imputation = features.factors, features.imputation
    factors = factorize(events, asked.method, asked.components) if asked else {}
    user, item = (
        make_side(
            table, key, columns, counts[key], sizes.min_count, text, factors.get(key), imputation
        )
        for table, key, columns, text in (
            (tables.users, "user_id", features.user, vectors.get("users")),
            (tables.items, "item_id", features.item, vectors.get("items")),
        )
    )
    contexts = {
        side: Scaler.fit(training[list(getattr(features, side).context)])
        for side in ("user", "item", "joint")
        if getattr(features, side).context
    }
    imputers = {
        side: Imputer.fit(imputation, scaler(training))
        for side, scaler in contexts.items()
        if imputation is not None
    }
    event = Scaler.fit(events[list(features.event)])
    return Encoder(user, item, event, contexts, sizes.history.length, imputers)


def usable_events(tables: Any, encoder: Encoder) -> Events:
    """The events that histories may show: all of them in time, else the training ones."""
    training, in_time = training_events(tables.events, tables.examples)
    return make_events(
        tables.events if in_time else training, encoder.user, encoder.item, encoder.event
    )


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write the encoder as ``encoder.json`` (names, statistics) and ``encoder.npz`` (tables)."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Array] = {}
    plain: dict[str, Any] = {
        "history_length": encoder.history_length,
        "event": vars(encoder.event),
        "contexts": {side: vars(scaler) for side, scaler in encoder.contexts.items()},
    }
    if encoder.imputers:
        plain["imputers"] = {side: imputer.method for side, imputer in encoder.imputers.items()}
    for side_name, imputer in encoder.imputers.items():
        arrays[f"imputers/{side_name}"] = imputer.reference
    for name in ("user", "item"):
        side = getattr(encoder, name)
        plain[name] = {
            "ids": side.ids,
            "fields": [{"name": f.name, "kind": f.kind, "size": f.size} for f in side.fields],
        }
        for one in side.fields:
            arrays[f"{name}/{one.name}"] = one.table
            if one.vectors is not None:
                arrays[f"{name}/{one.name}/vectors"] = one.vectors
    (folder / "encoder.json").write_text(json.dumps(plain), encoding="utf-8")
    np.savez(folder / "encoder.npz", allow_pickle=False, **arrays)


def load_encoder(folder: Path) -> Encoder:
    """Undo :func:`save_encoder`.

    Raises:
        FileNotFoundError: a file is missing.
    """
    for name in ("encoder.json", "encoder.npz"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: no such file; run `make repro` to build the model first."
            )
    plain = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    with np.load(folder / "encoder.npz") as arrays:
        user, item = (
            Side(
                tuple(plain[name]["ids"]),
                tuple(
                    Field(
                        **field,
                        table=arrays[f"{name}/{field['name']}"],
                        vectors=arrays.get(f"{name}/{field['name']}/vectors"),
                    )
                    for field in plain[name]["fields"]
                ),
            )
            for name in ("user", "item")
        )
        imputers = {
            side: Imputer(method, arrays[f"imputers/{side}"])
            for side, method in plain.get("imputers", {}).items()
        }
    contexts = {side: _scaler(scaler) for side, scaler in plain["contexts"].items()}
    event = _scaler(plain["event"])
    return Encoder(user, item, event, contexts, plain["history_length"], imputers)


def _scaler(plain: dict[str, list]) -> Scaler:
    return Scaler(**{key: tuple(value) for key, value in plain.items()})


def without(kind: Kind, encoder: Encoder) -> Encoder:
    """The same encoder without a kind of feature, to measure what it adds."""
    user, item = (
        replace(side, fields=tuple(f for f in side.fields if f.kind != kind))
        for side in (encoder.user, encoder.item)
    )
    return replace(encoder, user=user, item=item)
