"""Vectors that the language model gave to users' and items' texts, as a source of features."""

from __future__ import annotations

from mtrec.features.source import Asked, Found, Vectors


def text(asked: Asked) -> Found:
    """The feature ``text`` of each side that has texts; notebook 02 made the vectors."""
    return {one.side: {"text": Vectors(one.text)} for one in asked.sides if one.text is not None}
