"""What an interval lets us say, in words."""

from __future__ import annotations

import pandas as pd


def verdicts(frame: pd.DataFrame, subject: str) -> str:
    """One sentence per outcome from differences with intervals, positive is better.

    A claim needs an interval that excludes zero; the rest is called unclear.

    Args:
        frame: ``task``, ``value``, ``low``, ``high``.
        subject: what is judged, such as "Joint training".

    Example:
        >>> frame = pd.DataFrame({"task": ["a", "b"], "low": [0.1, -1.0], "high": [0.2, 1.0]})
        >>> verdicts(frame, "Joint training")
        'Joint training helps a; hurts none; is unclear for b.'
    """
    helps = list(frame.loc[frame["low"] > 0, "task"])
    hurts = list(frame.loc[frame["high"] < 0, "task"])
    unclear = [task for task in frame["task"] if task not in (*helps, *hurts)]

    def names(tasks: list[str]) -> str:
        return ", ".join(tasks) or "none"

    return f"{subject} helps {names(helps)}; hurts {names(hurts)}; is unclear for {names(unclear)}."
