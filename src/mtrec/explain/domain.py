"""Explanations of a domain's test rows, and how true they are: what notebook 16 shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec.explain import faithful, units
from mtrec.explain.path import TOLERANCE, integrate
from mtrec.explain.path import Paths as Found
from mtrec.explain.trunk import Rows, Trunk
from mtrec.features.dataset import Dataset
from mtrec.features.events import Events
from mtrec.files import write_text
from mtrec.models.model import MultiTaskModel
from mtrec.paths import Paths

Array = np.ndarray
ROWS = 50  # of each task
FEATURES, PAST = "features", "past events"
LEAST_EVENTS = 3  # of a history whose events are put in order
METHODS, BASELINES = ("integrated gradients", "occlusion"), ("random", "popularity")


@dataclass(frozen=True)
class Asked:
    """Answers that are explained: a task's, of a test row whose label is known.

    Attributes:
        rows: embedded.
        at: the row of each answer, ``(m,)``.
        task: place of its task, ``(m,)``.
        number: of each row in the data, ``(n,)``.
        clusters: user of each answer, or item where there is no user, ``(m,)``.
        inputs: the model's, of the rows.
        gates: weights of experts, ``(n, tasks, experts)``; None without gates.
    """

    rows: Rows
    at: Array
    task: Array
    number: Array
    clusters: Array
    inputs: dict[str, Array]
    gates: Array | None


@dataclass(frozen=True)
class Curves:
    """What happens while parts of answers are taken away or put in.

    Attributes:
        what: ``features`` or ``past events``.
        answers: which answers, ``(k,)``.
        parts: how many parts each of them sees, ``(k,)``; one has no order.
        values: by kind of curve and order, ``(k, parts + 1)``; of random orders the mean.
        gains: by kind of curve and order, ``(k,)``, in logits.
    """

    what: str
    answers: Array
    parts: Array
    values: dict[str, dict[str, Array]]
    gains: dict[str, dict[str, Array]]


@dataclass(frozen=True)
class Measured:
    """Explanations of a sample of test rows, and how true they are.

    Attributes:
        trunk: the model.
        asked: the answers.
        paths: their contributions.
        shares: contributions of groups, in logits, ``(m, groups)``.
        occluded: the same by occlusion.
        curves: of features, and of past events.
        changed: by what was randomised, likeness of explanations to the model's, ``(m,)``.
    """

    trunk: Trunk
    asked: Asked
    paths: Found
    shares: Array
    occluded: Array
    curves: tuple[Curves, ...]
    changed: dict[str, Array]


def sample(trunk: Trunk, data: Dataset, split: Array, seed: int, rows: int = ROWS) -> Asked:
    """Test rows with a known label, some of each task, embedded.

    Args:
        trunk: the model.
        data: all examples.
        split: of each example, ``(n,)``.
        seed: of the sample.
        rows: of each task.
    """
    rng, at, task = np.random.default_rng(seed), [], []
    for place, name in enumerate(trunk.tasks):
        known = np.flatnonzero(data.masks[name] & (split == "test"))
        some = np.sort(rng.permutation(known)[:rows])
        at.append(some)
        task.append(np.full(len(some), place))
    number, back = np.unique(np.concatenate(at), return_inverse=True)
    places = np.concatenate(task)
    inputs = {name: data.inputs[name][number] for name in trunk.model.input}
    logits, gates = trunk.whole(inputs)
    none = np.zeros(0, "int64")
    which = {
        name: np.array([units.most_likely(trunk.assembly.types[name], one, none) for one in found])
        for name, found in logits.items()
    }
    user, item = inputs["user"].astype("int64"), inputs["item"].astype("int64")
    clusters = np.where(user > 0, user, -item)[back]
    return Asked(trunk.embed(inputs, which), back, places, number, clusters, inputs, gates)


def measure(
    trunk: Trunk, asked: Asked, again: Callable[[], MultiTaskModel], events: Events, seed: int
) -> Measured:  # fmt: skip
    """Explain answers, and measure how true the explanations are.

    Args:
        trunk: the model.
        asked: the answers.
        again: loads the model once more, to have its weights randomised.
        events: past events.
        seed: of random orders and weights.
    """
    paths = integrate(trunk, asked.rows, asked.at, asked.task)
    scale = np.array(trunk.units)[asked.task][:, None]
    shares = trunk.players.by_group(paths.players) / scale
    parts = [group.columns for group in trunk.players.groups]
    occluded = _occluded(trunk, asked, paths, parts) / scale
    events_of = asked.inputs["history_items"][asked.at]
    sees = np.array([trunk.assembly.seen[name].history for name in trunk.tasks])[asked.task]
    long = np.flatnonzero(sees & ((events_of > 0).sum(axis=1) >= LEAST_EVENTS))
    past = [(column,) for column in trunk.players.history]
    own = paths.players[:, list(trunk.players.history)] / scale
    lost = _occluded(trunk, asked, paths, past, long) / scale[long]
    known = popularity(events, len(trunk.assembly.encoder.item.ids))
    counts = np.where(events_of > 0, known[events_of], -1.0)[long]
    found = (
        _curves(FEATURES, trunk, asked, paths, parts, np.arange(len(asked.at)),
                shares, occluded, _usual(shares, asked.task), seed),
        _curves(PAST, trunk, asked, paths, past, long, own[long], lost, counts, seed),
    )  # fmt: skip
    changed = _changed(trunk, asked, shares, again, events, seed)
    return Measured(trunk, asked, paths, shares, occluded, found, changed)


def _occluded(
    trunk: Trunk, asked: Asked, paths: Found, parts: Sequence[Sequence[int]],
    some: Array | None = None,
) -> Array:  # fmt: skip
    """What is lost when one part alone is at its baseline, ``(k, parts)``."""
    some = np.arange(len(asked.at)) if some is None else some
    there = np.ones((len(parts), trunk.players.count), "float32")
    for number, own in enumerate(parts):
        there[number, list(own)] = 0.0
    at, task = (np.repeat(one[some], len(parts)) for one in (asked.at, asked.task))
    if not len(at):
        return np.zeros((0, len(parts)))
    left = faithful.asked(trunk, asked.rows, at, task, np.tile(there, (len(some), 1)))
    return paths.value[some, None] - left.reshape(len(some), len(parts))


def _usual(shares: Array, task: Array) -> Array:
    """How much each group matters in a task's other answers, ``(m, groups)``."""
    found = np.zeros_like(shares)
    for place in np.unique(task):
        own = task == place
        size = np.abs(shares[own])
        found[own] = (size.sum(axis=0) - size) / max(own.sum() - 1, 1)
    return found


