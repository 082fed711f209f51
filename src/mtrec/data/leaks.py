"""Checks that no feature knows what it must not: its own label, or the future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

MIN_ROWS = 30  # held-out rows needed to call a feature determining


class LeakError(ValueError):
    """A feature knows its label or the future; the message names it."""


def determining_features(features: pd.DataFrame, labels: pd.Series, split: pd.Series) -> list[str]:
    """Features that determine the label: a map learnt on training rows never errs on the others.

    For each column, the training rows give a map from value to label. If every held-out row whose
    value was seen has exactly the mapped label, and both the label and the value vary, the column
    is named. Lists count as their sorted values; labels of a multi-label task as sets.

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
        first = target[training].groupby(values[training]).agg(["first", "nunique"])
        mapped = values[~training].map(first["first"])
        covered = mapped.notna()
        if covered.sum() < MIN_ROWS or mapped[covered].nunique() < 2:
            continue
        if (mapped[covered] == target[~training][covered]).all():
            found.append(name)
    return found


def refuse_determining_features(
    tables: Any, tasks: dict[str, Any], visible: dict[str, Any]
) -> pd.DataFrame:
    """Check every head against every feature it may see.

    Args:
        tables: the four tables.
        tasks: tasks by name.
        visible: what each head may see (:class:`mtrec.models.visibility.Visible`).

    Returns:
        ``task``, ``features`` (number checked), ``rows`` (labelled rows).

    Raises:
        LeakError: a feature determines a label.
    """
    examples, rows = tables.examples, []
    for name, task in tasks.items():
        seen = visible[name]
        known = examples[examples[task.label].notna()]
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
        found = determining_features(features, known[task.label], known["split"])
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
