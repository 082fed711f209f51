"""Seeds of what a model draws while it is trained, kept in the model's own file."""

from __future__ import annotations

import random


def draw() -> int:
    """A seed from Python's stream, which :func:`mtrec.models.build.build` begins anew.

    Keras draws one in the same way for a layer that is given none, but does not write it to the
    model's file: a loaded model would drop other units, and which, would depend on what else the
    process had drawn.
    """
    return random.randint(1, 10**9)
