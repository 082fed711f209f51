"""What a balancer is: task losses in, gradients of the shared model out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Balancer(ABC):
    """Turns the scale-normalised losses of one step into gradients.

    Args:
        weights: static weight per task, in the order of the losses.
    """

    @abstractmethod
    def __init__(self, weights: Sequence[float]): ...

    @abstractmethod
    def gradients(self, tape: Any, losses: Any, variables: list) -> list:
        """Return one gradient per variable.

        Args:
            tape: the tape that recorded ``losses``.
            losses: normalised loss per task, ``(tasks,)``.
            variables: trainable variables.
        """
