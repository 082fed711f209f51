"""Layers that tasks share; :data:`mtrec.registry.SHARED_LAYERS` has their names.

One interface: ``layer((batch, groups, width)) -> (batch, tasks, units)``. A group is a set of
features that some tasks may see; ``groups`` names each task's. Another layer is one file with a
function ``make``, and one line of the registry.
"""

from __future__ import annotations

from mtrec.models.shared.base import SharedLayer
from mtrec.registry import SHARED_LAYERS
from mtrec.settings import Shared


def make_shared(sizes: Shared, groups: list[int], text_width: int) -> SharedLayer:
    """Make the shared layer that ``sizes.layer`` names.

    Args:
        sizes: :class:`mtrec.settings.Shared`.
        groups: visibility group of each task, one index per task.
        text_width: width of the task vectors; 0 without text.

    Raises:
        ValueError: unknown name, or sizes that the layer cannot have.
    """
    return SHARED_LAYERS[sizes.layer](groups, sizes, text_width)
