"""Gradient-boosted trees on the features that the task's head may see, texts and graph included.

Source: scikit-learn's ``HistGradientBoosting``, after Ke et al. 2017, "LightGBM",
https://papers.nips.cc/paper/6907.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits

from mtrec.features.encoder import usable_events
from mtrec.features.events import training_events
from mtrec.features.fields import Field, Side
from mtrec.peers.base import Array, PeerTask
from mtrec.registry import Form

FORMS = (Form.BIT, Form.CLASS, Form.LEVEL, Form.NUMBER)
CATEGORIES = 254  # most that a histogram tells apart, with the unknown one
SETTINGS: dict[str, Any] = {"max_iter": 1000, "early_stopping": True}  # else scikit-learn's own
LEAVES, SMALLEST = (31, 7), (20, 200)  # of a tree, and rows of a leaf: chosen on validation rows
FOLDS = 5
COMPONENTS = 16  # leading ones of a text's or a graph's vector, by variance


def boosting(task: PeerTask) -> Array:
    """Predict a binary, multi-class, ordinal or regression task by boosted trees.

    Training stops when the validation rows' loss no longer falls. The size of trees and leaves is
    that with the least of it.

    Returns:
        Probability ``(n,)``, class or level probabilities ``(n, classes)``, or values ``(n,)``.

    Raises:
        ValueError: the task has another type, or its head sees nothing.
    """
    task.require("boosting", FORMS)
    training, validation = task.rows("train"), task.rows("validation")
    columns = features(task)
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
                columns.iloc[training], task.labels[training],
                X_val=columns.iloc[validation], y_val=task.labels[validation],
            )  # fmt: skip
            attempts.append(model)
    best = max(attempts, key=lambda model: model.validation_score_[-1])  # minus its loss
    if regression:
        return best.predict(columns)
    found = best.predict_proba(columns)
    return found[:, 1] if task.kind.form is Form.BIT else found


def features(task: PeerTask) -> pd.DataFrame:
    """One row per example: context, table columns, history in short and running means of the
    label, as far as the task's head sees or starts from them.

    Categories have the training vocabulary and are missing where unknown; a column of more than
    254 becomes the cross-fitted mean label of each category. Of a text or a graph come the leading
    components of its vector, missing where there is none. A history becomes its length, and time,
    values and categories of its last event.

    Raises:
        ValueError: there is no column.
    """
    seen, examples = task.seen, task.tables.examples
    columns = {
        name: examples[name].to_numpy(dtype="float64", na_value=np.nan)
        for name in (*seen.user_context, *seen.item_context, *seen.joint_context)
    }
    for prefix, side, key, names in (
        ("user", task.encoder.user, "user_id", seen.user),
        ("item", task.encoder.item, "item_id", seen.item),
    ):
        columns |= _table(prefix, side, names, side.rows(examples[key]), task)
    if seen.history:
        columns |= _history(task)
    _, in_time = training_events(task.tables.events, examples)
    if task.running_mean is not None and in_time:  # else a row's own label is what it lacks
        means = task.running_mean.reshape(len(examples), -1)
        columns |= {f"running mean {k}": means[:, k] for k in range(means.shape[1])}
    if not columns:
        raise ValueError(
            f"task '{task.name}': peer boosting finds no feature that the head may see. Take it "
            "out of peers: in params.yaml."
        )
    return pd.DataFrame(columns)


def _history(task: PeerTask) -> dict[str, Any]:
    events = usable_events(task.tables, task.encoder)
    inputs = task.encoder.inputs(task.tables.examples, events)
    items, values = inputs["history_items"], inputs["history_events"].astype("float64")
    count = (items > 0).sum(axis=1)
    last = np.where((count > 0)[:, None], values[:, -1], np.nan)
    names = (*task.encoder.event.columns, "recency")
    fields = tuple(f.name for f in task.encoder.item.fields if f.vectors is None)
    return {
        "history length": count.astype("float64"),
        **{f"last {name}": last[:, position] for position, name in enumerate(names)},
        **_table("last item", task.encoder.item, fields, items[:, -1], task),
    }


def _table(
    prefix: str, side: Side, names: tuple[str, ...], rows: Array, task: PeerTask
) -> dict[str, Any]:
    """Columns of a side's features of the given rows."""
    columns: dict[str, Any] = {}
    for field in (side.field(name) for name in names):
        name, values = f"{prefix} {field.name}", field.table[rows]
        if field.kind == "categorical" and field.size <= CATEGORIES:
            codes = pd.Categorical.from_codes(values - 1, categories=range(field.size - 1))
            columns[name] = codes
        elif field.kind == "categorical":
            encoded = _mean_labels(field, values, task)
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


def _mean_labels(field: Field, values: Array, task: PeerTask) -> Array:
    """Mean label of each category, ``(n, 1)`` or ``(n, classes)``; cross-fitted in training."""
    kinds = {Form.BIT: "binary", Form.CLASS: "multiclass"}
    encoder = TargetEncoder(
        target_type=kinds.get(task.kind.form, "continuous"),
        cv=KFold(FOLDS, shuffle=True, random_state=task.seed),
    )
    training = task.rows("train")
    known = encoder.fit_transform(values[training, None], task.labels[training])
    found = encoder.transform(values[:, None])
    found[training] = known
    return found
