"""Arrays of a safetensors file: eight bytes of length, a JSON header, then the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mtrec.text.weights import WeightsError

Array = np.ndarray
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "BF16": "<u2"}
LENGTH = 8  # bytes that hold the header's


def read(path: Path) -> dict[str, Array]:
    """Read a file; floating-point arrays come as float32.

    Args:
        path: of the file; the format is described at
            https://github.com/huggingface/safetensors#format.

    Raises:
        WeightsError: no such file, or it is damaged or cut short.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. Name a folder that holds the model's weights.")
    content = np.memmap(path, dtype="uint8", mode="r") if path.stat().st_size else np.array([])
    try:
        end = LENGTH + int.from_bytes(content[:LENGTH].tobytes(), "little")
        header = json.loads(content[LENGTH:end].tobytes())
        header.pop("__metadata__", None)
        return {name: _array(content[end:], entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path.name}: not a readable safetensors file of {len(content):,} bytes "
            f"({type(error).__name__}: {error}). It is damaged or cut short; fetch it again."
        ) from error


def _array(content: Array, entry: dict) -> Array:
    start, end = entry["data_offsets"]
    if end > len(content):
        raise ValueError(f"an array ends at byte {end:,} of {len(content):,}")
    values = np.frombuffer(content[start:end].tobytes(), TYPES[entry["dtype"]])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype("uint32") << 16).view("float32")
    values = values.reshape(entry["shape"])
    return values.astype("float32") if values.dtype.kind == "f" else values
