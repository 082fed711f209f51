"""Multi-task recommendation on top of a language model.

``mtrec.load("video")`` returns a trained model that scores pairs of users and items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender

__version__ = "0.1.0"


def load(domain: str) -> Recommender:
    """Load the trained joint model of ``domain``; see :func:`mtrec.serving.recommender.load`."""
    from mtrec.serving import recommender  # TensorFlow is imported only when a model is needed

    return recommender.load(domain)
