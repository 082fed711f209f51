"""What a balancer is: task losses (and the angles of their gradients) in, task weights out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import tensorflow as tf


class Balancer(ABC):
    r"""Weights :math:`c_t` of one step, whose update is the gradient of :math:`\sum_t c_t L_t`.

    Every method here moves along a direction in the span of the task gradients :math:`g_t`, so
    its coefficients follow from the losses and the Gram matrix :math:`G_{st} = \langle g_s, g_t
    \rangle` alone. No method ever handles a flattened gradient.

    Attributes:
        needs: ``losses``, or ``gradients`` for methods that read the Gram matrix.
        weighs_heads: whether the weights also scale the gradients of towers and heads, as in
            methods that weigh losses; methods that combine gradients leave those at 1.
        observes: whether :meth:`observe` wants the losses of the same batch after the step.
        variables: the method's state, saved with a run's checkpoint.

    Args:
        tasks: number of tasks.
        seed: of a method that draws at random.
    """

    needs: ClassVar[Literal["losses", "gradients"]] = "losses"
    weighs_heads: ClassVar[bool] = True
    observes: ClassVar[bool] = False

    def __init__(self, tasks: int, seed: int = 0):
        self.tasks, self.seed = tasks, seed
        self.variables: Sequence[tf.Variable] = ()

    @abstractmethod
    def weigh(self, losses: tf.Tensor, gram: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Return the weight of each task, ``(tasks,)``; runs inside ``tf.function``.

        AutoGraph is off there: choose with ``tf.where`` or ``tf.cond``, not with ``if`` on tensors.

        Args:
            losses: scale-normalised loss per task, ``(tasks,)``; 0 where no label is known.
            gram: inner products of the task gradients ``(tasks, tasks)``, zero rows and columns
                where no label is known; None unless ``needs`` is ``gradients``.
            present: whether any row of the batch has the task's label, ``(tasks,)`` bool.
        """

    def observe(  # noqa: B027 (most have nothing to do)
        self, losses: tf.Tensor, present: tf.Tensor
    ) -> None:
        """Learn from the losses of the same batch after the step (see ``observes``)."""

    def end_epoch(self, losses: tf.Tensor) -> None:  # noqa: B027 (most have nothing to do)
        """Learn from the mean training losses of the epoch, ``(tasks,)``; NaN without labels."""


def among_present(
    gram: tf.Tensor, present: tf.Tensor, solve: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Solve for the present tasks alone, so that a task without labels has no say.

    Args:
        gram: ``(tasks, tasks)``.
        present: ``(tasks,)`` bool.
        solve: function from the Gram matrix ``(n, n)`` of the present tasks to weights ``(n,)``;
            ``n`` is known only at run time and at least 1.

    Returns:
        Weights ``(tasks,)``, 0 for absent tasks.
    """
    rows = tf.where(present)[:, 0]
    part = tf.gather(tf.gather(gram, rows), rows, axis=1)
    found = tf.cond(tf.size(rows) > 0, lambda: solve(part), lambda: tf.zeros([0], gram.dtype))
    return tf.scatter_nd(rows[:, None], found, tf.shape(present, out_type=rows.dtype))
