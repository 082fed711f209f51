"""Our next-basket recommender; see ``benchmarks.models.next_basket``.

Given lines of known baskets (``household``, ``basket``, ``item``, ``day``), the day of the basket
asked for (``next_day``), the product type of each item (``group``), ``households`` and ``items``
(sizes), the settings to choose from and the seeds: answers ``SCOPE_SEED`` ``(households, 10)``, the
best products in order of all, of those bought before and of those never bought, and
``trials_SCOPE``, what the settings were worth on the last known basket of half of the households,
by the network of the other half.
"""

from __future__ import annotations

import time

import numpy as np
from exchange import answer, given

from benchmarks.models import listwise, next_basket, topk
from benchmarks.models.basket_features import candidates
from benchmarks.models.baskets import Baskets


def worth(
    folds: list[next_basket.Fold], scope: str, settings: listwise.Settings, count: int
) -> float:
    """NDCG@10 among the candidates of one half of the households in the first fold."""
    half = np.random.default_rng(0).permutation(count) < count // 2
    model = next_basket.fit(folds, scope, np.flatnonzero(half), settings, 0)
    part = next_basket.SCOPES[scope]
    first = folds[0]
    scores = listwise.score(model, first.found.features[~half][:, part])
    row, column = np.nonzero(first.wanted[~half][:, part])
    ranks = topk.relevant_ranks(scores, row, column, first.found.items[~half][:, part] < 0)
    return float(topk.per_user(ranks, row)["ndcg@10"].mean())


def main() -> None:
    """Answer."""
    arrays, options = given()
    started = time.monotonic()
    households, items = int(arrays["households"]), int(arrays["items"])
    known = Baskets(arrays["household"], arrays["basket"], arrays["item"], arrays["day"],
                    households, items)  # fmt: skip
    folds = [next_basket.fold(known, back, arrays["group"]) for back in range(options["folds"])]
    found = candidates(known, arrays["next_day"], arrays["group"])
    choices = [listwise.Settings(**settings) for settings in options["settings"]]
    answers = {}
    for scope in next_basket.SCOPES:
        trials = np.array([worth(folds, scope, settings, households) for settings in choices])
        answers[f"trials_{scope}"] = trials
        for seed in options["seeds"]:
            chosen = choices[int(trials.argmax())]
            model = next_basket.fit(folds, scope, np.arange(households), chosen, seed)
            answers[f"{scope}_{seed}"] = next_basket.recommend(model, found, scope, 10)
    answer("mtrec", started, **answers)


if __name__ == "__main__":
    main()
