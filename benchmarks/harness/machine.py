"""What the benchmarks ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "keras-hub", "numpy", "scikit-learn")


def machine() -> str:
    """Processor, cores, memory, system and versions, on one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = {name: _version(name) for name in PACKAGES}
    versions = ", ".join(f"{name} {one}" for name, one in found.items() if one)
    return (
        f"{os.cpu_count()} cores, {_processor()}, {memory:.0f} GB of memory, no accelerator used; "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}"
    )


def _processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, with what it can do for bfloat16."""
    if not file.is_file():
        return platform.processor() or platform.machine()
    text = file.read_text(encoding="utf-8", errors="replace")
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    wide = " (avx512_bf16)" if "avx512_bf16" in fields.get("flags", "") else ""
    return fields.get("model name", platform.machine()) + wide


def _version(package: str) -> str | None:
    """Of an installed package; TensorFlow has one of two names, with CUDA and without."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
