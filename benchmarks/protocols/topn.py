"""Top-N recommendation on MovieLens-100K, the whole catalogue ranked.

``topn_811``: RecBole's default. All ratings are positive; each user's events are shuffled (seed
42) and cut 8:1:1, with RecBole's rounding; what the user met in training or validation does not
compete at test. ``leave_last_out``: each user's last event by time is the test, the one before it
validation; ties of time keep the order of the file (stable sort). Events of other users that came
after a test event are training events, as is usual with this split.

NDCG@10 and Recall@10 are means over users, with a 95 % bootstrap interval over users. Every
system's settings are chosen by NDCG@10 on validation, ours and SASRec's out of four, those of peers
that train in seconds out of eight to twelve; then it is trained anew on training + validation
events (RecBole's published 0.292 of BPR is of training events alone). Where training is random
there are three seeds, and value and interval are the means over seeds. ``seconds`` is that of one
training with the chosen settings for peers, and of the whole (choice, folds, one network) for ours.
The settings of a peer are tried with the first seed.

Sources: RecBole, Zhao et al. 2021, https://arxiv.org/abs/2011.01731 and its splits in
``recbole/data/dataset/dataset.py``; for ranking among all items Krichene and Rendle 2020,
https://doi.org/10.1145/3394486.3403226.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness.ask import ask
from benchmarks.harness.frozen import Split, frozen
from benchmarks.harness.results import Row
from benchmarks.models import topk
from benchmarks.protocols import ranked_rows
from benchmarks.protocols.ranked_rows import Ranked

Array = np.ndarray
Settings = dict[str, Any]
SEED = 42
SEEDS = (0, 1, 2)
RANDOM = ("ials", "bpr", "sasrec")
PEERS: dict[str, list[Settings]] = {
    "popularity": [{}],
    "itemknn": [
        {"kind": kind, "K": near}
        for kind, near in (("cosine", 50), ("cosine", 100), ("tfidf", 50), ("tfidf", 100),
                           ("tfidf", 200), ("tfidf", 400), ("bm25", 100), ("bm25", 200))
    ],
    "ease": [{"regularization": ridge} for ridge in (25, 50, 100, 200, 400, 800, 1600, 3200)],
    "ials": [
        {"factors": factors, "alpha": alpha, "regularization": ridge, "iterations": 15}
        for factors, alpha, ridge in ((16, 1, 1.0), (16, 5, 1.0), (32, 1, 0.01), (32, 1, 1.0),
                                      (64, 1, 1.0), (64, 1, 10.0), (128, 1, 1.0), (128, 1, 10.0))
    ],
    "bpr": [
        {"embedding_size": size, "learning_rate": 1e-3, "weight_decay": decay, "epochs": epochs}
        for size in (64, 256) for decay in (0.0, 1e-5) for epochs in (20, 40, 60)
    ],
    "sasrec": [
        {"dropout_rate": dropout, "epochs": epochs} for dropout in (0.2, 0.5) for epochs in (25, 75)
    ],
}  # fmt: skip
SYSTEMS = {"bpr": ("recbole", "ranking_recbole")}  # the others: RECTOOLS
RECTOOLS = ("ranking", "ranking_peers")
OURS: list[Settings] = [
    {"units": 0}, {"units": 32, "dropout": 0.3}, {"units": 32, "dropout": 0.3, "decay": 1e-3},
    {"units": 64, "epochs": 10, "dropout": 0.3},
]  # fmt: skip
MORE_FOLDS = 1
KIND = {"topn_811": "random_order", "leave_last_out": "next_event"}


def interactions(root: Path) -> pd.DataFrame:
    """``user``, ``item`` (from 0), ``rating`` and ``time`` in the order of the file."""
    table = pd.read_csv(root / "data" / "ml-100k" / "ml-100k.inter", sep="\t")
    table.columns = pd.Index(["user", "item", "rating", "time"])
    table[["user", "item"]] -= 1
    return table.astype({"user": "int32", "item": "int32", "time": "int64"})


def random_811(user: Array) -> dict[str, Array]:
    """Row numbers of each user's events by chance: a tenth for test, a tenth for validation.

    RecBole's rounding: a part is the whole number below its share, one where that is none.

    Args:
        user: of each row.
    """
    draws = np.random.default_rng(SEED)
    parts: dict[str, list[Array]] = {"train": [], "validation": [], "test": []}
    for rows in pd.Series(user).groupby(user).indices.values():
        shuffled = draws.permutation(rows)
        share = max(int(0.1 * len(rows)), 1)
        cut = len(rows) - 2 * share
        for name, found in zip(parts, np.split(shuffled, [cut, cut + share]), strict=True):
            parts[name].append(found)
    return {name: np.sort(np.concatenate(found)) for name, found in parts.items()}


def last_out(user: Array, time: Array) -> dict[str, Array]:
    """Row numbers: each user's last event is the test, the one before it validation.

    Args:
        user: of each row.
        time: of each row; ties keep the order of rows.
    """
    order = np.lexsort((np.arange(len(user)), time, user))
    ends = np.flatnonzero(np.r_[user[order][1:] != user[order][:-1], True])
    held = {"validation": order[ends - 1], "test": order[ends]}
    train = np.setdiff1d(np.arange(len(user)), np.concatenate(list(held.values())))
    return {"train": train, **{name: np.sort(rows) for name, rows in held.items()}}


def measure(scores: Array, events: pd.DataFrame, known: Array, wanted: Array) -> dict[str, Array]:
    """Metrics per user, in the order of users.

    Args:
        scores: ``(users, items)``.
        events: the file.
        known: its rows whose items do not compete.
        wanted: its rows to be found.
    """
    user, item = events["user"].to_numpy(), events["item"].to_numpy()
    out = np.zeros(scores.shape, dtype=bool)
    out[user[known], item[known]] = True
    wanted = wanted[np.argsort(user[wanted], kind="stable")]
    ranks = topk.relevant_ranks(scores, user[wanted], item[wanted], out)
    return topk.per_user(ranks, user[wanted])


def seen_by(events: pd.DataFrame, rows: Array) -> dict[str, Array]:
    """Arrays of the rows that a system may see, in the order of the file."""
    part = events.iloc[np.sort(rows)]
    return {name: part[name].to_numpy() for name in part.columns} | {
        "users": np.int64(events["user"].max() + 1), "items": np.int64(events["item"].max() + 1),
    }  # fmt: skip


def split(root: Path, name: str) -> Split:
    """``topn_811`` or ``leave_last_out``."""
    events = interactions(root)
    user, time = events["user"].to_numpy(), events["time"].to_numpy()
    make: Callable[[], Mapping[str, Array]] = (
        (lambda: random_811(user)) if name == "topn_811" else (lambda: last_out(user, time))
    )
    return frozen(root / "benchmarks" / "splits", name, make)


def protocol(name: str, root: Path) -> list[Row]:
    """Rows of a protocol: each peer, then ours."""
    events, parts = interactions(root), split(root, name)
    chosen = choose(root, events, parts)
    found = [run_peer(root, events, parts, peer, settings) for peer, settings in chosen.items()]
    return ranked_rows.rows(name, parts.sha256, [*found, ours(name, root, events, parts)])


def choose(root: Path, events: pd.DataFrame, split: Split) -> dict[str, Settings]:
    """The settings of each peer that are best on validation; a peer's are tried in one process."""
    train, validation = split.rows["train"], split.rows["validation"]
    best = {}
    for peer, choices in PEERS.items():
        best[peer] = choices[0]
        if len(choices) > 1:
            jobs = [(peer, seeded(peer, choice, SEEDS[0])) for choice in choices]
            found = ask(root, *SYSTEMS.get(peer, RECTOOLS), seen_by(events, train), jobs=jobs)
            worths = [
                measure(found.arrays[f"scores_{k}"], events, train, validation)["ndcg@10"].mean()
                for k in range(len(choices))
            ]
            best[peer] = choices[int(np.argmax(worths))]
    return best


