"""Frozen splits: files of row numbers, committed, known by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.files import whole

Array = np.ndarray


@dataclass(frozen=True)
class Split:
    """Row numbers of the raw file, by part.

    Attributes:
        name: of the protocol's split.
        sha256: of its file.
        rows: part (``train``, ``validation``, ``test``) -> row numbers, int32.
    """

    name: str
    sha256: str
    rows: Mapping[str, Array]


def sha256_of(rows: pd.DataFrame) -> str:
    """SHA-256 of a split that is a table: of its columns as CSV, in their order."""
    return hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def frozen(folder: Path, name: str, make: Callable[[], Mapping[str, Array]]) -> Split:
    """The split of a committed file; where there is none, it is made and written once.

    Args:
        folder: ``benchmarks/splits``.
        name: of the split.
        make: returns the parts' row numbers.

    Raises:
        ValueError: the file is damaged, or a row is in two parts.
    """
    file = folder / f"{name}.npz"
    if not file.is_file():
        rows = {part: found.astype("int32") for part, found in make().items()}
        with whole(file) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **rows)
    try:
        with np.load(file) as found:
            rows = {key: found[key] for key in found.files}
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{file}: damaged ({error}); restore it with `git checkout`.") from error
    together = np.concatenate(list(rows.values()))
    if len(np.unique(together)) != len(together):
        raise ValueError(f"{file}: a row is in two parts; delete the file and make it anew.")
    return Split(name, hashlib.sha256(file.read_bytes()).hexdigest(), rows)
