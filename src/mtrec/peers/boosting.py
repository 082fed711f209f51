"""Gradient-boosted trees on the features that the task's head may see, texts and graph included.

Source: scikit-learn's ``HistGradientBoosting``, after Ke et al. 2017, "LightGBM",
https://papers.nips.cc/paper/6907.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits

from mtrec.features.events import training_events
from mtrec.features.fields import Field, Side
from mtrec.peers.base import Array, PeerTask, Question, Specialist
from mtrec.registry import Form

FORMS = (Form.BIT, Form.CLASS, Form.LEVEL, Form.NUMBER)
CATEGORIES = 254  # most that a histogram tells apart, with the unknown one
SETTINGS: dict[str, Any] = {"max_iter": 1000, "early_stopping": True}  # else scikit-learn's own
LEAVES, SMALLEST = (31, 7), (20, 200)  # of a tree, and rows of a leaf: chosen on validation rows
FOLDS = 5
COMPONENTS = 16  # leading ones of a text's or a graph's vector, by variance


@dataclass(frozen=True)
class Boosting(Specialist):
    """Trees as arrays, and what turns rows into their columns.

    Attributes:
        nodes: of all trees, one after the other, in scikit-learn's form.
        ends: where each tree's nodes end; trees of one round are neighbours.
        left: bit sets of the categories that go left, of all trees, ``(splits, 8)``.
        left_ends: where each tree's end.
        known: bit sets of the categories that training shows, ``(categorical columns, 8)``.
        positions: row of ``known`` of each column.
        start: raw prediction before the first tree, ``(outputs,)``.
        means: whether running means are columns.
        names: of the categorical columns, in the trees' order, then of the others.
        shown: codes that training shows, of each categorical column one after the other; the trees
            know a category by its place among them.
        shown_ends: where each column's end.
        encoded: names of columns that hold mean labels of categories.
        encodings: those means one after the other, ``(categories, numbers)``.
        encoding_ends: where each name's end.
    """

    nodes: Array
    ends: Array
    left: Array
    left_ends: Array
    known: Array
    positions: Array
    start: Array
    means: Array
    names: Array
    shown: Array
    shown_ends: Array
    encoded: Array
    encodings: Array
    encoding_ends: Array

    def answer(self, asked: Question) -> Array:
        """Probability ``(n,)``, class or level probabilities ``(n, classes)``, or values."""
        tables = np.split(self.encodings, self.encoding_ends[:-1])
        encodings = dict(zip(self.encoded.tolist(), tables, strict=False))
        frame = columns(asked, bool(self.means), encodings)[self.names.tolist()]
        shown = dict(zip(frame, np.split(self.shown, self.shown_ends[:-1]), strict=False))
        values = np.column_stack([_number(frame[name], shown.get(name)) for name in frame])
        raw = np.repeat(self.start[None], len(frame), axis=0)
        for tree, one in enumerate(self._trees):
            raw[:, tree % raw.shape[1]] += one.predict(values, self.known, self.positions, 1)
        form = asked.kind.form
        if form is Form.NUMBER:
            return raw[:, 0]
        if raw.shape[1] > 1:
            return softmax(raw, axis=1)
        second = expit(raw[:, 0])
        return second if form is Form.BIT else np.stack([1 - second, second], axis=1)

    @cached_property
    def _trees(self) -> list[TreePredictor]:
        nodes, left = np.split(self.nodes, self.ends[:-1]), np.split(self.left, self.left_ends[:-1])
        return [TreePredictor(one, sets, sets) for one, sets in zip(nodes, left, strict=True)]


def boosting(task: PeerTask) -> Boosting:
    """Predict a binary, multi-class, ordinal or regression task by boosted trees.

    Training stops when the validation rows' loss no longer falls. The size of trees and leaves is
    that with the least of it.

    Raises:
        ValueError: the task has another type, or its head sees nothing.
    """
    task.require("boosting", FORMS)
    training, validation = task.rows("train"), task.rows("validation")
    encodings, table = _encodings(task), features(task)
    regression = task.kind.form is Form.NUMBER
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    attempts = []
    with threadpool_limits(1):  # the same sums on any machine; threads of small trees mostly wait
        for leaves, smallest in product(LEAVES, SMALLEST):
            model = kind(
                categorical_features="from_dtype", random_state=task.seed, max_leaf_nodes=leaves,
                min_samples_leaf=smallest, **SETTINGS,
            )  # fmt: skip
            model.fit(
                table.iloc[training], task.labels[training],
                X_val=table.iloc[validation], y_val=task.labels[validation],
            )  # fmt: skip
            attempts.append(model)
    best = max(attempts, key=lambda model: model.validation_score_[-1])  # minus its loss
    return _fitted(best, table, _reads_means(task), encodings)


def _fitted(model: Any, table: pd.DataFrame, means: bool, encodings: dict[str, Array]) -> Boosting:
    """A model of scikit-learn as arrays; it puts categorical columns first."""
    trees = [tree for one in model._predictors for tree in one]
    known, positions = model._bin_mapper.make_known_categories_bitsets()
    categories = [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]
    names = [*categories, *(name for name in table if name not in categories)]
    shown = _shown(model, len(categories))
    lefts = [tree.raw_left_cat_bitsets for tree in trees]
    tables = list(encodings.values())
    width = tables[0].shape[1] if tables else 1
    return Boosting(
        np.concatenate([tree.nodes for tree in trees]),
        np.cumsum([len(tree.nodes) for tree in trees]),
        np.concatenate(lefts), np.cumsum([len(one) for one in lefts]), known, positions,
        model._baseline_prediction.ravel(), np.asarray(means), np.array(names),
        np.concatenate([np.zeros(0), *shown]), np.cumsum([len(one) for one in shown]),
        np.array(list(encodings), dtype="str"), np.concatenate([np.zeros((0, width)), *tables]),
        np.cumsum([len(one) for one in tables] or [0]),
    )  # fmt: skip


def _shown(model: Any, columns: int) -> list[Array]:
    """The categories that each categorical column showed in training, in order."""
    if not columns:
        return []
    known = model._preprocessor.named_transformers_["encoder"].categories_
    return [one[~pd.isna(one)].astype("float64") for one in known]


def _number(column: pd.Series, shown: Array | None) -> Array:
    """A column as the trees read it: places of categories, NaN where missing or never shown."""
    if shown is None or not isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy(dtype="float64")
    places = pd.Index(shown).get_indexer(column.cat.codes.to_numpy(dtype="float64"))
    return np.where(places < 0, np.nan, places)


def features(task: PeerTask) -> pd.DataFrame:
    """One row per example, see :func:`columns`; means of categories are cross-fitted in training.

    A column that training rows have no value of is left out.

    Raises:
        ValueError: there is no column.
    """
    rows = task.question(np.arange(len(task.labels)))
    table = columns(rows, _reads_means(task), _encodings(task))
    training = task.rows("train")
    for name, (_, values) in _many(rows).items():
        known = _encoder(task).fit_transform(values[training, None], task.labels[training])
        for k in range(known.shape[1]):
            column = table[f"{name} {k}"].to_numpy(copy=True)
            column[training] = known[:, k]
            table[f"{name} {k}"] = column
    table = table.loc[:, table.iloc[training].notna().any()]  # a column without a value has no bins
    if table.empty or not len(table.columns):
        raise ValueError(
            f"task '{task.name}': peer boosting finds no feature that the head may see. Take it "
            "out of peers: in params.yaml."
        )
    return table


def columns(asked: Question, means: bool, encodings: dict[str, Array]) -> pd.DataFrame:
    """One row per row asked: context, table columns, history in short and running means of the
    label, as far as the task's head sees or starts from them.

    Categories have the training vocabulary and are missing where unknown; a column of more than
    254 becomes the mean label of each category. Of a text or a graph come the leading components of
    its vector, missing where there is none. A history becomes its length, and time, values and
    categories of its last event.

    Args:
        asked: the rows.
        means: whether running means are columns.
        encodings: mean labels by category, of each column of many.
    """
    seen, found = asked.seen, {}
    for name in (*seen.user_context, *seen.item_context, *seen.joint_context):
        found[name] = asked.rows[name].to_numpy(dtype="float64", na_value=np.nan)
    for prefix, side, names, rows in _tables(asked):
        found |= _table(prefix, side, names, rows, encodings)
    if seen.history:
        found |= _history(asked, encodings)
    if means:
        assert asked.running_mean is not None
        values = asked.running_mean.reshape(len(asked), -1)
        found |= {f"running mean {k}": values[:, k] for k in range(values.shape[1])}
    return pd.DataFrame(found)


def _reads_means(task: PeerTask) -> bool:
    """Whether running means are columns; without a split in time a row's own label is what they
    lack."""
    _, in_time = training_events(task.tables.events, task.tables.examples)
    return task.running_mean is not None and in_time


def _tables(asked: Question) -> tuple[tuple[str, Side, tuple[str, ...], Array], ...]:
    """Sides with a name, the features that are seen, and the rows of their tables."""
    encoder, seen = asked.encoder, asked.seen
    return ("user", encoder.user, seen.user, asked.user), (
        "item",
        encoder.item,
        seen.item,
        asked.item,
    )


def _history(asked: Question, encodings: dict[str, Array]) -> dict[str, Any]:
    encoder, (items, values) = asked.encoder, asked.histories
    values = values.astype("float64")
    count = (items > 0).sum(axis=1)
    last = np.where((count > 0)[:, None], values[:, -1], np.nan)
    names = (*encoder.event.columns, "recency")
    return {
        "history length": count.astype("float64"),
        **{f"last {name}": last[:, position] for position, name in enumerate(names)},
        **_table("last item", encoder.item, _plain(encoder.item), items[:, -1], encodings),
    }


def _plain(side: Side) -> tuple[str, ...]:
    """Features that have no vectors."""
    return tuple(field.name for field in side.fields if field.vectors is None)


def _table(
    prefix: str, side: Side, names: tuple[str, ...], rows: Array, encodings: dict[str, Array]
) -> dict[str, Any]:
    """Columns of a side's features of the given rows."""
    columns: dict[str, Any] = {}
    for field in (side.field(name) for name in names):
        name, values = f"{prefix} {field.name}", field.table[rows]
        if field.kind == "categorical" and field.size <= CATEGORIES:
            codes = pd.Categorical.from_codes(values - 1, categories=range(field.size - 1))
            columns[name] = codes
        elif field.kind == "categorical":
            encoded = encodings[name][values]
            columns |= {f"{name} {k}": encoded[:, k] for k in range(encoded.shape[1])}
        elif field.kind == "multi":
            columns |= {f"{name} {k}": values[:, k].astype("float64") for k in range(field.size)}
        elif field.kind == "numeric":
            columns[name] = np.where(values[:, 1] > 0, np.nan, values[:, 0].astype("float64"))
        elif field.vectors is not None:
            vectors = field.vectors[values, :COMPONENTS].astype("float64")
            vectors[values == 0] = np.nan
            columns |= {f"{name} {k}": vectors[:, k] for k in range(vectors.shape[1])}
    return columns


