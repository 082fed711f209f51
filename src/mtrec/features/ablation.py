"""A domain as it would be without one kind of feature, to measure what that kind adds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from mtrec.features import links
from mtrec.features.assemble import Assembly
from mtrec.features.encoder import Encoder, without
from mtrec.features.visibility import Visible

WITHOUT_TEXT, WITHOUT_WORDS, WITHOUT_GRAPH = "without_text", "without_words", "without_graph"
WITHOUT_TEXT_AND_WORDS = "without_text_and_words"
WITHOUT_LANGUAGE_MODEL = (WITHOUT_TEXT, WITHOUT_TEXT_AND_WORDS)
ABLATIONS: dict[str, tuple[str, ...]] = {  # kinds of feature that are gone
    WITHOUT_TEXT: ("text",),
    WITHOUT_WORDS: ("words",),
    WITHOUT_TEXT_AND_WORDS: ("text", "words"),
    WITHOUT_GRAPH: ("graph",),
}


def ablations(assembly: Assembly) -> tuple[str, ...]:
    """Names of the kinds of feature that a domain can lack; texts always are among them.

    Without texts a model also lacks those of tasks, which every domain has. Without its graph, a
    head that reads links among users finds none.
    """
    kinds = {field.kind for side in assembly.encoder.sides for field in side.fields} | {"text"}
    if links.linked(assembly.types):
        kinds.add("graph")
    return tuple(name for name, gone in ABLATIONS.items() if kinds.issuperset(gone))


def ablated(assembly: Assembly, name: str) -> Assembly:
    """The same domain without a kind of feature; its inputs stay, and nothing reads them.

    A model without text is built with ``task_vectors=None``; it knows the labels of head
    ``label_embedding`` apart, not what they mean.

    Args:
        assembly: fitted on all features.
        name: one of :data:`ABLATIONS`.
    """
    gone, encoder = ABLATIONS[name], assembly.encoder
    labels, chosen = assembly.label_vectors, assembly.links
    if name in WITHOUT_LANGUAGE_MODEL:
        labels = {task: np.eye(len(found), dtype="float32") for task, found in labels.items()}
    return replace(
        assembly,
        encoder=without(gone, encoder),
        seen={task: _without(gone, part, encoder) for task, part in assembly.seen.items()},
        label_vectors=labels,
        links={} if name == WITHOUT_GRAPH else chosen,
    )


def _without(gone: Collection[str], part: Visible, encoder: Encoder) -> Visible:
    """What a head sees when no feature of these kinds exists."""
    user, item = (
        tuple(name for name in names if side.field(name).kind not in gone)
        for names, side in zip((part.user, part.item), encoder.sides, strict=True)
    )
    return replace(part, user=user, item=item)
