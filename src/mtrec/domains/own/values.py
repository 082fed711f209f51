"""Text cells -> numbers, ratings, yes or no, and texts; what does not fit is missing."""

from __future__ import annotations

import html
import re

import numpy as np
import pandas as pd

YES = ("1", "1.0", "true", "t", "yes", "y", "oui", "ja", "sí", "si", "sim", "tak", "да", "是")
NO = ("0", "0.0", "false", "f", "no", "n", "non", "nein", "nee", "não", "nie", "нет", "否")
LIKED = {"up": 1.0, "down": -1.0, "thumbs up": 1.0, "thumbs down": -1.0, "like": 1.0,
         "dislike": -1.0, "+": 1.0, "-": -1.0, "👍": 1.0, "👎": -1.0, "positive": 1.0,
         "negative": -1.0, "neutral": 0.0}  # fmt: skip
STARS = r"^[★⭐*]+️?[☆✩]*$|^☆+$"  # as many as are filled
SPLITS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
          "val": "validation", "dev": "validation", "test": "test", "testing": "test"}  # fmt: skip
MARKUP = r"</?(?:p|br|b|i|u|em|strong|div|span|ul|ol|li|h[1-6]|a|img|table|t[rdh]|font)\b[^<>]*>"
SIGNS = r"^[€$£¥₹]\s*|\s*[€$£¥₹%]$"
THOUSANDS = r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?"
RATED = (  # "4 stars", "4/5", "4 out of 5"
    r"^(?P<number>[+-]?[0-9]+(?:[.,][0-9]+)?)\s*(?:stars?|★|points?|pts?|"
    r"(?:/|out of|of|von|sur|de)\s*(?P<scale>[0-9]+)(?:\s*stars?)?)$"
)
MOSTLY = 0.95  # share of known cells that must fit for a column to be of a kind


def numbers(column: pd.Series) -> pd.Series:
    """Numbers as float64; a currency or percent sign is left out.

    Decimal commas are understood if no cell has a point, commas between thousands if a cell has a
    point or several commas. ``4,250`` may be either, so it is no number.

    Example:
        >>> numbers(pd.Series(["1.5", "x", None])).tolist()
        [1.5, nan, nan]
        >>> numbers(pd.Series(["1,5", "20,25"])).tolist()
        [1.5, 20.25]
        >>> numbers(pd.Series(["$1,250.50", "$3"])).tolist(), numbers(pd.Series(["4,250"])).tolist()
        ([1250.5, 3.0], [nan])
    """
    cells = column.astype("str").str.strip()
    if cells.str.contains(SIGNS, regex=True, na=False).any():
        cells = cells.str.replace(SIGNS, "", regex=True)
    commas = cells.str.contains(",", regex=False, na=False)
    if commas.any():
        cells = _with_points(cells, cells[commas])
    return pd.to_numeric(cells.astype("object"), errors="coerce").astype("float64")


def _with_points(cells: pd.Series, marked: pd.Series) -> pd.Series:
    """Cells with a decimal point if it is clear what commas (in those ``marked``) stand for."""
    points = cells.str.contains(".", regex=False, na=False).any()
    if marked.str.fullmatch(THOUSANDS).all():
        clear = points or (marked.str.count(",") > 1).any()
        return cells.str.replace(",", "", regex=False) if clear else cells
    if points and marked.str.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]{3})*,[0-9]+").all():
        if not cells.drop(marked.index).str.contains(r"\.[0-9]{0,2}$", regex=True).any():
            return cells.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    elif cells.str.fullmatch(r"[+-]?[0-9]+(,[0-9]+)?", na=True).mean() >= MOSTLY:
        return cells.str.replace(",", ".", regex=False)
    return cells


def thousands(column: pd.Series) -> bool:
    """Whether numbers have a comma that may stand before decimals or before thousands.

    Example:
        >>> thousands(pd.Series(["4,250", "3"])), thousands(pd.Series(["4,25"]))
        (True, False)
    """
    cells = column.dropna().str.strip()
    marked = cells[cells.str.contains(",", regex=False)]
    return (
        len(marked) > 0
        and bool(marked.str.fullmatch(r"[+-]?[0-9]{1,3},[0-9]{3}").all())
        and bool(cells.str.fullmatch(r"[+-]?[0-9,.]+").mean() >= MOSTLY)
    )


