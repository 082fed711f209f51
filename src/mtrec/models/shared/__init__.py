"""Layers that tasks share, by their name in ``params.yaml``.

One interface: ``layer((batch, groups, width)) -> (batch, tasks, units)``. A group is a set of
features that some tasks may see; ``groups`` names each task's. Another layer is one file and one
line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from mtrec.models.shared.mmoe import MMoE
from mtrec.models.shared.shared_bottom import SharedBottom


def _mmoe(groups: list[int], sizes: Any, text_width: int) -> keras.layers.Layer:
    return MMoE(groups, sizes.experts, sizes.units, text_width, name="shared")


def _shared_bottom(groups: list[int], sizes: Any, text_width: int) -> keras.layers.Layer:
    return SharedBottom(groups, sizes.units, name="shared")


SHARED_LAYERS: dict[str, Callable[[list[int], Any, int], keras.layers.Layer]] = {
    "mmoe": _mmoe,
    "shared_bottom": _shared_bottom,
}
