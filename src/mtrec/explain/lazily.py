"""An explainer, made where one is first asked for.

A recommender imports this module alone: what a stage measures of answers does not depend on how
they are explained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtrec.explain.reasons import Explainer
    from mtrec.features.assemble import Assembly
    from mtrec.features.events import Events
    from mtrec.models.model import MultiTaskModel


def explainer(model: MultiTaskModel, assembly: Assembly, events: Events) -> Explainer:
    """What explains the answers of a joint model.

    Raises:
        ValueError: Keras does not run on TensorFlow.
    """
    from mtrec.explain.reasons import Explainer
    from mtrec.explain.trunk import Trunk

    return Explainer(Trunk(model, assembly, events))
