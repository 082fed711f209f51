"""What was known of an entity before a row, from an events table alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtrec.features.events import milliseconds


def past_columns(
    events: pd.DataFrame, rows: pd.DataFrame, side: str, columns: Sequence[str]
) -> pd.DataFrame:
    r"""Count and means over the entity's events strictly before each row.

    Args:
        events: events with ``<side>_id``, ``timestamp`` and ``columns``.
        rows: rows with ``<side>_id`` and ``timestamp``.
        side: ``user`` or ``item``.
        columns: numeric columns of events.

    Returns:
        ``<side>_past_count``, :math:`\log(1+n)`, and ``<side>_past_<column>``, the mean (missing
        without an event), with the index of ``rows``; all missing without an id or a time.
    """
    ids = pd.Index(events[f"{side}_id"].unique())
    code, time = ids.get_indexer(events[f"{side}_id"]), milliseconds(events["timestamp"])
    order = np.lexsort((time, code))
    asked, now = ids.get_indexer(rows[f"{side}_id"]), milliseconds(rows["timestamp"])
    span, origin = np.int64(2**43), int(time.min()) if len(time) else 0
    keys = code[order].astype("int64") * span + (time[order] - origin)
    start = np.searchsorted(keys, asked.astype("int64") * span)
    until = asked.astype("int64") * span + np.clip(now - origin, 0, span - 1)
    stop = np.where(asked >= 0, np.searchsorted(keys, until), start)
    count = (stop - start).astype(float)
    known = (rows[f"{side}_id"].notna() & rows["timestamp"].notna()).to_numpy()
    found = {f"{side}_past_count": np.where(known, np.log1p(count), np.nan)}
    for column in columns:
        total = np.r_[0.0, np.cumsum(events[column].to_numpy(dtype=float)[order])]
        sums = np.where(count > 0, total[stop] - total[start], np.nan)
        found[f"{side}_past_{column}"] = np.where(known, sums / np.maximum(count, 1), np.nan)
    return pd.DataFrame(found, index=rows.index)