def _many(asked: Question) -> dict[str, tuple[Field, Array]]:
    """Columns of too many categories: their feature, and the category of each row."""
    parts = list(_tables(asked))
    if asked.seen.history:
        item = asked.encoder.item
        parts.append(("last item", item, _plain(item), asked.histories[0][:, -1]))
    return {
        f"{prefix} {name}": (side.field(name), side.field(name).table[rows])
        for prefix, side, names, rows in parts
        for name in names
        if side.field(name).kind == "categorical" and side.field(name).size > CATEGORIES
    }


def _encoder(task: PeerTask) -> TargetEncoder:
    kinds = {Form.BIT: "binary", Form.CLASS: "multiclass"}
    return TargetEncoder(
        target_type=kinds.get(task.kind.form, "continuous"),
        cv=KFold(FOLDS, shuffle=True, random_state=task.seed),
    )


def _encodings(task: PeerTask) -> dict[str, Array]:
    """Mean label of each category of a column of many, ``(categories, 1)`` or one per class."""
    training, found = task.rows("train"), {}
    for name, (field, values) in _many(task.question(training)).items():
        encoder = _encoder(task).fit(values[:, None], task.labels[training])
        found[name] = encoder.transform(np.arange(field.size)[:, None].astype(values.dtype))
    return found
