"""What a column is that plays no role of its own: a number, a category, a list, a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from mtrec.domains.own import values

TITLES = ("title", "name", "headline", "product_name", "product_title", "movie_title")
SEPARATORS = "|;,"
SAMPLE = 50_000  # cells looked at
CATEGORIES = 1_000  # distinct values of a category, at most
LABELS = 300  # distinct parts of a list column, at most
WORDS = 3.5  # words per cell from which a column is text


@dataclass(frozen=True)
class Column:
    """One column, what it is taken for, and why.

    Attributes:
        kind: ``user_id``, ``item_id``, ``timestamp``, ``rating``, ``numeric``, ``binary``,
            ``categorical``, ``multi``, ``text``, ``title`` or ``unused``.
        detail: the unit of a timestamp or the separator of a list.
    """

    name: str
    kind: str
    reason: str
    detail: str = ""


def describe(column: pd.Series, event: bool) -> Column:
    """What a column is that plays no role of its own."""
    name, cells = str(column.name), sample(column)
    known = cells.dropna().str.strip()
    distinct = known.nunique()
    if distinct < 2:
        return Column(name, "unused", "empty" if known.empty else "the same value everywhere")
    if values.yes_or_no(known).notna().all():
        return Column(name, "binary" if event else "categorical", "yes or no")
    numbers = values.numbers(known)
    padded = known.str.match(r"0[0-9]").any()
    if numbers.notna().mean() >= values.MOSTLY and not padded:
        identifier = re.search(r"(^|_)id$", name.lower()) is not None
        if identifier and distinct > CATEGORIES:
            return Column(name, "unused", f"{distinct:,} different ids")
        if identifier:
            return Column(name, "unused" if event else "categorical", "numbers that name something")
        return Column(name, "numeric", f"numbers from {numbers.min():g} to {numbers.max():g}")
    if event:
        return Column(name, "unused", "text of an event is not used")
    if known.str.match(r"https?://").mean() > values.MOSTLY / 2:
        return Column(name, "unused", "web addresses")
    if values.time_unit(known) == "iso":
        return Column(name, "unused", "times of items or users are not used")
    return _words(name, known, distinct)


def _words(name: str, known: pd.Series, distinct: int) -> Column:
    """A list, a text, a title or a category."""
    words = float(known.str.count(r"\s+").mean()) + 1
    for separator in SEPARATORS:
        divided = known.str.contains(separator, regex=False).mean()
        if divided < 0.1 or (separator == "," and words > 2 * WORDS):
            continue
        parts = known.str.split(separator, regex=False).explode().str.strip()
        if parts.nunique() <= min(LABELS, max(distinct, 2)) and parts.str.len().mean() <= 30:
            reason = f"lists of {parts.nunique()} values, divided by {separator}"
            return Column(name, "multi", reason, separator)
    if words >= 2 * WORDS:
        return Column(name, "text", f"{words:.0f} words on average")
    if name.lower() in TITLES and distinct > 0.5 * len(known):
        return Column(name, "title", f"by its name; {distinct:,} different short texts")
    if distinct > 0.5 * len(known) and distinct > 20 or distinct > CATEGORIES:
        if known.str.contains(r"[^\W\d_]{3}", regex=True).mean() < values.MOSTLY / 2:
            return Column(name, "unused", "codes that hardly ever repeat")
        return Column(name, "title", f"{distinct:,} different short texts")
    if words >= WORDS:
        return Column(name, "text", f"{words:.0f} words on average")
    return Column(name, "categorical", f"{distinct:,} values that repeat")


def sample(column: pd.Series) -> pd.Series:
    """Some of a column's cells, evenly spread."""
    return column.iloc[:: max(1, len(column) // SAMPLE)]
