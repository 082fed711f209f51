"""What each kind of request costs in trained domains, one after another and without HTTP.

``python -m benchmarks.service.asked ROOT [DOMAIN …]`` opens each domain under ROOT as `mtrec serve`
does and prints milliseconds: as it answers, and with the joint model alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mtrec import cores
from mtrec.fusion import store
from mtrec.service.answer import Answers
from mtrec.service.bundle import open_bundle
from mtrec.service.members import Members
from mtrec.service.schemas import Explain, Pair, Recommend, Score

TIMES, SETTLED = 200, 20  # requests of a kind, and those before that are not counted


def kinds(answers: Answers, rng: np.random.Generator) -> dict[str, Callable[[], object]]:
    """A function that makes and answers a random request, by kind."""
    users, items = answers.state.users.names, answers.state.items.names

    def one(names: list[str]) -> str:
        return names[int(rng.integers(1, len(names)))]

    def pairs(count: int) -> Score:
        return Score(pairs=[Pair(user_id=one(users), item_id=one(items)) for _ in range(count)])

    found: dict[str, Callable[[], object]] = {
        "/recommend": lambda: answers.lists.recommend(Recommend(user_id=one(users))),
        "/score, a pair": lambda: answers.score(pairs(1)),
        "/score, 50 pairs": lambda: answers.score(pairs(50)),
    }
    if answers.lists.gradable:
        weights = {next(iter(answers.lists.gradable)): 1.0}
        found[f"/recommend by {[*weights][0]}"] = lambda: answers.lists.recommend(
            Recommend(user_id=one(users), tasks=weights)
        )
    reasons = answers.reasons
    found["/explain"] = lambda: reasons.explain(
        reasons.read(Explain(user_id=one(users), item_id=one(items)))
    )
    return found


def timed(ask: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile of milliseconds."""
    taken = []
    for _ in range(SETTLED + TIMES):
        began = time.perf_counter()
        ask()
        taken.append(1e3 * (time.perf_counter() - began))
    p50, p99 = np.percentile(taken[SETTLED:], [50, 99])
    return float(p50), float(p99)


def main(root: Path, domains: list[str]) -> None:
    """Print the figures of each domain."""
    cores.keep_to_one_core()
    for domain in domains:
        bundle = open_bundle(domain, root)
        answers, trained = bundle.answers, root / "models" / domain
        nobody = store.Kept({}, {}, None, {})
        alone = Members(nobody, trained, answers.recommender, answers.state)
        print(f"{domain}: {answers.members.systems}", flush=True)
        for members, who in ((answers.members, "as it answers"), (alone, "joint alone")):
            answers.members = members
            for kind, ask in kinds(answers, np.random.default_rng(0)).items():
                if who == "as it answers" or kind != "/explain":
                    p50, p99 = timed(ask)
                    print(f"  {kind}, {who}: p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)


if __name__ == "__main__":
    from mtrec.config import read_params

    place = Path(sys.argv[1])
    main(place, sys.argv[2:] or list(read_params(place / "params.yaml").domains))
