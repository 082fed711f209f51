"""What was known before: sums over the past of a key, for many queries at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

Array = np.ndarray


@dataclass(frozen=True)
class Past:
    """Records of integer keys at integer periods, ready for sums strictly before a period.

    Integers keep the sums exact, whatever comes later.

    Example:
        >>> past = Past.of(np.array([7, 7, 9]), np.array([1, 3, 2]))
        >>> past.sum(np.array([7, 7, 9]), np.array([3, 4, 2])).tolist()
        [1, 2, 0]
    """

    SPAN = np.int64(2**12)

    order: Array
    index: Array

    @classmethod
    def of(cls, keys: Array, periods: Array) -> Past:
        """Sort records by key and period; periods are in 0 … 4095."""
        index = keys.astype("int64") * cls.SPAN + periods
        order = np.argsort(index, kind="stable")
        return cls(order, index[order])

    def sum(
        self, keys: Array, periods: Array, values: Array | None = None, window: int | None = None
    ) -> Array:
        """Sum of ``values`` (count if None) per query over the periods before it.

        Args:
            keys: key of each query, ``(n,)``.
            periods: period of each query, ``(n,)``; that period itself does not count.
            values: integer value of each record, in the order given to :meth:`of`.
            window: number of periods that count; all if None.

        Returns:
            ``(n,)`` int64.
        """
        start = 0 if window is None else np.maximum(periods - window, 0)
        base = keys.astype("int64") * self.SPAN
        low = np.searchsorted(self.index, base + start)
        high = np.searchsorted(self.index, base + periods)
        if values is None:
            return high - low
        total = np.concatenate([[0], np.cumsum(values[self.order].astype("int64"))])
        return total[high] - total[low]

    def since(self, keys: Array, periods: Array) -> Array:
        """Periods since the key's last record before the query, NaN without one; ``(n,)``."""
        base = keys.astype("int64") * self.SPAN
        high = np.searchsorted(self.index, base + periods)
        seen = high > np.searchsorted(self.index, base)
        last = self.index[np.maximum(high - 1, 0)] - base
        return np.where(seen, periods - last, np.nan)


def running(
    frame: pd.DataFrame, key: str, value: str, known: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """How many rows of the same key came strictly before each row, and their mean value.

    Args:
        frame: rows with ``key``, ``timestamp`` and ``value``.
        key: column that groups the rows.
        value: numeric column; a missing value is not counted.
        known: rows that may be counted, ``(n,)`` bool. Held-out rows may not, unless the split
            respects time.

    Returns:
        Count, and mean (missing where the count is 0), both float and in the order of ``frame``.

    Example:
        >>> rows = pd.DataFrame({"user": list("aab"), "timestamp": [1, 2, 3], "stars": [4, 2, 5]})
        >>> [column.tolist() for column in running(rows, "user", "stars", rows["stars"] > 0)]
        [[0.0, 1.0, 0.0], [nan, 4.0, nan]]
    """
    counted = known & frame[value].notna()
    ordered = frame[[key, "timestamp"]].assign(
        count=counted.astype(float), total=frame[value].where(counted, 0.0).astype(float)
    )
    ordered = ordered.sort_values([key, "timestamp"], kind="stable")
    own = ordered[["count", "total"]]
    before = ordered.groupby(key)[["count", "total"]].cumsum() - own  # also of this instant
    before = before.groupby([ordered[key], ordered["timestamp"]]).transform("first")
    before = before.reindex(frame.index)
    return before["count"], before["total"] / before["count"].where(before["count"] > 0)