def _curves(
    what: str, trunk: Trunk, asked: Asked, paths: Found, parts: Sequence[Sequence[int]],
    some: Array, shares: Array, lost: Array, popular: Array, seed: int,
) -> Curves:  # fmt: skip
    scale = np.array(trunk.units)[asked.task[some]]
    values: dict[str, dict[str, Array]] = {}
    gains: dict[str, dict[str, Array]] = {}
    at, task = asked.at[some], asked.task[some]
    sign = np.ones(len(some))
    if len(some):  # which way all parts together move the logit
        gone = np.ones((1, trunk.players.count), "float32")
        gone[0, [column for own in parts for column in own]] = 0.0
        none = faithful.asked(trunk, asked.rows, at, task, np.repeat(gone, len(some), axis=0))
        sign = np.where(paths.value[some] >= none, 1.0, -1.0)
    for kind in (faithful.DELETION, faithful.INSERTION):
        values[kind], gains[kind] = {}, {}
        if not len(some):
            continue
        for name, several in faithful.orders(shares, lost, popular, sign, seed).items():
            found = [faithful.curve(trunk, asked.rows, at, task, parts, one, kind)
                     for one in several]  # fmt: skip
            values[kind][name] = np.mean(found, axis=0) / scale[:, None]
            gains[kind][name] = faithful.gain(values[kind][name], kind, sign)
    return Curves(what, some, (shares != 0).sum(axis=1), values, gains)


def _changed(
    trunk: Trunk, asked: Asked, shares: Array, again: Callable[[], MultiTaskModel],
    events: Events, seed: int,
) -> dict[str, Array]:  # fmt: skip
    """How alike explanations are to those of the model when its weights are shuffled."""
    model, found = again(), {}
    tops = [layer for owned in model.owned.values() for layer in owned]
    for name, layers in (("towers and heads", tops), ("all weights", model.layers)):
        faithful.randomise(layers, seed)
        other = Trunk(model, trunk.assembly, events)
        which = dict(zip(trunk.tasks, np.asarray(asked.rows.which).T, strict=True))
        rows = other.embed(asked.inputs, which)
        paths = integrate(other, rows, asked.at, asked.task, tolerance=0.1)
        others = other.players.by_group(paths.players)
        found[name] = faithful.alike(shares, others)
        found[f"{name}, sizes alone"] = faithful.alike(shares, others, signed=False)
    return found


