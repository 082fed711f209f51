"""Layers that tasks share, by their name in ``params.yaml``.

One interface: ``layer((batch, groups, width)) -> (batch, tasks, units)``. A group is a set of
features that some tasks may see; ``groups`` names each task's. Another layer is one file and one
line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtrec.models.shared.adatt import AdaTT
from mtrec.models.shared.base import SharedLayer
from mtrec.models.shared.cross_stitch import CrossStitch
from mtrec.models.shared.mmoe import MMoE
from mtrec.models.shared.ple import PLE
from mtrec.models.shared.shared_bottom import SharedBottom
from mtrec.models.shared.star import Star
from mtrec.models.shared.task_conditioned import TaskConditioned


def _gated(groups: list[int], sizes: Any, text_width: int) -> dict[str, Any]:
    return {
        "groups": groups,
        "experts": sizes.experts,
        "units": sizes.units,
        "text_width": text_width,
        "gate_dropout": sizes.gate_dropout,
        "load_balance": sizes.load_balance,
        "name": "shared",
    }


def _shared_bottom(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    return SharedBottom(groups, sizes.units, name="shared")


def _cross_stitch(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    return CrossStitch(groups, sizes.units, sizes.levels, name="shared")


def _mmoe(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    return MMoE(**_gated(groups, sizes, text_width))


def _cgc(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    gated = _gated(groups, sizes, text_width)
    return PLE(private_experts=sizes.private_experts, levels=1, **gated)


def _ple(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    gated = _gated(groups, sizes, text_width)
    return PLE(private_experts=sizes.private_experts, levels=sizes.levels, **gated)


def _adatt(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    gated = _gated(groups, sizes, text_width)
    return AdaTT(private_experts=sizes.private_experts, levels=sizes.levels, **gated)


def _star(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    return Star(groups, sizes.units, sizes.levels, name="shared")


def _task_conditioned(groups: list[int], sizes: Any, text_width: int) -> SharedLayer:
    # Without text vectors, the layer keeps its one-hot table: one column per task.
    return TaskConditioned(**_gated(groups, sizes, text_width or len(groups)))


SHARED_LAYERS: dict[str, Callable[[list[int], Any, int], SharedLayer]] = {
    "shared_bottom": _shared_bottom,
    "cross_stitch": _cross_stitch,
    "mmoe": _mmoe,
    "cgc": _cgc,
    "ple": _ple,
    "adatt": _adatt,
    "star": _star,
    "task_conditioned": _task_conditioned,
}


def make_shared(sizes: Any, groups: list[int], text_width: int) -> SharedLayer:
    """Make the shared layer that ``sizes.layer`` names.

    Args:
        sizes: :class:`mtrec.settings.Shared`.
        groups: visibility group of each task, one index per task.
        text_width: width of the task vectors; 0 without text.

    Raises:
        ValueError: unknown name, or sizes that the layer cannot have.
    """
    if sizes.layer not in SHARED_LAYERS:
        raise ValueError(
            f"params.yaml: model_building.shared.layer: there is no shared layer "
            f"'{sizes.layer}' (known: {', '.join(SHARED_LAYERS)}). Name one of these."
        )
    return SHARED_LAYERS[sizes.layer](groups, sizes, text_width)
