"""Texts of strangers in CSV files that people open in spreadsheets."""

from __future__ import annotations

import pandas as pd

FORMULA = r"^[=+\-@\t\r]."  # what spreadsheets evaluate
NUMBER = r"^[+\-]?[0-9 .,:/]+([eE][+\-]?[0-9]+)?%?$"


def defused(column: pd.Series) -> pd.Series:
    """Cells with an apostrophe before what a spreadsheet would evaluate: for files alone.

    Example:
        >>> defused(pd.Series(["=1+1", "-5", "drama"])).tolist()
        ["'=1+1", '-5', 'drama']
    """
    risky = column.str.match(FORMULA, na=False) & ~column.str.match(NUMBER, na=False)
    return column.where(~risky, "'" + column)
