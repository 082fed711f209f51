"""The joint network of rating and like, taught by a Bayesian factor model of the same rows.

The teacher sees the training rows only. It answers soft targets on drawn pairs of user and item
that are not in training, at times when the user was active; the network learns them together
with the known ratings. Nothing of the teacher is needed to predict.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.models import rating_bayes, rating_network, rating_sides
from benchmarks.models.rating_network import LEVELS, Rows, Settings, Sides

Array = np.ndarray


def taught(
    data: Mapping[str, Array], pairs: int, factors: int, iterations: int, burn: int, seed: int,
    spans: tuple[int, ...] = rating_sides.DAYS,
) -> tuple[Array, Mapping[str, Array], Array]:  # fmt: skip
    """The teacher's answers.

    Args:
        data: what a system sees (:func:`benchmarks.models.rating_table.given`).
        pairs: number of soft rows to draw.
        factors: of the teacher.
        iterations: of its sampler.
        burn: first of them that are thrown away.
        seed: of everything.
        spans: groups of a user's rows, in seconds.

    Returns:
        Level probabilities of the asked rows; the soft rows; their level probabilities.
    """
    soft = draw_pairs(data, pairs, np.random.default_rng(seed))
    both = dict(data) | {
        f"asked_{name}": np.concatenate([data[f"asked_{name}"], values])
        for name, values in soft.items()
    }
    found = rating_bayes.sample(
        data["rating"] - 1, rating_sides.modes(both), rating_sides.groups(both, spans),
        factors, iterations, burn, seed,
    )  # fmt: skip
    asked = len(data["asked_user"])
    return found[:asked], soft, found[asked:]


def draw_pairs(data: Mapping[str, Array], size: int, rng: np.random.Generator) -> dict[str, Array]:
    """``user``, ``item`` and ``time`` of pairs that are not in training, ``(<= size,)``.

    Users and times are those of drawn training rows; half of the items too, half are uniform.
    """
    rows = rng.integers(len(data["user"]), size=size)
    items = len(data["item_year"])
    popular = data["item"][rng.integers(len(data["item"]), size=size)]
    item = np.where(rng.random(size) < 0.5, popular, rng.integers(items, size=size))
    user, time = data["user"][rows], data["time"][rows]
    fresh = ~np.isin(user * items + item, data["user"] * items + data["item"])
    return {"user": user[fresh], "item": item[fresh], "time": time[fresh]}


def network(
    data: Mapping[str, Array], soft: Mapping[str, Array], levels: Array, settings: Settings,
    seed: int, spans: tuple[int, ...] = rating_sides.DAYS,
) -> tuple[Array, Array]:  # fmt: skip
    """Train the network on known and soft rows and answer the asked ones.

    Args:
        data: what a system sees.
        soft: drawn pairs, none for a network without a teacher.
        levels: their level probabilities.
        settings: of the network.
        seed: of its training.
        spans: groups of a user's rows, in seconds.

    Returns:
        Level probabilities ``(m, 5)`` and probabilities of a like ``(m,)``.
    """
    learned = {name: np.concatenate([data[name], soft[name]]) for name in soft}
    question = {f"asked_{name}": data[f"asked_{name}"] for name in soft}
    rows = learned | question
    days = rating_sides.together(rows, lambda part: part["time"] // rating_sides.DAY)
    groups = rating_sides.groups(rows, spans)
    user, item, _ = rating_sides.modes(data)
    sides = Sides(
        np.hstack(user.features), np.hstack(item.features), days[2],
        tuple(group.size for group in groups),
    )  # fmt: skip
    hard = np.eye(LEVELS)[data["rating"] - 1]
    training = Rows(
        inputs(learned, days[0], [group.known for group in groups]),
        np.concatenate([hard, levels]),
    )
    model = rating_network.fit(training, sides, settings, seed)
    asked = {name: data[f"asked_{name}"] for name in soft}
    seen = [masked(group.asked, group.known) for group in groups]
    return rating_network.predict(model, inputs(asked, masked(days[1], days[0]), seen))


def inputs(rows: Mapping[str, Array], days: Array, groups: list[Array]) -> dict[str, Array]:
    """Inputs of the network, 32-bit."""
    found = {"user": rows["user"], "item": rows["item"], "day": days}
    found |= {"groups": np.stack(groups, axis=1)}
    return {name: values.astype("int32") for name, values in found.items()}


def masked(codes: Array, known: Array) -> Array:
    """Codes, -1 where training has none such."""
    return np.where(np.isin(codes, known), codes, -1)
