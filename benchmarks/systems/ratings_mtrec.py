"""Ours: the Bayesian factor model, the joint network that it teaches, and another of either.

``components`` are level probabilities ``(parts, m, 5)``: teacher, network, second factor model.
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"  # small products: threads would wait for each other

import numpy as np  # noqa: E402
from exchange import answer, given  # noqa: E402

from benchmarks.models import rating_bayes, rating_joint, rating_sides  # noqa: E402
from benchmarks.models.rating_network import Settings  # noqa: E402


def main() -> None:
    """Answer every component, the network's like ``(m,)`` and the seconds up to the network."""
    data, options = given()
    started = time.monotonic()
    seed, spans = options["seed"], tuple(options["spans"])
    steps = (options["iterations"], options["burn"])
    teacher, soft, levels = rating_joint.taught(
        data, options["pairs"], options["factors"][0], *steps, seed, spans
    )
    network, like = rating_joint.network(
        data, soft, levels, Settings(**options["network"]), seed, spans
    )
    joint = time.monotonic() - started
    second = rating_bayes.sample(
        data["rating"] - 1, rating_sides.modes(data), rating_sides.groups(data, spans),
        options["factors"][1], *steps, seed + 1000,
    )  # fmt: skip
    answer(
        "mtrec", started, components=np.stack([teacher, network, second]), like=like,
        joint_seconds=np.float64(joint),
    )  # fmt: skip


if __name__ == "__main__":
    main()