def ratings(column: pd.Series) -> pd.Series:
    """Ratings as float64: numbers, perhaps with one and the same unit or scale, stars, likes.

    Example:
        >>> ratings(pd.Series(["★★★☆☆", "★"])).tolist(), ratings(pd.Series(["up", "down"])).tolist()
        ([3.0, 1.0], [1.0, -1.0])
        >>> ratings(pd.Series(["4 stars", "1 star", "bad"])).tolist()
        [4.0, 1.0, nan]
        >>> ratings(pd.Series(["4/5", "2.5/5"])).tolist()
        [4.0, 2.5]
    """
    found = numbers(column)
    if found.notna().sum() >= MOSTLY * column.notna().sum():
        return found
    said = yes_or_no(column)
    if said.notna().sum() >= MOSTLY * column.notna().sum():
        return said
    cells = column.astype("str").str.strip().str.lower()
    if cells.str.fullmatch(STARS, na=True).all():
        return cells.str.count("[★⭐*]").astype("float64")
    if cells.isin(list(LIKED)).sum() >= MOSTLY * column.notna().sum():
        return cells.map(LIKED).astype("float64")
    parts = cells.str.extract(RATED)
    scales = parts["scale"].dropna()
    if scales.nunique() > 1 or len(scales) not in (0, parts["number"].notna().sum()):
        return found
    return numbers(parts["number"])


def yes_or_no(column: pd.Series) -> pd.Series:
    """1.0 for 1, true, yes and their like, 0.0 for 0, false, no; missing otherwise."""
    cells = column.astype("str").str.strip().str.lower()
    return pd.Series(
        np.select([cells.isin(YES), cells.isin(NO)], [1.0, 0.0], np.nan), index=column.index
    )


def split_of(column: pd.Series) -> pd.Series:
    """``train``, ``validation`` or ``test`` by the usual words; missing where nothing is said.

    Raises:
        ValueError: a cell says something else.
    """
    cells = column.str.strip().str.lower()
    split = cells.map(SPLITS)
    strange = column[split.isna() & cells.notna() & (cells != "")]
    if len(strange):
        raise ValueError(
            f"events: {len(strange):,} cells of column '{column.name}', such as "
            f"'{strange.iloc[0]}', name no split. Write train, validation or test."
        )
    return split


def fill(template: str, frame: pd.DataFrame) -> pd.Series:
    """Texts by a template such as ``{title}. {maker}``; a missing cell takes its lead-in along.

    Only ``{column}`` is understood, and it inserts the cell as it is, but for HTML's marks.

    Returns:
        ``str`` column, missing where no column of the template is known.

    Raises:
        KeyError: the template names a column that ``frame`` lacks.

    Example:
        >>> fill("{a}, by {b}", pd.DataFrame({"a": ["x", None], "b": [None, "y"]})).tolist()
        ['x', 'by y']
    """
    parts = re.split(r"\{(\w+)\}", template)
    text = pd.Series("", index=frame.index, dtype="str")
    some = pd.Series(False, index=frame.index)
    for lead, column in zip(parts[::2], parts[1::2], strict=False):
        if column not in frame:
            raise KeyError(
                f"text: there is no column '{column}' (found: {', '.join(frame.columns)}). "
                "Mend text: in params.yaml."
            )
        cell = _bare(frame[column].astype("str"))
        cell = cell.str.replace(r"\s+", " ", regex=True).str.strip()
        known = cell.notna() & (cell != "")
        text = text + (lead + cell).where(known, "")
        some |= known
    text = (text + parts[-1]).str.strip(" ,;:.").str[:1000]
    return text.where(some)


def _bare(cells: pd.Series) -> pd.Series:
    """Texts without HTML's marks; ``&amp;`` is the character that it stands for.

    Example:
        >>> _bare(pd.Series(["<p>Salt &amp; <b>pepper</b></p>", "a < b"])).tolist()
        [' Salt &  pepper  ', 'a < b']
    """
    if cells.str.contains(MARKUP, regex=True, na=False, case=False).any():
        cells = cells.str.replace(MARKUP, " ", regex=True, case=False)
    if cells.str.contains(r"&(?:\w+|#\d+);", regex=True, na=False).any():
        cells = cells.map(html.unescape, na_action="ignore")
    return cells
