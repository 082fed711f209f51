"""Results of many trainings in one CSV file: what is done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd


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


def add(file: Path, rows: pd.DataFrame) -> None:
    """Add the rows of a training; the file appears whole or not at all."""
    results = read(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".partial")
    pd.concat([results, rows] if len(results) else [rows]).to_csv(temporary, index=False)
    os.replace(temporary, file)
