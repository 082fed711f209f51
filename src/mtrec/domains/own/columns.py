"""What a column is that plays no role of its own: a number, a category, a list, a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from mtrec.domains.own import field, lists, times, values
from mtrec.domains.own.cells import samples

TITLES = ("title", "name", "headline", "product_name", "product_title", "movie_title")
SEPARATORS = "|;,"
SAMPLE = 50_000  # cells looked at
CATEGORIES = 1_000  # distinct values of a category, at most
LABELS = 300  # distinct parts of a list column, at most
WORDS = 3.5  # words per cell from which a column is text
CODED = "numbers that name something"
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?[AaPp][Mm])?"
OF_DAY = "a time of day"
COUNTED = 10  # rows from which numbers that go up by one are row numbers


@dataclass(frozen=True)
class Column:
    """One column, what it is taken for, and why.

    Attributes:
        kind: ``user_id``, ``item_id``, ``timestamp``, ``rating``, ``numeric``, ``binary``,
            ``categorical``, ``multi``, ``text``, ``title``, ``kinds`` or ``split`` (of events), or
            ``unused``.
        detail: the unit of a timestamp or the separator of a list.
        samples: a few of its cells.
    """

    name: str
    kind: str
    reason: str
    detail: str = ""
    samples: str = ""


def describe(column: pd.Series, event: bool, points: bool = False) -> Column:
    """What a column is that plays no role of its own.

    Args:
        column: text cells.
        event: of an event, not of an item or user.
        points: other columns of the file have numbers with decimal points.
    """
    name, cells = str(column.name), sample(column)
    known = cells.dropna().str.strip()
    kind, reason, *detail = _kind(name, column, known, event, points)
    return Column(name, kind, reason, detail[0] if detail else "", samples(known))


def has_points(column: pd.Series) -> bool:
    """Whether a column holds numbers with decimal points."""
    found = sample(column).dropna().str.fullmatch(r"\s*[+-]?[0-9]+\.[0-9]+\s*")
    return len(found) > 0 and bool(found.mean() > 0.05)


def _kind(
    name: str, column: pd.Series, known: pd.Series, event: bool, points: bool
) -> tuple[str, ...]:
    """Kind, reason, and perhaps the detail."""
    distinct = known.nunique()
    if distinct < 2:
        return "unused", "empty" if known.empty else "the same value everywhere"
    if _row_numbers(name, column, event):
        return "unused", "row numbers"
    if values.yes_or_no(known).notna().all():
        return ("binary" if event else "categorical"), "yes or no"
    if lists.enclosed(known):
        return _list(known, lists.BRACKETS, event)
    if lists.of_numbers(name, known, points):
        return _list(known, ",", event)
    unit = times.units(known)
    if unit and (unit[0] not in times.EPOCHS or field.moment(name)):
        whose = "another time" if event else "times are not used here"
        return "unused", whose
    numbers = values.numbers(known)
    if numbers.notna().mean() >= values.MOSTLY and not known.str.match(r"0[0-9]").any():
        return _number(name, numbers, distinct, event)
    if values.thousands(known):
        return "unused", "the comma may stand for decimals or thousands; write 4.25 or 4250"
    if event and known.str.fullmatch(CLOCK).all():
        return "unused", OF_DAY
    if event:
        return "unused", "text of an event"
    if known.str.match(r"https?://").mean() > values.MOSTLY / 2:
        return "unused", "web addresses"
    return _words(name, known, distinct)


def _row_numbers(name: str, column: pd.Series, event: bool) -> bool:
    """Whether cells go up by one from row to row, and the name does not say otherwise."""
    called = name.lower().startswith("unnamed") or name.lower() in ("index", "row", "rownum")
    nameless = re.fullmatch("column_[0-9]+", name) or set(field.tokens(name)) & field.CODES
    if not called and (len(column) < COUNTED or not (event or nameless)):
        return False
    few = values.numbers(column.iloc[:1_000])
    return bool((few.diff().iloc[1:] == 1).all()) or (
        called and bool((few.diff().iloc[1:] > 0).all())
    )


def _number(name: str, numbers: pd.Series, distinct: int, event: bool) -> tuple[str, ...]:
    words = field.tokens(name)
    whole = (numbers.dropna() % 1 == 0).all()
    if (
        words
        and whole
        and (words[-1] in field.CODES or words[0] == "invoice")
        and not (set(words) & field.LASTING)
    ):
        if distinct > CATEGORIES:
            return "unused", f"{distinct:,} different ids"
        return ("unused" if event else "categorical"), CODED
    return "numeric", f"numbers from {numbers.min():g} to {numbers.max():g}"


def _list(known: pd.Series, separator: str, event: bool) -> tuple[str, ...]:
    parts = lists.lists(known, separator).explode().dropna()
    how = "in brackets" if separator == lists.BRACKETS else f"divided by {separator}"
    reason = f"lists of {parts.nunique()} values, {how}"
    if event:
        return "unused", f"{reason}: lists of an event are not used"
    if not 1 < parts.nunique() <= max(LABELS, CATEGORIES):
        return "unused", f"{reason}: too many or too few"
    return "multi", reason, separator


def _words(name: str, known: pd.Series, distinct: int) -> tuple[str, ...]:
    """A list, a text, a title or a category."""
    words = float(known.str.count(r"\s+").mean()) + 1
    for separator in SEPARATORS:
        divided = known.str.contains(separator, regex=False).mean()
        if divided < 0.1 or (separator == "," and words > 2 * WORDS):
            continue
        parts = known.str.split(separator, regex=False).explode().str.strip()
        most = LABELS if set(field.tokens(name)) & field.LISTS else min(LABELS, max(distinct, 2))
        if parts.nunique() <= most and parts.str.len().mean() <= 30:
            return _list(known, separator, False)
    if set(field.tokens(name)) & field.LISTS and known.str.contains(" ").mean() >= 0.1:
        parts = known.str.split().explode()
        if parts.nunique() <= min(LABELS, distinct / 2):
            return _list(known, " ", False)
    if words >= 2 * WORDS:
        return "text", f"{words:.0f} words on average"
    if name.lower() in TITLES and distinct > 0.5 * len(known):
        return "title", f"by its name; {distinct:,} different short texts"
    if distinct > 0.5 * len(known) and distinct > 20 or distinct > CATEGORIES:
        if known.str.contains(r"[^\W\d_]{3}", regex=True).mean() < values.MOSTLY / 2 and not (
            known.str.contains(r"[\u0370-\uffff]{2}", regex=True).mean() > 0.5
        ):
            return "unused", "codes that hardly ever repeat"
        return "title", f"{distinct:,} different short texts"
    if words >= WORDS:
        return "text", f"{words:.0f} words on average"
    return "categorical", f"{distinct:,} values that repeat"


def sample(column: pd.Series) -> pd.Series:
    """Some of a column's cells, evenly spread."""
    return column.iloc[:: max(1, len(column) // SAMPLE)]
