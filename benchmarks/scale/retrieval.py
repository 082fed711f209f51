"""The ten best of many items for a user: exact as the service does it, and by an index.

``python -m benchmarks.scale.retrieval`` measures and writes ``benchmarks/scale/retrieval.json``; it
needs ``faiss`` (``make .venv/bench/retrieval/.installed``, then that environment's Python, see
``docs/scale.md``). One core, one query at a time, as requests come.

Items are drawn, since no data set at hand has so many: each lies around one of ``items / 50``
centres, with a bias as popularity gives it, and a user is between two centres. The index is a graph
of near items, walked from afar (HNSW, Malkov and Yashunin 2018, https://arxiv.org/abs/1603.09320).
How far a walk looks around is chosen on half of the queries; recall is of the other half.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtrec.files import write_text

Array = np.ndarray
FILE = Path(__file__).with_name("retrieval.json")
WIDTH, BEST, WANTED = 64, 10, 0.992  # a little more than 0.99, which other queries then keep
LINKS = 16  # of an item to others
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


def build(states: Array) -> tuple[Any, float]:
    """The index of items, and seconds of one core that it took."""
    import faiss

    faiss.omp_set_num_threads(1)
    start = time.process_time()
    index = faiss.IndexHNSWFlat(WIDTH + 1, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 4 * LINKS
    index.add(states)
    return index, time.process_time() - start


def measure(items: int, indexed: bool = True) -> dict[str, Any]:
    """One point of the curve, without the index if that would take hours to build."""
    states, queries = draw(items)
    wanted, exact_ms = timed(lambda query: exact(states, query), queries)
    point = {
        "items": items,
        "exact_ms": round(exact_ms, 3),
        "megabytes": round(states.nbytes / 1e6),
    }
    if not indexed:
        return point
    index, seconds = build(states)
    choosing, held = slice(0, QUERIES // 2), slice(QUERIES // 2, QUERIES)
    for around in (2**power for power in range(4, 15)):
        index.hnsw.efSearch = around
        found, ms = timed(lambda query: index.search(query[None], BEST)[1][0], queries)
        if recall(found[choosing], wanted[choosing]) >= WANTED:
            break
    return point | {
        "index_ms": round(ms, 3),
        "recall": round(recall(found[held], wanted[held]), 4),
        "looked_at": around,
        "build_seconds": round(seconds, 1),
        "index_megabytes": round(items * (4 * (WIDTH + 1) + 8 * LINKS + 8) / 1e6),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; sizes that are not asked for keep what is known of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--index-up-to", type=int, default=10**6, help="items; building takes long")
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args(arguments)
    known = json.loads(chosen.out.read_text()) if chosen.out.is_file() else []
    curve = {row["items"]: row for row in known}
    for items in chosen.items:
        curve[items] = measure(items, items <= chosen.index_up_to)
        print(curve[items], flush=True)
        write_text(chosen.out, json.dumps([curve[n] for n in sorted(curve)], indent=1) + "\n")


if __name__ == "__main__":
    main()
