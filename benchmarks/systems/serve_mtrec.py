"""Ours: one user's request against the whole catalogue, request after request.

``how: recommend`` is :meth:`mtrec.serving.recommender.Recommender.recommend`; ``how: product`` is
the floor: the product of the item matrix with a vector and the choice of the best ten, without any
network.
"""

from __future__ import annotations

import os
import time

import exchange
import numpy as np


def main() -> None:
    """Answer."""
    _, options = exchange.given()
    for kind in ("INTRAOP", "INTEROP"):  # read when TensorFlow loads
        os.environ[f"TF_NUM_{kind}_THREADS"] = str(options["threads"])
    answer, users = {"recommend": recommend, "product": product}[options["how"]](options)
    draw = np.random.default_rng(options["seed"])
    asked = [users[n] for n in draw.integers(0, len(users), options["requests"])]
    for user in asked[: options["warm_up"]]:
        answer(user)
    started, seconds = time.monotonic(), []
    for user in asked:
        at = time.perf_counter()
        answer(user)
        seconds.append(time.perf_counter() - at)
    exchange.answer("mtrec", started, latencies=np.array(seconds))


def recommender(options: dict):
    """A model of the pipeline's sizes; weights do not matter to the clock."""
    from benchmarks.models import synthetic

    made = synthetic.tables(options["events"], options["users"], options["items"], 2, 42)
    return synthetic.recommender(made, synthetic.domain(2, ranking=True), 42)


def recommend(options: dict):
    """The function that answers, and who may ask."""
    ours = recommender(options)
    return ours.recommend, ours.assembly.encoder.user.ids


def product(options: dict):
    """The function that answers, and who may ask."""
    draw = np.random.default_rng(options["seed"])
    items = draw.normal(size=(options["items"], options["width"])).astype("float32")
    queries = draw.normal(size=(options["users"], options["width"])).astype("float32")

    def answer(user: int) -> np.ndarray:
        scores = items @ queries[user]
        best = np.argpartition(-scores, 10)[:10]
        return best[np.argsort(-scores[best])]

    return answer, np.arange(options["users"])


if __name__ == "__main__":
    main()
