"""One file that holds a training run after its last full epoch."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtrec.files import whole


def fingerprint(*parts: Any) -> str:
    """SHA-256 over arrays, mappings of arrays and JSON values, in order."""
    digest = hashlib.sha256()
    for part in parts:
        arrays = _arrays(part)
        if arrays is None:
            digest.update(json.dumps(["value", part], sort_keys=True, default=str).encode())
            continue
        for name, array in arrays.items():
            digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(part: Any) -> Mapping[str, np.ndarray] | None:
    """Arrays by name if the part is one or holds nothing else."""
    if isinstance(part, np.ndarray):
        return {"": part}
    plain = isinstance(part, Mapping) and all(isinstance(v, np.ndarray) for v in part.values())
    return part if plain else None


def save(path: Path, run: str, state: dict[str, Any], variables: Iterable, best: list) -> None:
    """Write the state of run ``run``; the file appears whole or not at all."""
    arrays = {f"v{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    arrays |= {f"b{i}": array for i, array in enumerate(best)}
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file, allow_pickle=False, state=np.array(json.dumps({"run": run, **state})), **arrays
        )


def load(path: Path, run: str, variables: list) -> tuple[dict[str, Any], list] | None:
    """Restore ``variables`` and return (state, best weights), or None to start afresh.

    A file of another run (other data, settings or model) or a damaged one is not used.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path) as arrays:
            state = json.loads(str(arrays["state"]))
            if state.pop("run") != run:
                return None
            values = [arrays[f"v{i}"] for i in range(len(variables))]
            best = [arrays[name] for name in arrays.files if name.startswith("b")]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state, best
