"""Whether raw files are what the manifest and DVC say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from mtrec.fetch.manifest import Distribution, FetchError, read_manifest


def verify(data: Path, distributions: tuple[Distribution, ...]) -> None:
    """Check that ``data`` holds the manifest's files and no other.

    Raises:
        FetchError: a file is missing, changed or not in the manifest.
    """
    members = {member.to: member.sha256 for entry in distributions for member in entry.members}
    found = {path.relative_to(data).as_posix(): path for path in files_in(data)}
    for name, digest in members.items():
        if name not in found:
            raise FetchError(f"data/{name}: missing. Run `mtrec fetch` to restore it.")
        if sha256(found[name]) != digest:
            raise FetchError(
                f"data/{name}: differs from the manifest (another SHA-256). Delete the file and "
                "run `mtrec fetch` to restore it, or keep your own data in a domain of its own."
            )
    for name in sorted(set(found) - set(members)):
        raise FetchError(f"data/{name}: not in the manifest. Move it out of data/.")


def verified(file: Path) -> Path:
    """Return ``file`` if its content is what the manifest says; for files that run code when read.

    Args:
        file: ``<raw folder>/<name>`` of a member of the manifest.

    Raises:
        FetchError: it is missing or differs.
    """
    name = f"{file.parent.name}/{file.name}"
    expected = {m.to: m.sha256 for entry in read_manifest() for m in entry.members}.get(name)
    if not file.is_file() or sha256(file) != expected:
        raise FetchError(
            f"{file}: missing or differs from the manifest (SHA-256), and is not opened: a pickle "
            "runs code. Delete it and run `mtrec fetch` to restore it."
        )
    return file


def verify_dvc(data: Path, dvc_file: Path) -> None:
    """Check that ``data`` is what ``data.dvc`` records.

    ``dvc repro`` alone would record changed data as the new truth, so this comes first.

    Raises:
        FetchError: the checksums differ.
    """
    recorded = yaml.safe_load(dvc_file.read_text(encoding="utf-8"))["outs"][0]["md5"]
    listing = [
        {"md5": _digest(path, "md5"), "relpath": path.relative_to(data).as_posix()}
        for path in files_in(data)
    ]
    listing.sort(key=lambda entry: entry["relpath"])
    text = json.dumps(listing, sort_keys=True).encode()
    found = hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"
    if found != recorded:
        raise FetchError(
            f"{dvc_file.name}: records {recorded}, but data/ is {found}. Restore {dvc_file.name} "
            "from git; if the manifest changed on purpose, run `dvc add data` and commit both."
        )


def files_in(data: Path) -> Iterator[Path]:
    """Files of a folder and all below it, in order."""
    return (path for path in sorted(data.rglob("*")) if path.is_file())


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return _digest(path, "sha256")
