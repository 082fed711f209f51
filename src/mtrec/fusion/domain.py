"""All tasks of a domain: members fitted, one rule applied, the answer judged on the test rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mtrec import progress
from mtrec.evaluation.domain import plain
from mtrec.files import write_text
from mtrec.fusion import selection, stacking
from mtrec.fusion.choice import FUSED, Choice, Rows, choose
from mtrec.fusion.members import BATCH, TWIN, Bench, Member, members
from mtrec.metrics.intervals import evaluate
from mtrec.models.twins import JOINT
from mtrec.registry import METRICS, Form

Array = np.ndarray
NETWORKS = (JOINT, TWIN)
ANSWER, PEER = "answer", "peer"
DIFFERENCES = {
    f"{other}_difference": (ANSWER, other) for other in (JOINT, TWIN, PEER)
}  # fmt: skip


@dataclass(frozen=True)
class Fused:
    """One task with all who answer it.

    Attributes:
        type: family of metrics.
        choice: who answers, of all members.
        served: who answers of those that can be saved and asked again.
        fitted: members that can be asked again, by name.
        validation: main metric on validation rows, by member.
        test: main metric on test rows, by member and of ``fused`` and ``answer``.
        scores: all metrics with intervals of the joint model, its twin, the best peer and the
            answer, and the answer's paired differences from these.
        peer: the peer that is best on the test rows, chosen in hindsight; none without one.
        seconds: to fit each member.
        notes: who stepped aside, and why.
    """

    type: str
    choice: Choice
    served: Choice
    fitted: dict[str, Member]
    validation: dict[str, float]
    test: dict[str, float]
    scores: dict[str, Any]
    peer: str | None
    seconds: dict[str, float]
    notes: tuple[str, ...]


def fuse_all(bench: Bench, resamples: int) -> dict[str, Fused]:
    """Fuse every task of a domain."""
    with (
        threadpool_limits(1),  # the same sums whatever the number of cores
        progress.task("fusion", len(bench.tasks), unit="task") as bar,
    ):
        found = {}
        for name in bench.tasks:
            found[name] = fuse(bench, name, resamples)
            bar.advance(1, name)
        return found


def fuse(bench: Bench, task: str, resamples: int) -> Fused:
    """Fit the members of one task, choose who answers, and judge it on the test rows.

    Args:
        bench: rows and models.
        task: its name.
        resamples: bootstrap resamples behind each interval.
    """
    asked, notes = members(bench, task)
    kind = bench.assembly.types[task]
    rows, held = _rows(bench, task, bench.choosing(task)), bench.choosing(task)
    found: dict[str, Array] = {}
    for one in list(asked):
        try:
            found[one.name] = _scaled(one.answer(held), rows.out)
        except Exception as error:  # whatever a package raises: the others answer without it
            asked.remove(one)
            notes.append(f"{task}: {one.name} steps aside: {error}")
    choice = choose(rows, found, bench.seed)
    fitted = {one.name: one for one in asked if one.name in NETWORKS or one.fitted is not None}
    served = choice
    if not uses(choice) <= fitted.keys():
        served = choose(rows, {name: found[name] for name in fitted}, bench.seed)
    systems = _test(bench, task, asked, choice)
    test = _rows(bench, task, bench.rows(task, "test"))
    family = METRICS[kind.metrics]
    values = {name: family.values(test.labels, one)[family.main] for name, one in systems.items()}
    peers = [one.name for one in asked if one.name not in NETWORKS]
    peer = max(peers, key=lambda name: test.sign * values[name]) if peers else None
    judged = {name: systems[name] for name in (*NETWORKS, ANSWER)}
    if peer is not None:
        judged[PEER] = systems[peer]
    pairs = {name: pair for name, pair in DIFFERENCES.items() if judged.keys() >= {*pair}}
    scores = evaluate(
        kind.metrics, test.labels, judged, test.clusters, resamples, bench.seed, pairs
    )
    return Fused(
        kind.metrics, choice, served, fitted,
        {name: rows.sign * rows.quality(one) for name, one in found.items()},
        values, scores, peer, {one.name: one.seconds for one in asked}, tuple(notes),
    )  # fmt: skip


def uses(choice: Choice) -> set[str]:
    """Members that have to be asked for the answer."""
    if choice.chosen != FUSED:
        return {choice.chosen}
    if choice.ranker is not None:
        return set(choice.weights)
    return {name for name, weight in choice.weights.items() if weight > 0}


def _rows(bench: Bench, task: str, rows: Array) -> Rows:
    kind = bench.assembly.types[task]
    out = bench.rivals(task, rows) if kind.candidates else None
    return Rows(kind.form, kind.metrics, bench.data.labels[task][rows], bench.clusters(rows), out)


def _scaled(found: Array, out: Array | None) -> Array:
    """Predictions as they are fused: scores on a common scale, others as they are."""
    return found if out is None else selection.standardised(found, out)


def blend(choice: Choice, form: Form, found: Mapping[str, Array], out: Array | None) -> Array:
    """The fusion of members' predictions by the weights of a choice.

    Args:
        choice: with weights.
        form: what labels are.
        found: predictions of at least the members that :func:`uses` names.
        out: candidates that do not compete, in rankings; None if all do.
    """
    if form is Form.RANK and out is None:
        out = np.zeros_like(next(iter(found.values())), dtype=bool)
    if choice.ranker is not None and out is not None:
        return choice.ranker([_scaled(found[name], out) for name in choice.weights], out)
    used = [name for name, weight in choice.weights.items() if weight > 0]
    weights = np.array([choice.weights[name] for name in used])
    parts = [_scaled(found[name], out) for name in used]
    if form is Form.RANK:
        return selection.summed(parts, weights)
    kind = stacking.KINDS[form]
    if not used:  # nobody says anything that the bias does not
        parts, weights = [next(iter(found.values()))], np.zeros(1)
    return stacking.Stack(kind, weights, np.array(choice.bias))(parts)


def _test(
    bench: Bench, task: str, asked: Sequence[Member], choice: Choice
) -> dict[str, Array]:  # fmt: skip
    """What all say of the test rows; rankings as ranks, some rows in memory at a time."""
    rows = bench.rows(task, "test")
    ranking = bench.assembly.types[task].form is Form.RANK
    parts = []
    size = BATCH if ranking else len(rows)
    for first in range(0, max(len(rows), 1), max(size, 1)):
        some = rows[first : first + size]
        of = _rows(bench, task, some)
        found = {one.name: one.answer(some) for one in asked}
        systems = {name: of.placed(said) for name, said in found.items()}
        if choice.bias or ranking:
            systems[FUSED] = of.placed(blend(choice, of.form, found, of.out))
        parts.append(systems)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**whole, ANSWER: whole[choice.chosen]}


def report(domain: str, seed: int, fused: Mapping[str, Fused], file: Path) -> dict[str, Any]:
    """Write and return ``fusion.json``, whole or not at all; it holds no wall times."""
    tasks = {
        name: {
            "type": one.type, "chosen": one.choice.chosen, "served": one.served.chosen,
            "why": one.choice.why, "best_peer": one.peer, "weights": one.choice.weights,
            "validation": one.validation, "test": one.test, "notes": list(one.notes), **one.scores,
        }
        for name, one in fused.items()
    }  # fmt: skip
    found = {"domain": domain, "seed": seed, "tasks": plain(tasks)}
    write_text(file, json.dumps(found, indent=2) + "\n")
    return found
