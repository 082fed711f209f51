r"""Who answers a task: one rule, on validation rows.

The joint model is the simplest answer, one member alone the next, then their fusion; in rankings a
network that orders what they nominate (:mod:`mtrec.fusion.listwise`) is the costliest. A costlier
one is kept only where its gain on validation rows is more than one standard error (Breiman et al.
1984, "Classification and Regression Trees", section 3.4.3). What fusion would gain is
measured on rows that did not choose its weights: users are dealt into folds, and each fold is
answered with the weights of all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtrec.fusion import listwise, selection, stacking
from mtrec.metrics.intervals import resample_weights
from mtrec.metrics.ranks import ranks
from mtrec.models.twins import JOINT
from mtrec.registry import METRICS, Form

Array = np.ndarray
Combine = Callable[[Sequence[Array]], Array]  # predictions of members -> fused ones
FOLDS = 5
RESAMPLES = 200
FUSED = "fused"
LITTLE = "not more than one standard error"


@dataclass(frozen=True)
class Rows:
    """Validation rows of one task.

    Attributes:
        form: what labels are.
        family: of metrics.
        labels: encoded labels.
        clusters: user of each row.
        out: candidates that do not compete, in rankings; else None.
    """

    form: Form
    family: str
    labels: Array
    clusters: Array
    out: Array | None = None

    def take(self, rows: Array) -> Rows:
        """Some of the rows."""
        out = None if self.out is None else self.out[rows]
        return Rows(self.form, self.family, self.labels[rows], self.clusters[rows], out)

    def placed(self, found: Array) -> Array:
        """Predictions as metrics read them: ranks of the relevant candidate, or as they are."""
        return found if self.out is None else ranks(found, self.labels, self.out)

    def quality(self, found: Array) -> float:
        """The main metric, negative if lower is better."""
        return self.sign * METRICS[self.family].values(self.labels, self.placed(found))[self.main]

    @property
    def main(self) -> str:
        """The metric that decides."""
        return METRICS[self.family].main

    @property
    def sign(self) -> float:
        """-1 where lower is better."""
        return 1.0 if METRICS[self.family].higher_is_better[self.main] else -1.0


@dataclass(frozen=True)
class Choice:
    """Who answers a task, and why.

    Attributes:
        chosen: ``fused``, or the name of a member.
        weights: of the members in the fusion of all validation rows, by name.
        bias: of a stack; empty for rankings.
        gains: on validation rows with one standard error: of the best member over the joint model,
            of the cross-fitted fusion over the better of the two, and of the cross-fitted network
            over the best of all.
        why: the rule in a sentence, with its numbers.
        ranker: of a ranking that is fused by a network: what orders the candidates that the
            weights nominate. It asks all members, in their order in ``weights``.
    """

    chosen: str
    weights: dict[str, float]
    bias: tuple[float, ...] = ()
    gains: Mapping[str, tuple[float, float]] | None = None
    why: str = ""
    ranker: listwise.Ranker | None = None


def choose(rows: Rows, found: Mapping[str, Array], seed: int) -> Choice:
    """Apply the rule.

    Args:
        rows: validation rows.
        found: predictions by member, in the form of the task type's; rankings as
            :func:`mtrec.fusion.selection.standardised` makes them. The joint model is among them.
        seed: of folds and resamples.
    """
    if not len(rows.labels):
        return keep(found, "there are no validation rows to choose on")
    if rows.form in (Form.BIT, Form.CLASS, Form.LEVEL) and len(np.unique(rows.labels)) < 2:
        return keep(found, "validation rows have a single class")
    if len(np.unique(rows.clusters)) < FOLDS:
        return keep(found, f"validation rows are of fewer than {FOLDS} users")
    qualities = {name: rows.quality(one) for name, one in found.items()}
    best = max(qualities, key=lambda name: qualities[name])
    joint = placed_gain(rows, found[best], found[JOINT], seed)
    simple = best if joint[0] > joint[1] else JOINT
    parts = list(found.values())
    together = crossfit(rows, parts, seed)
    fused = placed_gain(rows, together, found[simple], seed)
    weights, bias, _ = combine(rows, parts)
    chosen = FUSED if fused[0] > fused[1] else simple
    choice = Choice(
        chosen,
        {name: float(weight) for name, weight in zip(found, weights, strict=True)},
        tuple(float(value) for value in bias),
        {"member": joint, "fused": fused},
        _why(chosen, best, simple, joint, fused),
    )
    if rows.form is not Form.RANK:
        return choice
    return _ordered(rows, parts, choice, together if chosen == FUSED else found[simple], seed)


def _ordered(
    rows: Rows, found: Sequence[Array], choice: Choice, kept: Array, seed: int
) -> Choice:  # fmt: skip
    """The choice with a network that orders the candidates, where that is worth it.

    Args:
        rows: validation rows.
        found: predictions of the members.
        choice: without the network.
        kept: what it says of the rows, not fitted to them.
        seed: of folds, resamples and the network.
    """
    shares = np.array(list(choice.weights.values()))
    ranker = train_ranker(rows, found, shares, seed)
    ordered = None if ranker is None else crossfit_ranker(rows, found, seed)
    if ordered is None:
        return choice
    gain = placed_gain(rows, ordered, kept, seed)
    gains = {**(choice.gains or {}), "ranker": gain}
    over = f"{gain[0]:+.4f} over that (standard error {gain[1]:.4f})"
    if gain[0] <= gain[1]:
        why = f"{choice.why} A network that orders what the members nominate changes it by {over}."
        return replace(choice, gains=gains, why=why)
    why = f"a network orders what the members nominate: it gains {over}. Without it, {choice.why}"
    return replace(choice, chosen=FUSED, gains=gains, why=why, ranker=ranker)


def train_ranker(
    rows: Rows, found: Sequence[Array], shares: Array, seed: int
) -> listwise.Ranker | None:  # fmt: skip
    """A network fitted to rows, or None where too few of them teach it anything."""
    assert rows.out is not None
    return listwise.fit(found, rows.out, rows.labels, shares, seed)


def crossfit_ranker(rows: Rows, found: Sequence[Array], seed: int) -> Array | None:
    """Scores of rows by a network and shares that their users' folds did not choose."""
    assert rows.out is not None
    fold = folds(rows.clusters, seed)
    result = np.zeros_like(found[0], dtype="float32")
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        others, parts = rows.take(outside), [one[outside] for one in found]
        shares, _, _ = combine(others, parts)
        ranker = train_ranker(others, parts, shares, seed)
        if ranker is None:
            return None
        result[inside] = ranker([one[inside] for one in found], rows.out[inside])
    return result


