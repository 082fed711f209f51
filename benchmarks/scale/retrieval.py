"""The ten best of many items for a user: exact as the service does it, and by an index.

``python -m benchmarks.scale.retrieval`` measures and writes ``benchmarks/scale/retrieval.json``; it
needs ``faiss`` (``make .venv/bench/retrieval/.installed``, then that environment's Python, see
``docs/scale.md``). One core, one query at a time, as requests come.

Items are drawn, since no data set at hand has so many: each lies around one of ``items / 50``
centres, with a bias as popularity gives it, and a user is between two centres. The index divides
items into lists by k-means and keeps of each a code of four bits for every two numbers (product
quantisation: Jegou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57; scanned in registers: Andre
et al. 2015, https://doi.org/10.14778/2856318.2856324). A query reads the codes of the nearest lists
and scores the best again, exactly. How many lists it reads, and how many items it scores, is chosen
on half of the queries; recall is of the other half.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mtrec.files import write_text

Array = np.ndarray
FILE = Path(__file__).with_name("retrieval.json")
WIDTH, BEST, WANTED = 64, 10, 0.992  # a little more than 0.99, which other queries then keep
PART, BITS = 2, 4  # numbers of a code, and its bits
SAMPLE = 50  # items per list that lists and codes are learnt from
AGAIN = (20, 100, 500)  # times the wanted items, which are scored exactly
SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2)  # of the lists
QUERIES = 200
BLOCK = 1 << 18  # items drawn at a time


def draw(items: int, seed: int = 0) -> tuple[Array, Array]:
    """Item states with their bias as a last column, and queries, ``float32``."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(items // 50, 2), WIDTH)).astype("float32") / WIDTH**0.5
    states = np.empty((items, WIDTH + 1), "float32")
    for start in range(0, items, BLOCK):
        own = states[start : start + BLOCK]
        noise = rng.standard_normal((len(own), WIDTH), "float32") * (0.5 / WIDTH**0.5)
        own[:, :WIDTH] = centres[rng.integers(0, len(centres), len(own))] + noise
        own[:, WIDTH] = 0.1 * rng.standard_normal(len(own), "float32")
    tastes = centres[rng.integers(0, len(centres), (QUERIES, 2))].mean(axis=1)
    noise = rng.standard_normal(tastes.shape).astype("float32") * (0.3 / WIDTH**0.5)
    return states, np.hstack([4 * (tastes + noise), np.ones((QUERIES, 1))]).astype("float32")


def exact(states: Array, query: Array) -> Array:
    """Positions of the best items: a product and a partial sort, as in the service."""
    scores = states @ query
    some = np.argpartition(-scores, BEST)[:BEST]
    return some[np.argsort(-scores[some], kind="stable")]


def timed(ask: Callable[[Array], Array], queries: Array) -> tuple[Array, float]:
    """Answers, and the median of a core's milliseconds per query, other work left out."""
    answers, took = [], []
    for query in queries:
        start = time.process_time()
        answers.append(ask(query))
        took.append(1000 * (time.process_time() - start))
    return np.array(answers), float(np.median(took))


def recall(found: Array, wanted: Array) -> float:
    """Share of the wanted items that were found."""
    return float(np.mean([np.isin(w, f).mean() for f, w in zip(found, wanted, strict=True)]))


def build(states: Array) -> tuple[Any, Any, float]:
    """The index of items, its lists of codes, and seconds of one core that it took."""
    import faiss

    faiss.omp_set_num_threads(1)
    start = time.process_time()
    items, width = states.shape
    lists = 2 ** round(np.log2(2 * items**0.5))
    kind = f"IVF{lists},PQ{width // PART}x{BITS}fs"
    coarse = faiss.index_factory(width, kind, faiss.METRIC_INNER_PRODUCT)
    some = np.random.default_rng(0).choice(items, min(items, SAMPLE * lists), replace=False)
    coarse.train(states[some])
    index = faiss.IndexRefineFlat(coarse)
    for first in range(0, items, BLOCK):
        index.add(states[first : first + BLOCK])
    return index, coarse, time.process_time() - start


def measure(items: int) -> dict[str, Any]:
    """One point of the curve."""
    states, queries = draw(items)
    wanted, exact_ms = timed(lambda query: exact(states, query), queries)
    states, queries = even(states), even(queries)
    index, coarse, seconds = build(states)
    choosing, held = slice(0, QUERIES // 2), slice(QUERIES // 2, QUERIES)
    for again, share in product(AGAIN, SHARES):
        index.k_factor, coarse.nprobe = again, max(1, round(share * coarse.nlist))
        found, ms = timed(lambda query: index.search(query[None], BEST)[1][0], queries)
        if recall(found[choosing], wanted[choosing]) >= WANTED:
            break
    width = states.shape[1]
    return {
        "items": items,
        "exact_ms": round(exact_ms, 3),
        "megabytes": round(4 * items * (WIDTH + 1) / 1e6),
        "index_ms": round(ms, 3),
        "recall": round(recall(found[held], wanted[held]), 4),
        "lists": coarse.nlist,
        "read": coarse.nprobe,
        "scored": again * BEST,
        "build_seconds": round(seconds, 1),
        "index_megabytes": round(items * (4 * width + BITS * width / PART / 8 + 8) / 1e6),
    }


def even(states: Array) -> Array:
    """With columns of zeros, until parts of ``PART`` numbers divide them."""
    return np.pad(states, ((0, 0), (0, -states.shape[1] % PART)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; sizes that are not asked for keep what is known of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args(arguments)
    known = json.loads(chosen.out.read_text()) if chosen.out.is_file() else []
    curve = {row["items"]: row for row in known}
    for items in chosen.items:
        curve[items] = measure(items)
        print(curve[items], flush=True)
        write_text(chosen.out, json.dumps([curve[n] for n in sorted(curve)], indent=1) + "\n")


if __name__ == "__main__":
    main()