def importance(measured: Measured) -> pd.DataFrame:
    """Share of each group in the absolute contributions of each task, groups by tasks."""
    groups = [group.name for group in measured.trunk.players.groups]
    found = {}
    for place, name in enumerate(measured.trunk.tasks):
        size = np.abs(measured.shares[measured.asked.task == place])
        mean = size.mean(axis=0) if len(size) else np.zeros(len(groups))
        found[name] = mean / mean.sum() if mean.sum() else mean
    table = pd.DataFrame(found, index=groups)
    return table[(table > 0).any(axis=1)]


def use_of_experts(measured: Measured) -> pd.DataFrame | None:
    """Mean weight of each expert in each task, tasks by experts; None without gates."""
    asked = measured.asked
    if asked.gates is None:
        return None
    rows = {
        name: asked.gates[asked.at[asked.task == place], place].mean(axis=0)
        for place, name in enumerate(measured.trunk.tasks)
        if (asked.task == place).any()
    }
    table = pd.DataFrame(rows).T
    table.columns = [f"expert {number + 1}" for number in table.columns]
    return table


def report_file(paths: Paths) -> Path:
    """Where :func:`report` is kept, committed."""
    return paths.fusion_report.with_name("explanations.json")


def popularity(events: Events, items: int) -> Array:
    """Past events of each item, ``(items + 1,)``; the first is the unknown one."""
    return np.bincount(events.item[1:], minlength=items + 1)


def report(
    domain: str, seed: int, measured: Measured, resamples: int, file: Path
) -> dict[str, Any]:
    """Write and return what was measured; it holds no wall times."""
    trunk, asked = measured.trunk, measured.asked
    scale = np.array(trunk.units)[asked.task]
    tasks: dict[str, Any] = {}
    for place, name in enumerate(trunk.tasks):
        own = asked.task == place
        some = Found(*(part[own] for part in vars(measured.paths).values()))
        tasks[name] = {
            "answers": int(own.sum()),
            "completeness": faithful.completeness(some, scale[own]),
            "curves": {c.what: _gains(c, asked, own, resamples, seed) for c in measured.curves},
            "likeness to other weights": {
                what: faithful.paired(found[own], asked.clusters[own], resamples, seed)
                for what, found in measured.changed.items()
            },
        }
    table, experts = importance(measured), use_of_experts(measured)
    metrics = {
        "domain": domain, "seed": seed, "tolerance": TOLERANCE, "tasks": tasks,
        "importance": {name: dict(table[name]) for name in table},
        "experts": {} if experts is None else {n: dict(row) for n, row in experts.iterrows()},
    }  # fmt: skip
    write_text(file, json.dumps(_rounded(metrics), indent=2) + "\n")
    return json.loads(file.read_text(encoding="utf-8"))


def _gains(curves: Curves, asked: Asked, own: Array, resamples: int, seed: int) -> dict[str, Any]:
    """Gains of the methods over the orders that do not know the row, with intervals."""
    some = own[curves.answers] & (curves.parts > 1)
    clusters = asked.clusters[curves.answers][some]
    found: dict[str, Any] = {"answers": int(some.sum())}
    for kind, gains in curves.gains.items():
        for method in METHODS:
            for other in BASELINES:
                if some.sum() and gains:
                    more = gains[method][some] - gains[other][some]
                    found[f"{kind}: {method} over {other}"] = faithful.paired(
                        more, clusters, resamples, seed
                    )
    return found


def _rounded(value: Any) -> Any:
    """Six digits; what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): _rounded(inner) for key, inner in value.items()}
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if np.isfinite(value) else None
    return value


def example(measured: Measured) -> int:
    """The answer that is shown: of the first task that sees most, the one moved most.

    Returns:
        Its place among the answers.
    """
    trunk, asked = measured.trunk, measured.asked
    groups = [int((np.abs(measured.shares[asked.task == place]) > 0).any(axis=0).sum())
              for place in range(len(trunk.tasks))]  # fmt: skip
    own = np.flatnonzero(asked.task == int(np.argmax(groups)))
    long = (asked.inputs["history_items"][asked.at[own]] > 0).sum(axis=1)
    some = own[long == long.max()]
    change = np.abs(measured.paths.value - measured.paths.base)[some]
    return int(some[np.argmax(change)])


def row_of(asked: Asked, answer: int) -> dict[str, Array]:
    """The model's inputs of an answer's row, one row each."""
    at = asked.at[answer]
    return {name: values[at : at + 1] for name, values in asked.inputs.items()}
