"""Multi-task recommendation on top of a language model.

``mtrec.load("video")`` returns a trained model that scores pairs of users and items.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtrec.serving import Recommender

__version__ = "0.1.0"


def load(domain: str, root: Path | str | None = None) -> Recommender:
    """Load the trained joint model of ``domain``; see :func:`mtrec.serving.load`.

    Args:
        domain: name of the domain, as in ``params.yaml``.
        root: folder of the repository; found from the working folder if None.
    """
    from mtrec import serving  # TensorFlow is imported only when a model is needed

    return serving.load(domain, None if root is None else Path(root))
