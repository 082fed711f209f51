"""Files that are written whole, whose bytes depend on their content alone."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

EPOCH = (1980, 1, 1, 0, 0, 0)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, none of objects, for :func:`numpy.load`; the file appears whole or not at all.

    :func:`numpy.savez` leaves the headers of members to Python, whose patch releases differ in them
    (3.11.2 and 3.11.7 do), so that DVC would see a change where there is none.

    Raises:
        ValueError: an array holds Python objects.
    """
    temporary = path.with_suffix(".partial")
    with zipfile.ZipFile(temporary, "w") as target:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
            target.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    os.replace(temporary, path)


def keep_out_of_git(folder: Path) -> None:
    """Make ``folder`` if it is not there, and a rule in it that git ignores all that it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
