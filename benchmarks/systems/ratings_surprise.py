"""Surprise: ALS-regularised biases, SVD++ and item neighbours around the biases.

Sources: https://github.com/NicolasHug/Surprise; Koren 2008, 2010 for SVD++ and KNNBaseline.
"""

import random
import time

import numpy as np
from exchange import answer, given
from surprise import BaselineOnly, KNNBaseline, SVDpp, Trainset


def main() -> None:
    """Answer ratings ``(m,)`` of the asked pairs."""
    data, options = given()
    random.seed(options["seed"])
    np.random.seed(options["seed"])
    started = time.monotonic()
    model = build(options["model"], options["seed"], options["settings"])
    training = trainset(data["user"], data["item"], data["rating"].astype("float64"))
    model.fit(training)
    pairs = zip(data["asked_user"].tolist(), data["asked_item"].tolist(), strict=True)
    found = np.array([model.predict(user, item).est for user, item in pairs])
    answer("scikit-surprise", started, predictions=found)


def build(name: str, seed: int, settings: dict):
    """The named algorithm."""
    if name == "bias":
        return BaselineOnly(bsl_options={"method": "als", **settings}, verbose=False)
    if name == "svdpp":
        return SVDpp(n_epochs=30, random_state=seed, **settings)
    options = {"name": "pearson_baseline", "user_based": False, "shrinkage": settings["shrinkage"]}
    return KNNBaseline(k=settings["k"], sim_options=options, verbose=False)


def trainset(user: np.ndarray, item: np.ndarray, rating: np.ndarray) -> Trainset:
    """Surprise's own training set of the rows, with our numbers as raw ids."""
    inner_user = {raw: inner for inner, raw in enumerate(dict.fromkeys(user.tolist()))}
    inner_item = {raw: inner for inner, raw in enumerate(dict.fromkeys(item.tolist()))}
    of_user: dict[int, list] = {inner: [] for inner in inner_user.values()}
    of_item: dict[int, list] = {inner: [] for inner in inner_item.values()}
    for u, i, r in zip(user.tolist(), item.tolist(), rating.tolist(), strict=True):
        of_user[inner_user[u]].append((inner_item[i], r))
        of_item[inner_item[i]].append((inner_user[u], r))
    return Trainset(
        of_user, of_item, len(of_user), len(of_item), len(rating), (1, 5), inner_user, inner_item
    )


if __name__ == "__main__":
    main()
