"""Files from strangers: read without trust, into tables of plain text cells.

A file is read once, through a descriptor that follows no symbolic link, and is judged by its bytes,
not by its name. Nothing is ever unpickled, and no cell is evaluated.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from pathlib import Path

from mtrec.domains.own import columnar, delimited, jsonlines
from mtrec.domains.own.table import LIMITS, FileError, Limits, Table

PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".npy", ".npz")
PACKED = (".gz", ".xz", ".bz2", ".zip", ".zst")
GZIP, PARQUET, ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
PICKLE_PROTOCOLS = tuple(b"\x80" + bytes([n]) for n in range(2, 6))
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)  # of an archive
OTHER_FORMATS = {
    ZIP: "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, or one with a password",
    b"\xfd7zXZ\x00": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
    b"\x7fELF": "a program",
}
NO_TABLES = {
    b"<!doctype html": ("a web page, perhaps one that says why there is no file", "look at it"),
    b"<html": ("a web page, perhaps one that says why there is no file", "look at it"),
    b"<?xml": ("XML", "save the table as CSV, Parquet or .xlsx"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "run `git lfs pull`"),
}


def read(path: Path, limits: Limits = LIMITS) -> Table:
    """Read CSV in any of its dialects, JSON lines or Parquet, plain or gzipped.

    Raises:
        FileError: the file is not one, is not readable as a table, or exceeds a limit.
    """
    return parse(path.name, raw_bytes(path, limits), limits)


def parse(name: str, content: bytes, limits: Limits = LIMITS) -> Table:
    """Read the bytes of a table file, which :func:`raw_bytes` gave.

    Raises:
        FileError: see :func:`read`.
    """
    content = _unpacked(name, content, limits)
    if content.startswith(PARQUET):
        return columnar.parse(name, content, limits)
    if jsonlines.is_json(content):
        return jsonlines.parse(name, content, limits)
    return delimited.parse(name, content, limits)


def _unpacked(name: str, content: bytes, limits: Limits) -> bytes:
    """The bytes inside gzip, after every check that needs no parsing."""
    if content.startswith(GZIP):
        content = _unpack(name, content, limits)
        if content.startswith(GZIP):
            raise FileError(f"{name}: gzip within gzip; pack the file once.")
    if not content.strip():
        raise FileError(f"{name}: empty; expected a header line and rows.")
    if content.startswith(PICKLE_PROTOCOLS):
        raise _pickle(name)
    for magic, what in OTHER_FORMATS.items():
        if content.startswith(magic):
            raise FileError(f"{name}: {what}; save it as CSV, Parquet or .xlsx.")
    for start, (what, mend) in NO_TABLES.items():
        if content[:500].lstrip(b"\xef\xbb\xbf \r\n").lower().startswith(start):
            raise FileError(f"{name}: {what}; {mend}.")
    return content


def raw_bytes(path: Path, limits: Limits = LIMITS) -> bytes:
    """The bytes of a regular file as they are.

    Raises:
        FileError: missing, a directory, a symbolic link, a device, a pickle by name, unreadable,
            or too large.
    """
    name = path.name
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    if suffixes and suffixes[-1] in PICKLES:
        raise _pickle(name)
    if path.is_symlink():
        raise FileError(f"{name}: a symbolic link; name the file that it points to.")
    try:
        # Not blocking: opening a named pipe would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise FileError(f"{name}: cannot be opened ({reason}); name a readable file.") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise FileError(f"{path}: a directory; name one CSV or Parquet file in it.")
        if not stat.S_ISREG(mode):
            raise FileError(f"{name}: not a regular file; name a CSV or Parquet file.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limits.bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > limits.bytes:
        raise FileError(f"{name}: larger than {limits.bytes:,} bytes; split it or take a part.")
    return content


def _unpack(name: str, content: bytes, limits: Limits) -> bytes:
    """Unpack gzip, member by member, and stop at the limit: a bomb never goes off."""
    parts, size = [], 0
    while content.startswith(GZIP):
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(content, limits.bytes - size + 1)
        except zlib.error:
            raise FileError(f"{name}: a damaged gzip file; pack or copy it again.") from None
        parts.append(part)
        size += len(part)
        if size > limits.bytes:
            raise FileError(
                f"{name}: unpacks to more than {limits.bytes:,} bytes; split it or take a part."
            )
        if not member.eof:
            raise FileError(f"{name}: a gzip file that ends early; pack or copy it again.")
        content = member.unused_data
    if content.strip(b"\0"):
        raise FileError(f"{name}: other bytes follow the gzip data; pack or copy it again.")
    return b"".join(parts)


def from_zip(name: str, content: bytes, limits: Limits = LIMITS) -> tuple[bytes, list[str]]:
    """The bytes of the only file in a zip archive, and a note; other bytes as they are.

    Raises:
        FileError: damaged, locked, too large, or not one file.
    """
    if not content.startswith(ZIP):
        return content, []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not member.filename.startswith("__MACOSX/")
            ]
            if len(found) != 1:
                names = ", ".join(repr(member.filename[:60]) for member in found[:5])
                raise FileError(
                    f"{name}: a zip archive of {len(found)} files ({names}); unpack it and name "
                    "one."
                )
            if found[0].file_size > limits.bytes:
                raise FileError(
                    f"{name}: unpacks to more than {limits.bytes:,} bytes; split it or take a part."
                )
            with archive.open(found[0]) as member:
                inner = member.read(found[0].file_size + 1)  # more than it says is an error
            return inner, [f"the only file in a zip archive: {found[0].filename}"]
    except FileError:
        raise
    except BROKEN as error:
        raise FileError(
            f"{name}: a damaged or locked zip archive ({type(error).__name__}); unpack it."
        ) from None


def unpack_start(content: bytes, size: int) -> bytes:
    """The first ``size`` bytes inside gzip data that was unpacked whole before."""
    return zlib.decompressobj(wbits=31).decompress(content, size)


def _pickle(name: str) -> FileError:
    return FileError(
        f"{name}: a pickle, or named like one, which can run code when loaded and is never opened; "
        "save the table as CSV or Parquet."
    )
