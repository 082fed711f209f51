"""Ways to weigh the losses of several tasks, by their name in ``params.yaml``."""

from mtrec.balancing.base import Balancer
from mtrec.balancing.static import Static

BALANCERS: dict[str, type[Balancer]] = {"static": Static}
