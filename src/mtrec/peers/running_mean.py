"""Running means of the label by user and item, the baseline of every task, as a peer.

For sets and classes this is the prevalence of each label among what the same user and item had
before. See :mod:`mtrec.features.offsets`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtrec.peers.base import Array, PeerTask, Question, Specialist
from mtrec.registry import Form

FORMS = tuple(form for form in Form if form is not Form.RANK)


@dataclass(frozen=True)
class RunningMeans(Specialist):
    """Nothing but what is known of each row at its moment."""

    def answer(self, asked: Question) -> Array:
        """Predictions in the form of the task type's."""
        if asked.means is None:
            raise ValueError("running means of these rows are not known; ask with means=.")
        return asked.means


def running_mean(task: PeerTask) -> RunningMeans:
    """Nothing is left to fit: the means come with the rows.

    Raises:
        NoAnswer: the task is a ranking.
    """
    task.require("running_mean", FORMS)
    return RunningMeans()
