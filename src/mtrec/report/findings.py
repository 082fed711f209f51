"""What an interval lets us say, in words."""

from __future__ import annotations

import pandas as pd


def verdict(low: float, high: float) -> str:
    """What an interval of a gain allows to be said: ``better``, ``worse`` or ``undecided``.

    Example:
        >>> verdict(0.5, 1.5), verdict(-0.5, 2.5)
        ('better', 'undecided')
    """
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def verdicts(frame: pd.DataFrame, subject: str) -> str:
    """A sentence on differences with intervals, positive is better: how many, and which.

    A claim needs an interval that excludes zero; the rest is called undecided.

    Args:
        frame: ``task``, ``value``, ``low``, ``high``.
        subject: what is judged, such as "Joint training".

    Example:
        >>> frame = pd.DataFrame({"task": ["a", "b"], "low": [0.1, -1.0], "high": [0.2, 1.0]})
        >>> verdicts(frame, "Joint training")
        'Joint training helps 1 of 2 tasks (a) and hurts none; 1 is undecided (b).'
    """
    found: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
    for row in frame.itertuples():
        found[verdict(row.low, row.high)].append(row.task)
    helps, hurts, rest = found.values()

    def counted(tasks: list[str], more: str = "") -> str:
        return f"{len(tasks)}{more} ({', '.join(tasks)})" if tasks else f"none{more}"

    of = f" of {len(frame)} task{'s' * (len(frame) != 1)}"
    be = "is" if len(rest) == 1 else "are"
    more = f"; {len(rest)} {be} undecided ({', '.join(rest)})" if rest else ""
    return f"{subject} helps {counted(helps, of)} and hurts {counted(hurts)}{more}."