def run_peer(root: Path, events: pd.DataFrame, split: Split, peer: str, chosen: Settings) -> Ranked:
    """Train a peer on training and validation events and measure it on the test."""
    both = np.concatenate([split.rows["train"], split.rows["validation"]])
    seeds = SEEDS if peer in RANDOM else SEEDS[:1]
    final = ask(root, *SYSTEMS.get(peer, RECTOOLS), seen_by(events, both),
                jobs=[(peer, seeded(peer, chosen, seed)) for seed in seeds])  # fmt: skip
    runs = [
        measure(final.arrays[f"scores_{k}"], events, both, split.rows["test"])
        for k in range(len(seeds))
    ]
    note = f"{json.dumps(chosen)}; best of {len(PEERS[peer])} on validation"
    return Ranked(peer, final.version, runs, final.seconds / len(seeds), final.peak_mb, note)


def seeded(peer: str, settings: Settings, seed: int) -> Settings:
    """Settings with a seed where the peer draws."""
    return {**settings, "seed": seed} if peer in RANDOM else settings


def ours(name: str, root: Path, events: pd.DataFrame, split: Split) -> Ranked:
    """Ours: the script chooses by the validation events that it is given, and trains."""
    train, validation = split.rows["train"], split.rows["validation"]
    both = np.sort(np.concatenate([train, validation]))
    final = ask(root, "mtrec", "ranking_mtrec",
                {**seen_by(events, both), "validation": np.isin(both, validation)},
                kind=KIND[name], settings=OURS, seeds=SEEDS, more_folds=MORE_FOLDS)  # fmt: skip
    runs = [
        measure(final.arrays[f"scores_{seed}"], events, both, split.rows["test"]) for seed in SEEDS
    ]
    chosen = OURS[int(final.arrays["trials"].argmax())]
    note = (
        f"ranking network over item regressions, graph filter, sequence and time members; "
        f"{json.dumps(chosen)}; best of {len(OURS)} on validation"
    )
    return Ranked(ranked_rows.OURS, final.version, runs, final.seconds, final.peak_mb, note)


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    name: partial(protocol, name) for name in KIND
}
