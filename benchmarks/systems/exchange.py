"""How a system's script reads what it is given and writes what it answers."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version as installed
from typing import Any

import numpy as np


def given() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the options of the command line."""
    with np.load(sys.argv[1]) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(sys.argv[3])


def answer(package: str, started: float, **arrays: np.ndarray) -> None:
    """Write the answers with the package's version and the seconds since ``started``.

    Args:
        package: whose version is noted.
        started: ``time.monotonic()`` before training.
        arrays: the answers.
    """
    seconds = time.monotonic() - started
    with open(sys.argv[2], "wb") as file:
        np.savez(file, version=installed(package), seconds=seconds, **arrays)
