"""The models of a domain: the joint one, and a twin per task that is trained alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtrec.features.assemble import Assembly
from mtrec.models.build import build
from mtrec.models.model import MultiTaskModel
from mtrec.models.store import save_model
from mtrec.settings import ModelBuilding

JOINT = "joint"


def build_models(
    assembly: Assembly, task_vectors: np.ndarray | None, sizes: ModelBuilding, seed: int
) -> dict[str, MultiTaskModel]:
    """Build the joint model, and a twin per task."""
    groups = {JOINT: tuple(assembly.types), **{name: (name,) for name in assembly.types}}
    return {
        name: build_some(assembly, tasks, task_vectors, sizes, seed)
        for name, tasks in groups.items()
    }


def build_some(
    assembly: Assembly,
    names: Sequence[str],
    task_vectors: np.ndarray | None,
    sizes: ModelBuilding,
    seed: int,
) -> MultiTaskModel:
    """Build one model of some of the tasks, which may be one or all; without vectors, no text."""
    order = list(assembly.types)
    own = None if task_vectors is None else task_vectors[[order.index(name) for name in names]]
    return build(assembly, names, own, sizes, seed)


def save_models(models: Mapping[str, MultiTaskModel], folder: Path) -> None:
    """Write each model as ``<name>.keras``."""
    for name, model in models.items():
        save_model(model, folder / f"{name}.keras")
