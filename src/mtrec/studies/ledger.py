"""Results of many trainings in one CSV file: what is done is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.files import write_text


def key(*parts: Any) -> str:
    """What identifies a training: 16 hex digits over JSON values.

    Example:
        >>> key("video", 1) == key("video", 1), key("video", 1) == key("video", 2)
        (True, False)
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read(file: Path) -> pd.DataFrame:
    """The results so far, with the column ``key``; empty if there are none.

    Raises:
        ValueError: the file is damaged.
    """
    if not file.is_file():
        return pd.DataFrame({"key": pd.Series(dtype=str)})
    try:
        found = pd.read_csv(file, dtype={"key": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        found = pd.DataFrame()
    if "key" not in found:
        raise ValueError(
            f"{file}: damaged, not a table of results with a column 'key'. Restore it from git or "
            "delete it, and run again."
        )
    return found


def known(
    file: Path, names: Mapping[str, Collection[str]], training: Sequence[str], command: str
) -> pd.DataFrame:
    """What readers are shown: trainings of the present settings, or else the last others of each.

    The present settings are shown as soon as every part of the study has begun with them.

    Args:
        file: of the results.
        names: keys of the present settings by part; without any, the last of each is shown.
        training: columns that tell the rows of one setting apart.
        command: what makes results, for the error.

    Raises:
        FileNotFoundError: there is no result at all.
    """
    found = read(file)
    if found.empty:
        raise FileNotFoundError(f"{file}: no results; run `{command}`.")
    mine = found["key"].isin([name for part in names.values() for name in part])
    begun = names and all(found["key"].isin(part).any() for part in names.values())
    if begun or mine.all():
        return found[mine]
    return found[~mine].drop_duplicates([*training], keep="last")


def missing(found: pd.DataFrame, names: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Trainings planned and done, by part of a study; one that shows others says so.

    Args:
        found: see :func:`known`.
        names: keys of the present settings by part.
    """
    done = {part: len(set(found["key"]).intersection(keys)) for part, keys in names.items()}
    others = "" if any(done.values()) else "; shown: earlier settings, `make study` trains anew"
    return pd.DataFrame(
        [{"part": part, "trainings planned": len(keys), "done": f"{done[part]}{others}"}
         for part, keys in names.items()]
    )  # fmt: skip


def add(file: Path, rows: pd.DataFrame) -> None:
    """Add the rows of a training; the file appears whole or not at all."""
    results = read(file)
    write_text(file, pd.concat([results, rows] if len(results) else [rows]).to_csv(index=False))
