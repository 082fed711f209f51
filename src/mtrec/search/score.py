r"""One number for several tasks: the mean relative gain over the settings that were there.

.. math:: \Delta = \frac1T \sum_t (-1)^{l_t}\, \frac{M_t - B_t}{|B_t|}

with :math:`M_t` the main validation metric of a task, :math:`B_t` that of the present settings,
trained with the same seed on the same rows, and :math:`l_t` = 1 where lower is better.

Source: Maninis et al. 2019, "Attentive Single-Tasking of Multiple Tasks",
https://arxiv.org/abs/1904.08918, eq. 6, with the present settings in the place of single-task
models.
"""

from __future__ import annotations

import numpy as np

from mtrec.metrics.families import HIGHER_IS_BETTER

Values = dict[str, tuple[str, float]]  # metric and its value, by task
SMALLEST = 1e-6  # of a baseline: a metric of zero has no relative gain


def gain(values: Values, baseline: Values) -> float:
    """Mean relative gain; positive is better.

    Example:
        >>> round(gain({"a": ("rmse", 0.9), "b": ("auc", 0.8)},
        ...            {"a": ("rmse", 1.0), "b": ("auc", 0.8)}), 3)
        0.05
    """
    return float(np.mean([*gains(values, baseline).values()]))


def gains(values: Values, baseline: Values) -> dict[str, float]:
    """Relative gain by task."""
    return {
        task: (1 if HIGHER_IS_BETTER[metric] else -1) * (value - baseline[task][1])
        / max(abs(baseline[task][1]), SMALLEST)
        for task, (metric, value) in values.items()
    }  # fmt: skip