def keep(found: Mapping[str, Any], reason: str) -> Choice:
    """The joint model answers, for a reason given as a clause."""
    weights = {name: float(name == JOINT) for name in found}
    return Choice(JOINT, weights, why=f"the joint model answers: {reason}.")


def combine(rows: Rows, found: Sequence[Array]) -> tuple[Array, Array, Combine]:
    """Weights and bias fitted to rows, and what they make of predictions of any rows."""
    if rows.form is Form.RANK:
        weights = selection.select(found, rows.quality)
        return weights, np.zeros(0), lambda some: selection.summed(some, weights)
    stack = stacking.fit(stacking.KINDS[rows.form], found, rows.labels)
    return stack.weights, stack.bias, stack


def crossfit(rows: Rows, found: Sequence[Array], seed: int) -> Array:
    """Fused predictions of rows by weights that their users' folds did not choose.

    The biases of bits are those of all rows. They do not change the order of a label's rows, by
    which bits are judged; biases of each fold would, and against the labels, since a fold with many
    of a label leaves few to the others.
    """
    fold = folds(rows.clusters, seed)
    shared = combine(rows, found)[1] if rows.form in (Form.BIT, Form.SET) else None
    result = np.zeros_like(found[0], dtype=np.result_type(found[0], "float32"))
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        weights, _, fused = combine(rows.take(outside), [one[outside] for one in found])
        if shared is not None:
            fused = stacking.Stack(stacking.BITS, weights, shared)
        result[inside] = fused([one[inside] for one in found])
    return result


def folds(clusters: Array, seed: int) -> Array:
    """Fold of each row, ``(n,)``; rows of one user are in one fold."""
    names, codes = np.unique(clusters, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[codes]


def placed_gain(rows: Rows, one: Array, other: Array, seed: int) -> tuple[float, float]:
    """Gain in the main metric of one system over another, and its standard error over users."""
    if one is other:
        return 0.0, 0.0
    first, second = rows.placed(one), rows.placed(other)
    family, weights = METRICS[rows.family], resample_weights(rows.clusters, RESAMPLES, seed)
    values = [family.values(rows.labels, placed)[rows.main] for placed in (first, second)]
    draws = [family.draws(rows.labels, placed, weights)[rows.main] for placed in (first, second)]
    error = float(np.nanstd(draws[0] - draws[1]))
    return rows.sign * (values[0] - values[1]), error


def _why(
    chosen: str, best: str, simple: str, joint: tuple[float, float], fused: tuple[float, float]
) -> str:
    """The rule in a sentence."""
    over = "the joint model" if simple == JOINT else simple
    if chosen == FUSED:
        return f"the fusion answers: it gains {_with_error(fused, f' over {over}')}."
    of_fusion = f"the gain of fusion over it is {_with_error(fused)}, {LITTLE}"
    if simple != JOINT:
        gained = _with_error(joint, " over the joint model")
        return f"{simple} answers: it gains {gained}; {of_fusion}."
    if best == JOINT:
        return f"the joint model answers: {of_fusion}."
    return (
        f"the joint model answers: the gain over it of {best} is {_with_error(joint)} and of "
        f"fusion {_with_error(fused)}, neither {LITTLE.removeprefix('not ')}."
    )


def _with_error(gain: tuple[float, float], over: str = "") -> str:
    """A gain with its standard error, positive if better."""
    return f"{gain[0]:+.4f}{over} (standard error {gain[1]:.4f})"
