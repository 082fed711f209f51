"""Numbers as the page and its figures show them."""

from __future__ import annotations

import pandas as pd


def interval(low: float, high: float) -> str:
    """An interval in brackets after its value; nothing where there is none."""
    return "" if pd.isna(low) else f" [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """Four significant digits, thousands with commas.

    Example:
        >>> number(0.88361), number(163999.7), number(12.346)
        ('0.8836', '164,000', '12.35')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"
