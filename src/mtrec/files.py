"""Files that are written whole, whose bytes depend on their content alone."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line writes text alone and starts without NumPy
    import numpy as np

SUMS = "SHA256SUMS"
EPOCH = (1980, 1, 1, 0, 0, 0)


@contextmanager
def whole(path: Path, shared: bool = False) -> Iterator[Path]:
    """A path to write to; it becomes ``path`` at the end, which stays as it was after an error.

    Args:
        path: the file; its folder is made if it is not there.
        shared: whether several processes may write this file at once.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with whole(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("all of it")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f"{path.name}{own}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, shared: bool = False) -> None:
    """Write a text in UTF-8, see :func:`whole`."""
    with whole(path, shared) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, none of objects, for :func:`numpy.load`; the file appears whole or not at all.

    :func:`numpy.savez` leaves the headers of members to Python, whose patch releases differ in them
    (3.11.2 and 3.11.7 do), so that DVC would see a change where there is none.

    Raises:
        ValueError: an array holds Python objects.
    """
    import numpy as np

    with whole(path) as temporary, zipfile.ZipFile(temporary, "w") as target:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
            target.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a folder by name, but for their list; a link counts as empty."""
    return {
        path.name: hashlib.sha256(
            path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        ).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != SUMS
    }


def write_sums(folder: Path) -> None:
    """List the files of a folder with their SHA-256, as ``sha256sum --check`` reads it."""
    lines = [f"{digest}  {name}\n" for name, digest in digests(folder).items()]
    write_text(folder / SUMS, "".join(lines))


def keep_out_of_git(folder: Path) -> None:
    """Make ``folder`` if it is not there, and a rule in it that git ignores all that it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
