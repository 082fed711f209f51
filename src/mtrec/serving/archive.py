"""Model files of strangers: looked at before they are loaded, within little memory.

A ``.keras`` file is an archive of a graph (JSON) and weights (HDF5), arrays are archives of
``.npy`` members. What these formats could do beside holding numbers is refused: paths out of the
folder, members that unpack to more than they say or than a model has, layers that hold code,
objects outside Keras and this package, HDF5 links to other files, pickles.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mtrec.files import SUMS

KERAS_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}
MOST_BYTES = 4 << 30  # unpacked, of all members
MOST_TEXT = 64 << 20  # of a graph, or of a file of JSON
IN_MEMORY = 64 << 20  # weights up to here are read at once, which is much quicker
RATIO = 200  # unpacked bytes per packed one; arrays of zeros reach about this
DAMAGE = (  # what readers of archives, arrays and JSON raise on them
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, KeyError,
    ValueError, TypeError, SyntaxError, struct.error, MemoryError,
)  # fmt: skip
MODULES = re.compile(r"(keras|mtrec|builtins)(\.[\w.]+)?")


class HostileError(ValueError):
    """A file of a model holds what no model needs; the message says where and what."""


def check_folder(folder: Path) -> None:
    """Look at all files of a model folder.

    Raises:
        HostileError: one is not a plain file, or holds what no model needs.
        ValueError: one is damaged.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise HostileError(f"{path}: not a plain file; a model folder has nothing else.")
        try:
            if path.suffix == ".keras":
                _check_keras(path)
            elif path.suffix == ".npz":
                _check_arrays(path)
            elif path.suffix == ".json":
                _check_json(path)
            elif path.name != SUMS:
                raise HostileError(f"{path}: no file of a model; move it out of the folder.")
        except HostileError:
            raise
        except DAMAGE as error:
            raise ValueError(
                f"{path}: damaged ({error}). Restore it: `dvc checkout`, or `make repro`."
            ) from None


def _check_keras(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive)
        names = set(archive.namelist())
        if names != KERAS_MEMBERS:
            strange = sorted(names ^ KERAS_MEMBERS)[0]
            raise HostileError(f"{path}: holds other members than a model ('{strange}').")
        if archive.getinfo("config.json").file_size > MOST_TEXT:
            raise HostileError(f"{path}: the graph is of more than {MOST_TEXT >> 20} MB.")
        for layer in _objects(json.loads(archive.read("config.json"))):
            name, module = layer["class_name"], layer.get("module")
            if name == "Lambda" or not (module is None or MODULES.fullmatch(str(module))):
                raise HostileError(
                    f"{path}: the graph has an object '{name}' of '{module}', which could run "
                    "code; a model has layers of Keras and mtrec alone, and no Lambda."
                )
        size = archive.getinfo("model.weights.h5").file_size
        with archive.open("model.weights.h5") as member:
            held = io.BytesIO(member.read()) if size <= IN_MEMORY else member
            with h5py.File(held, "r") as weights:
                _check_weights(path, weights, size)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse names that are paths elsewhere, and archives that unpack to too much."""
    total = 0
    seen: set[str] = set()
    for info in archive.infolist():
        parts = Path(info.filename).parts
        if info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
            raise HostileError(f"{path}: member '{info.filename:.80}' lies outside the folder.")
        if info.filename in seen:
            raise HostileError(f"{path}: member '{info.filename:.80}' is there twice.")
        if (info.external_attr >> 28) == 0xA:
            raise HostileError(f"{path}: member '{info.filename:.80}' is a link.")
        seen.add(info.filename)
        total += info.file_size
        if total > MOST_BYTES or info.file_size > RATIO * (info.compress_size + 1024):
            raise HostileError(
                f"{path}: member '{info.filename:.80}' unpacks to {info.file_size:,} bytes, more "
                "than a model's."
            )


def _objects(plain: Any) -> Iterator[dict[str, Any]]:
    """All objects that a graph names, at any depth."""
    left = [plain]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "class_name" in one:
                yield one
            left += one.values()
        elif isinstance(one, list):
            left += one


def _check_weights(path: Path, weights: h5py.File, size: int) -> None:
    """Refuse links, and arrays that lie elsewhere or are larger than the file."""
    left, total = [weights], 0
    while left:
        group = left.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise HostileError(f"{path}: weights '{name:.80}' are a link to elsewhere.")
            found = group.get(name)
            if isinstance(found, h5py.Group):
                left.append(found)
                continue
            total += found.size * found.dtype.itemsize
            if found.external or found.is_virtual or found.dtype.kind == "O" or total > size:
                raise HostileError(
                    f"{path}: weights '{name:.80}' are no array of {size:,} bytes or less that "
                    "lies in the file."
                )


def _check_arrays(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive)
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                raise HostileError(f"{path}: member '{info.filename:.80}' is no array.")
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                if version not in ((1, 0), (2, 0)):
                    raise HostileError(f"{path}: '{info.filename:.80}' is of another format.")
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, kind = read(member)
            size = int(np.prod(shape, dtype=object)) * kind.itemsize
            if kind.hasobject or size > info.file_size:
                raise HostileError(
                    f"{path}: '{info.filename:.80}' holds objects, or says that it is larger "
                    "than it is."
                )


def _check_json(path: Path) -> None:
    if path.stat().st_size > MOST_TEXT:
        raise HostileError(f"{path}: of more than {MOST_TEXT >> 20} MB.")
    json.loads(path.read_text(encoding="utf-8"))
