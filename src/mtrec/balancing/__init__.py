"""Ways to balance the losses of several tasks; :data:`mtrec.registry.BALANCERS` has their names."""

from __future__ import annotations

from mtrec.balancing.base import Balancer
from mtrec.registry import BALANCERS


def make_balancer(name: str, tasks: int, seed: int = 0) -> Balancer:
    """Create the balancer called ``name`` with its paper's settings.

    Args:
        name: key of :data:`mtrec.registry.BALANCERS`.
        tasks: number of tasks.
        seed: of a method that draws at random.

    Raises:
        ValueError: no balancer has this name.
    """
    return BALANCERS[name](tasks, seed)
