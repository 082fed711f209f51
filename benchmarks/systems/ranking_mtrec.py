"""Our top-N recommender; see ``benchmarks.models.topn``.

Given ``user``, ``item``, ``rating`` and ``time`` of training and validation events (the latter
marked by ``validation``), ``users`` and ``items`` (sizes), the kind of protocol, the settings to
choose from and the seeds: answers ``scores_K`` ``(users, items)`` for each seed, and what the
settings were worth on validation (``trials``, NDCG@10).
"""

from __future__ import annotations

import time

import numpy as np
from exchange import answer, given

from benchmarks.models import listwise, topk, topn
from benchmarks.models.sequence import Events, ordered


def worth(folds: list[topn.Lists], validation: Events, settings: listwise.Settings) -> float:
    """NDCG@10 on validation, each half of the users by the network of the other half."""
    scores = topn.cross_fitted(folds, settings, 0)
    full = topn.spread(folds[0].items, scores, validation.items)
    nowhere = np.zeros(full.shape, dtype=bool)  # what is not nominated is last, so seen items too
    ranks = topk.relevant_ranks(full, validation.user, validation.item, nowhere)
    return float(topk.per_user(ranks, validation.user)["ndcg@10"].mean())


def main() -> None:
    """Answer."""
    arrays, options = given()
    started = time.monotonic()
    events = ordered(arrays["user"], arrays["item"], arrays["rating"], arrays["time"],
                     int(arrays["users"]), int(arrays["items"]))  # fmt: skip
    order = np.lexsort((np.arange(len(arrays["user"])), arrays["time"], arrays["user"]))
    held = arrays["validation"][order]
    train, validation = events.take(~held), events.take(held)
    folds = topn.all_folds(options["kind"], train, validation, options["more_folds"])
    choices = [listwise.Settings(**settings) for settings in options["settings"]]
    trials = np.array([worth(folds, validation, settings) for settings in choices])
    chosen = choices[int(trials.argmax())]
    items, features = topn.nominate(options["kind"], events)
    everyone = np.arange(events.users)
    found = {}
    for seed in options["seeds"]:
        model = topn.fit(folds, everyone, chosen, seed)
        scores = listwise.score(model, features)
        found[f"scores_{seed}"] = topn.spread(items, scores, events.items)
    answer("mtrec", started, trials=trials, **found)


if __name__ == "__main__":
    main()
