"""Checks that no feature knows what it must not: its own label, or the future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from mtrec.tables.labels import relevant

MIN_ROWS = 30  # held-out rows needed to call a feature determining
MIN_OTHERS = 5  # of them with another label than the commonest, to call an order more than luck


class LeakError(ValueError):
    """A feature knows its label or the future; the message names it."""


def determining_features(features: pd.DataFrame, labels: pd.Series, split: pd.Series) -> list[str]:
    """Features that determine the label: what they say of it never errs on held-out rows.

    For each column, the training rows give a map from value to label. If every held-out row whose
    value was seen has exactly the mapped label, and both the label and the value vary, the column
    is named. Lists count as their sorted values; labels of a multi-label task as sets. A number
    is named, too, if it puts the held-out rows into the order of their labels, or its reverse,
    without an error: a copy in other units, or the score that a label was cut from.

    Args:
        features: columns that a head may see, ``n`` rows.
        labels: the head's labels, missing where unknown.
        split: ``train``, ``validation`` or ``test`` per row.

    Returns:
        Names of determining columns.
    """
    known = labels.notna()
    target = labels[known].map(_hashable)
    training = (split[known] == "train").to_numpy()
    if target[training].nunique() < 2:
        return []
    found = []
    for name in features:
        values = features.loc[known, name]
        values = values.map(_hashable, na_action="ignore")
        if _maps(values, target, training) or _orders(values[~training], target[~training]):
            found.append(name)
    return found


def _maps(values: pd.Series, target: pd.Series, training: Any) -> bool:
    """Whether the training rows' map from value to label holds on all others that it covers."""
    mapped = values[~training].map(target[training].groupby(values[training]).first())
    covered = mapped.notna()
    if covered.sum() < MIN_ROWS or mapped[covered].nunique() < 2:
        return False
    return bool((mapped[covered] == target[~training][covered]).all())


def _orders(values: pd.Series, target: pd.Series) -> bool:
    """Whether a number orders labels without an error."""
    if not all(pd.api.types.is_numeric_dtype(column) for column in (values, target)):
        return False
    known = target[values.notna()]
    if len(known) < MIN_ROWS or (known != known.mode()[0]).sum() < MIN_OTHERS:
        return False
    by_value = known.groupby(values[values.notna()]).agg(["first", "nunique"])
    label = by_value["first"]
    one_each = bool((by_value["nunique"] == 1).all())
    return one_each and (label.is_monotonic_increasing or label.is_monotonic_decreasing)


def refuse_determining_features(
    tables: Any, tasks: dict[str, Any], visible: dict[str, Any]
) -> pd.DataFrame:
    """Check every head against every feature it may see.

    Args:
        tables: the four tables.
        tasks: tasks by name.
        visible: what each head may see (:class:`mtrec.features.visibility.Visible`).

    Returns:
        ``task``, ``features`` (number checked), ``rows`` (labelled rows).

    Raises:
        LeakError: a feature determines a label.
    """
    examples, rows = tables.examples, []
    for name, task in tasks.items():
        seen = visible[name]
        labels = relevant(examples, tasks, name).dropna()
        known = examples.loc[labels.index]
        columns = {
            c: known[c] for c in (*seen.user_context, *seen.item_context, *seen.joint_context)
        }
        for table, key, names in (
            (tables.users, "user_id", seen.user),
            (tables.items, "item_id", seen.item),
        ):
            indexed = table.set_index(key, drop=False)
            columns |= {f"{key[:4]} {c}": known[key].map(indexed[c]) for c in names if c in indexed}
        features = pd.DataFrame(columns, index=known.index)
        found = determining_features(features, labels, known["split"])
        if found:
            raise LeakError(
                f"task '{name}': feature '{found[0]}' determines its label '{task.label}'. Take "
                "the feature out of the head's sight: change view: or features: under "
                f"tasks.{name} in params.yaml."
            )
        rows.append({"task": name, "view": task.view, "features checked": len(columns),
                     "labelled rows": len(known)})  # fmt: skip
    return pd.DataFrame(rows)


def check_past_only(
    make_tables: Callable[[Any], Any],
    raw: Any,
    truncate: Callable[[Any, pd.Timestamp], Any],
    cutoff: pd.Timestamp,
    labels: Sequence[str],
) -> int:
    """Rebuild from raw data without the future: earlier examples must not change.

    Args:
        make_tables: raw data to the four tables.
        raw: the raw data.
        truncate: returns raw data without everything at or after a time.
        cutoff: that time.
        labels: label columns, which may depend on the future.

    Returns:
        Number of rows compared.

    Raises:
        LeakError: a feature of an earlier example changed.
    """
    full, past = (make_tables(data).examples for data in (raw, truncate(raw, cutoff)))
    keys = ["user_id", "item_id", "timestamp"]
    drop = [*labels, "split", "cold_user", "cold_item"]
    both = [
        frame[frame["timestamp"] < cutoff].drop(columns=drop).sort_values(keys, ignore_index=True)
        for frame in (full, past)
    ]
    if len(both[0]) != len(both[1]):
        raise LeakError(
            f"{len(both[0])} examples before {cutoff} with the future, {len(both[1])} without it: "
            "which rows are examples depends on the future. Mend the domain's make_tables."
        )
    for column in both[0]:
        left, right = (frame[column] for frame in both)
        differs = (left != right) & ~(left.isna() & right.isna())
        if differs.any():
            raise LeakError(
                f"column '{column}' of {int(differs.sum())} examples before {cutoff} changes when "
                f"later data is removed (first: row {int(differs.idxmax())}): it was computed from "
                "the future. Mend the domain's make_tables."
            )
    return len(both[0])


def _hashable(value: Any) -> Any:
    return tuple(sorted(value)) if isinstance(value, list) else value
