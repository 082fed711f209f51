"""Multi-task recommendation on top of a language model.

The public interface; everything else may change without notice.

- :func:`load`: a trained domain, as a :class:`Recommender`; whoever leads a task answers it.
- :class:`Recommender`: answers requests, ``score(pairs)`` and ``recommend(user_id, k)``.
- ``__version__``.

Importing the package imports neither Keras nor its backend; the first use of one of these does.
The backend is Keras's: TensorFlow, or JAX with ``KERAS_BACKEND=jax``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender

__all__ = ["Recommender", "__version__", "load"]
__version__ = "0.1.0"


def load(domain: str, root: Path | str | None = None) -> Recommender:
    """Load a trained domain, with the system that leads each task.

    After the stage ``fusion`` that may be a specialist, or several systems together; ``systems`` of
    what is returned says which. Without it the joint model answers every task.

    Args:
        domain: name of the domain, as in ``params.yaml``.
        root: root of the repository; found from the working folder if None.

    Raises:
        FileNotFoundError: the domain was not trained yet.
    """
    from mtrec.fusion import product

    return product.load(domain, None if root is None else Path(root))


def __getattr__(name: str) -> type[Recommender]:
    """Import :class:`Recommender` when it is first asked for."""
    if name != "Recommender":
        raise AttributeError(f"module 'mtrec' has no attribute '{name}'")
    from mtrec.serving.recommender import Recommender

    return Recommender
