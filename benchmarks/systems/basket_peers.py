"""Published next-basket methods; see ``benchmarks.models.baskets``.

Given lines of known baskets (``household``, ``basket``, ``item``, ``day``), ``households`` and
``items`` (sizes), and jobs, each a method's name and settings: answers ``all_K``, ``repeat_K`` and
``explore_K`` ``(households, 10)`` for each job: the best products in order, of all, of those bought
before and of those never bought.
"""

from __future__ import annotations

import time

import numpy as np
from exchange import answer, given

from benchmarks.models.baskets import PEERS, Baskets
from benchmarks.models.topk import best


def main() -> None:
    """Answer."""
    arrays, options = given()
    started = time.monotonic()
    known = Baskets(arrays["household"], arrays["basket"], arrays["item"], arrays["day"],
                    int(arrays["households"]), int(arrays["items"]))  # fmt: skip
    bought = (known.matrix() > 0).toarray()
    nowhere = np.zeros_like(bought)
    scopes = {"all": nowhere, "repeat": ~bought, "explore": bought}
    found = {}
    for k, (method, settings) in enumerate(options["jobs"]):
        scores = PEERS[method](known, **settings)
        found |= {f"{scope}_{k}": best(scores, out, 10) for scope, out in scopes.items()}
    answer("mtrec", started, **found)


if __name__ == "__main__":
    main()
