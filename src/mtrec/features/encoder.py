"""Rows -> the model's inputs: everything learnt from the training split, fitted, kept and read."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.features.events import Events, last_events, make_events, milliseconds, training_events
from mtrec.features.fields import Field, Fitted, Scaler, Side, make_side
from mtrec.features.impute import Imputer
from mtrec.features.source import Asked, Entities
from mtrec.features.vectors import fit_sources
from mtrec.files import save_arrays

if TYPE_CHECKING:
    from mtrec.settings import Features, ModelBuilding
    from mtrec.tables.schema import Tables

Array = np.ndarray
BLOCK = 65_536  # rows of histories at a time


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
        entities = self.entities(rows)
        index = last_events(events, entities["user"], rows["timestamp"], self.history_length)
        return {
            **entities,
            "history_items": events.item[index],
            "history_events": self._event_features(events, index, rows["timestamp"]),
            **{f"{side}_context": self.context(side, rows) for side in self.contexts},
        }

    def entities(self, rows: pd.DataFrame) -> dict[str, Array]:
        """``user`` and ``item`` ``(n,)`` int32 of rows with ``user_id`` and ``item_id``."""
        return {
            "user": self.user.rows(rows["user_id"]),
            "item": self.item.rows(rows["item_id"]),
        }

    def context(self, side: str, rows: pd.DataFrame) -> Array:
        """Context columns of a side, ``(n, columns, 2)``: standardised value, missing flag."""
        scaled = self.contexts[side](rows)
        return self.imputers[side](scaled) if side in self.imputers else scaled

    def _event_features(self, events: Events, index: Array, now: pd.Series) -> Array:
        moments, columns = milliseconds(now)[:, None], events.features.shape[1]
        found = np.empty((*index.shape, columns + 1), dtype="float32")
        for start in range(0, len(index), BLOCK):  # what is in between stays in the cache
            rows = slice(start, start + BLOCK)
            days = (moments[rows] - events.time[index[rows]]) / 86_400_000
            recency = np.where(index[rows] > 0, np.log1p(np.maximum(days, 0.0)), 0.0) / 5.0
            found[rows, :, :columns], found[rows, :, -1] = events.features[index[rows]], recency
        return found


def fit_encoder(
    tables: Tables,
    features: Features,
    sizes: ModelBuilding,
    vectors: Mapping[str, Array],
    links: pd.Series | None = None,
) -> Encoder:
    """Learn an :class:`Encoder` from the training split of ``tables``.

    Args:
        tables: the four tables.
        features: which columns feed the model.
        sizes: ``min_count`` and ``history.length``.
        vectors: text vectors of ``users`` and ``items``, ``(rows, components)``.
        links: users on either end of a training label that names a user, one entry per end; it
            counts as an event of that user, who may have no other.
    """
    events, _ = training_events(tables.events, tables.examples)
    counts = {key: events[key].value_counts() for key in ("user_id", "item_id")}
    if links is not None:
        counts["user_id"] = pd.concat([events["user_id"], links]).value_counts()
    training = tables.examples[tables.examples["split"] == "train"]
    imputation = features.imputation
    users, items = (
        Entities(side, table, _shown(table[f"{side}_id"], counts), vectors.get(f"{side}s"))
        for side, table in (("user", tables.users), ("item", tables.items))
    )
    fields = fit_sources(features, Asked(users, items, events))
    user, item = (
        make_side(
            one.table, one.key, getattr(features, one.side), counts[one.key], sizes.min_count,
            fields[one.side], imputation,
        )
        for one in (users, items)
    )  # fmt: skip
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


def _shown(ids: pd.Series, counts: Mapping[str, pd.Series]) -> Array:
    """Whether training has an event of each id, ``(n,)`` bool."""
    return (ids.map(counts[str(ids.name)]).fillna(0) > 0).to_numpy()


def usable_events(tables: Tables, encoder: Encoder) -> Events:
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
            "fields": [_plain(one) for one in side.fields],
        }
        for one in side.fields:
            arrays |= {f"{name}/{key}": values for key, values in _arrays(one).items()}
    (folder / "encoder.json").write_text(json.dumps(plain), encoding="utf-8")
    save_arrays(folder / "encoder.npz", arrays)


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
                tuple(_field(one, name, arrays) for one in plain[name]["fields"]),
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


def _plain(one: Field) -> dict[str, Any]:
    """What of a field is JSON."""
    found = {"name": one.name, "kind": one.kind, "size": one.size}
    return found if one.fitted is None else found | {"fitted": dict(one.fitted.plain)}


def _arrays(one: Field) -> dict[str, Array]:
    """What of a field are arrays."""
    found = {one.name: one.table}
    if one.vectors is not None:
        found[f"{one.name}/vectors"] = one.vectors
    if one.fitted is not None:
        found |= {f"{one.name}/fitted/{key}": v for key, v in one.fitted.arrays.items()}
    return found


def _field(plain: Mapping[str, Any], side: str, arrays: Mapping[str, Array]) -> Field:
    """Undo :func:`_plain` and :func:`_arrays`."""
    place, fitted = f"{side}/{plain['name']}", None
    if "fitted" in plain:
        inside = f"{place}/fitted/"
        own = {key.removeprefix(inside): arrays[key] for key in arrays if key.startswith(inside)}
        fitted = Fitted(plain["fitted"], own)
    return Field(
        plain["name"], plain["kind"], arrays[place], plain["size"],
        arrays.get(f"{place}/vectors"), fitted,
    )  # fmt: skip


def _scaler(plain: dict[str, list]) -> Scaler:
    if "lacking" not in plain:
        raise ValueError(
            "encoder.json: saved by an earlier version of mtrec, which did not note the columns "
            "that training rows lack. Train again: `make repro`."
        )
    return Scaler(**{key: tuple(value) for key, value in plain.items()})


def without(kinds: Collection[str], encoder: Encoder) -> Encoder:
    """The same encoder without some kinds of feature, to measure what they add."""
    user, item = (
        replace(side, fields=tuple(f for f in side.fields if f.kind not in kinds))
        for side in (encoder.user, encoder.item)
    )
    return replace(encoder, user=user, item=item)
