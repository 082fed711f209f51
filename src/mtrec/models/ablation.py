"""A domain as it would be without one kind of feature, to measure what that kind adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mtrec.data import links
from mtrec.data.encoder import Encoder, without
from mtrec.data.features import Kind
from mtrec.models.assemble import Assembly
from mtrec.models.visibility import Visible

WITHOUT_TEXT, WITHOUT_GRAPH = "without_text", "without_graph"
ABLATIONS: dict[str, Kind] = {WITHOUT_TEXT: "text", WITHOUT_GRAPH: "graph"}


def ablations(assembly: Assembly) -> tuple[str, ...]:
    """Names of the kinds of feature that a domain can lack; texts always are among them.

    Without texts a model also lacks those of tasks, which every domain has. Without its graph, a
    head that reads links among users finds none.
    """
    kinds = {field.kind for side in assembly.encoder.sides for field in side.fields}
    if links.linked(assembly.types):
        kinds.add("graph")
    return tuple(n for n, kind in ABLATIONS.items() if n == WITHOUT_TEXT or kind in kinds)


def ablated(assembly: Assembly, name: str) -> Assembly:
    """The same domain without a kind of feature; its inputs stay, and nothing reads them.

    A model without text is built with ``task_vectors=None``; it knows the labels of head
    ``label_embedding`` apart, not what they mean.

    Args:
        assembly: fitted on all features.
        name: one of :data:`ABLATIONS`.
    """
    kind, encoder = ABLATIONS[name], assembly.encoder
    labels, chosen = assembly.label_vectors, assembly.links
    if name == WITHOUT_TEXT:
        labels = {task: np.eye(len(found), dtype="float32") for task, found in labels.items()}
    return replace(
        assembly,
        encoder=without(kind, encoder),
        seen={task: _without(kind, part, encoder) for task, part in assembly.seen.items()},
        label_vectors=labels,
        links={} if name == WITHOUT_GRAPH else chosen,
    )


def _without(kind: Kind, part: Visible, encoder: Encoder) -> Visible:
    """What a head sees when no feature of that kind exists."""
    user, item = (
        tuple(name for name in names if side.field(name).kind != kind)
        for names, side in zip((part.user, part.item), encoder.sides, strict=True)
    )
    return replace(part, user=user, item=item)
