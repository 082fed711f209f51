"""What a family of metrics is: how predictions of some form are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Draws = Callable[[Any, Array, Array], dict[str, Array]]
Values = Callable[[Any, Array], dict[str, float]]


@dataclass(frozen=True)
class Family:
    """Metrics of the predictions of one or several task types.

    Attributes:
        main: the metric that results are told by.
        higher_is_better: by metric.
        tolerance: how far the main metric of a rerun may be from the committed reference.
        draws: labels, predictions and weights of rows ``(weightings, n)`` -> values with each
            weighting ``(weightings,)`` by metric.
        plain: labels and predictions -> value by metric, where that is not ``draws`` with weights
            of one to the last digit.
        relative: tolerance as a share of the value, where that is more.
        probabilities: whether labels are 0 and 1 and predictions their probabilities, which a
            table of reliability compares.
    """

    main: str
    higher_is_better: Mapping[str, bool]
    tolerance: float
    draws: Draws
    plain: Values | None = None
    relative: float = 0.0
    probabilities: bool = False

    def values(self, labels: Any, predictions: Array) -> dict[str, float]:
        """Value by metric."""
        if self.plain is not None:
            return self.plain(labels, predictions)
        found = self.draws(labels, predictions, np.ones((1, len(predictions))))
        return {metric: float(value[0]) for metric, value in found.items()}

    def allowed(self, value: float) -> float:
        """How far from a committed value of the main metric a rerun may be."""
        return max(self.tolerance, round(self.relative * value, 2))
