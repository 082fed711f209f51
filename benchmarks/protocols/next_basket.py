"""Next basket of The Complete Journey's households, products in full ranking.

Data: the one-year release in ``data/completejourney``; a basket is the set of products of one
``basket_id``, at the time of its first line. Households with at least five baskets take part, as
in Faggioli et al. 2020 and Hu et al. 2020 (who ask for three to ten): their last basket is the
test, the one before it validation, the rest training. The catalogue is the products in at least
ten training baskets; rarer ones are nobody's candidates and count for nobody, and a household
whose test basket has none left is not measured. Baskets of other households that came later than
a test basket may be training baskets, as is usual with this split.

Three protocols share the systems' answers: ``next_basket_all`` ranks the catalogue;
``next_basket_repeat`` only what the household bought before (in training or validation), and only
that is relevant; ``next_basket_explore`` only what it never bought (Li et al. 2023, "A next
basket recommendation reality check", https://arxiv.org/abs/2109.14233). NDCG@10 and Recall@10 are
means over households with a relevant product, with a 95 % bootstrap interval over them.

Every system is trained on the training baskets, its settings are chosen by NDCG@10 on validation
for each protocol by itself (personal frequency has none), and it is then given the validation
baskets as well. ``tifu_knn`` stands in the table with the setting that public replications use for
dunnhumby, whose data these are, and, as ``tifu_knn_tuned``, with the chosen one; in both the last
number is that of the groups of a history. The peers are written here after their papers and their
authors' code; :mod:`benchmarks.models.baskets` says how cornac's differ. Ours is told the day of
the basket that it is asked for, as a shop knows it when the customer comes in; published methods
have no use for it. Ours is trained with three seeds: value and interval are the means over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import product
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
SCOPES = ("all", "repeat", "explore")
SEEDS = (0, 1, 2)
FOLDS = 2
PUBLISHED: Settings = {
    "neighbours": 900, "within": 0.9, "between": 0.6, "alpha": 0.2, "groups": 3, "decay": "history",
}  # fmt: skip
ELSEWHERE: Settings = {  # of Ta-Feng, by the method's authors
    "neighbours": 300, "within": 0.9, "between": 0.7, "alpha": 0.7, "groups": 7, "decay": "history",
}  # fmt: skip
PEERS: dict[str, tuple[str, list[Settings]]] = {
    "personal_top": ("personal_top", [{}]),
    "tifu_knn": ("tifu_knn", [PUBLISHED]),
    "tifu_knn_tuned": (
        "tifu_knn",
        [
            PUBLISHED,
            ELSEWHERE,
            *(
                {"neighbours": neighbours, "within": 0.9, "between": between, "alpha": alpha,
                 "groups": groups, "decay": "group"}
                for groups, between, neighbours, alpha
                in product((7, 15, 30), (0.7, 0.8, 0.9), (10, 30, 100), (0.1, 0.2, 0.4))
            ),
            *(
                {"neighbours": neighbours, "within": 0.9, "between": between, "alpha": alpha,
                 "groups": groups, "decay": "group"}
                for groups, between in ((30, 0.95), (60, 0.9), (60, 0.95))
                for neighbours, alpha in product((30, 100), (0.1, 0.2))
            ),
            *(
                {"neighbours": neighbours, "within": 0.9, "between": between, "alpha": 0.2,
                 "groups": groups, "decay": "history"}
                for groups, between, neighbours in product((3, 7), (0.6, 0.7, 0.8), (300, 900))
                if (groups, between, neighbours) != (3, 0.6, 900)
            ),
        ],
    ),
    "up_cf": (
        "up_cf",
        [
            {"recency": recency, "locality": locality, "asymmetry": asymmetry}
            for recency, locality, asymmetry
            in product((10, 25, 100), (2, 5, 10), (0.0, 0.25, 0.5, 0.75, 1.0))
        ],
    ),
}  # fmt: skip
OURS: list[Settings] = [
    {"units": 0, "epochs": 5},
    {"units": 32, "epochs": 5},
    {"units": 32, "epochs": 10},
]
MIN_BASKETS = 5
MIN_BOUGHT = 10


def transactions(root: Path) -> pd.DataFrame:
    """Lines of the raw file with the number of their basket in the household, from 0.

    Columns: ``household_id``, ``product_id``, ``day``, ``basket``, ``baskets`` (how many the
    household has); the index is the row of the file.
    """
    columns = ["household_id", "basket_id", "product_id", "transaction_timestamp"]
    file = root / "data" / "completejourney" / "transactions.parquet"
    lines = pd.read_parquet(file, columns=columns)
    first = lines.groupby(["household_id", "basket_id"])["transaction_timestamp"].min()
    order = first.reset_index().sort_values(
        ["household_id", "transaction_timestamp", "basket_id"], kind="stable"
    )
    order["basket"] = order.groupby("household_id").cumcount()
    order["day"] = (order["transaction_timestamp"] - order["transaction_timestamp"].min()).dt.days
    order["baskets"] = order.groupby("household_id")["basket"].transform("size")
    keys = ["household_id", "basket_id"]
    return lines.drop(columns="transaction_timestamp").join(
        order.set_index(keys)[["basket", "day", "baskets"]], on=keys
    )


def last_two(lines: pd.DataFrame) -> dict[str, Array]:
    """Rows of the file that are validation and test; all others of these households train."""
    enough = lines["baskets"] >= MIN_BASKETS
    back = lines["baskets"] - 1 - lines["basket"]
    return {
        "validation": lines.index[enough & (back == 1)].to_numpy(),
        "test": lines.index[enough & (back == 0)].to_numpy(),
    }


def arrays(lines: pd.DataFrame, split: Split) -> dict[str, Array]:
    """Household, basket, item, day and part (0 train, 1 validation, 2 test) of the kept lines.

    Each item once a basket, sorted; baskets that the filter empties are passed over and the
    others numbered anew.
    """
    part = np.zeros(len(lines), dtype="int8")
    part[split.rows["validation"]], part[split.rows["test"]] = 1, 2
    kept = lines.assign(part=part)
    kept = kept[kept["household_id"].isin(kept["household_id"].to_numpy()[split.rows["test"]])]
    kept = kept.drop_duplicates(["household_id", "basket", "product_id"])
    bought = kept.loc[kept["part"] == 0, "product_id"].value_counts()
    kept = kept[kept["product_id"].isin(bought.index[bought >= MIN_BOUGHT])]
    kept = kept.sort_values(["household_id", "basket", "product_id"])
    changed = kept["basket"].ne(kept["basket"].shift()) | kept["household_id"].ne(
        kept["household_id"].shift()
    )
    number = changed.groupby(kept["household_id"]).cumsum() - 1
    household, item = (
        np.unique(kept[name], return_inverse=True)[1] for name in ("household_id", "product_id")
    )
    return {
        "household": household.astype("int32"), "basket": number.to_numpy("int32"),
        "item": item.astype("int32"), "day": kept["day"].to_numpy("int32"),
        "part": kept["part"].to_numpy(), "product_id": kept["product_id"].to_numpy(),
    }  # fmt: skip


def known(found: dict[str, Array], parts: int) -> dict[str, Array]:
    """Arrays that a system may see: lines of the parts below ``parts``."""
    keep = found["part"] < parts
    names = ("household", "basket", "item", "day")
    return {name: found[name][keep] for name in names} | {
        "households": np.array(found["household"].max() + 1),
        "items": np.array(found["item"].max() + 1),
    }


def measure(lists: Array, scope: str, found: dict[str, Array], part: int) -> dict[str, Array]:
    """Metrics per household with something to find, in order.

    Args:
        lists: ``(households, 10)`` products in order.
        scope: ``all``, ``repeat`` or ``explore``.
        found: :func:`arrays`.
        part: 1 for validation, 2 for test; the parts below are what the household bought before.
    """
    key = found["household"].astype("int64") * (int(found["item"].max()) + 1) + found["item"]
    wanted = found["part"] == part
    before = np.isin(key, key[found["part"] < part])
    if scope != "all":
        wanted &= before if scope == "repeat" else ~before
    household = found["household"][wanted]
    return topk.per_user(topk.listed_ranks(lists, household, found["item"][wanted]), household)


@lru_cache(maxsize=1)
def measured(root: Path) -> tuple[Row, ...]:
    """Rows of all three protocols, which share each system's training."""
    lines = transactions(root)
    split = frozen(root / "benchmarks" / "splits", "next_basket", lambda: last_two(lines))
    found = arrays(lines, split)
    every = [run_peer(root, found, peer, *given) for peer, given in PEERS.items()]
    every.append(ours(root, found))
    return tuple(
        row
        for scope in SCOPES
        for row in ranked_rows.rows(
            f"next_basket_{scope}", split.sha256, [one[scope] for one in every]
        )
    )


def run_peer(
    root: Path, found: dict[str, Array], peer: str, method: str, choices: list[Settings]
) -> dict[str, Ranked]:
    """Choose a peer's settings for each protocol on validation; measure it on the test."""
    chosen = choose(root, found, method, choices)
    return answer(root, found, peer, method, chosen, len(choices))


def choose(
    root: Path, found: dict[str, Array], method: str, choices: list[Settings]
) -> dict[str, Settings]:
    """The settings of each protocol that are best on validation."""
    chosen = dict.fromkeys(SCOPES, choices[0])
    if len(choices) > 1:
        tried = ask(root, "mtrec", "basket_peers", known(found, 1),
                    jobs=[(method, choice) for choice in choices])  # fmt: skip
        for scope in SCOPES:
            worth = [
                measure(tried.arrays[f"{scope}_{k}"], scope, found, 1)["ndcg@10"].mean()
                for k in range(len(choices))
            ]
            chosen[scope] = choices[int(np.argmax(worth))]
    return chosen


def answer(
    root: Path, found: dict[str, Array], peer: str, method: str, chosen: dict[str, Settings],
    trials: int,
) -> dict[str, Ranked]:  # fmt: skip
    """A peer with its chosen settings on the test baskets."""
    jobs = [choice for n, choice in enumerate(chosen.values())
            if choice not in list(chosen.values())[:n]]  # fmt: skip
    final = ask(root, "mtrec", "basket_peers", known(found, 2),
                jobs=[(method, choice) for choice in jobs])  # fmt: skip
    return {
        scope: Ranked(
            peer, final.version,
            [measure(final.arrays[f"{scope}_{jobs.index(choice)}"], scope, found, 2)],
            final.seconds / len(jobs), final.peak_mb,
            f"{json.dumps(choice)}; best of {trials} on validation",
        )
        for scope, choice in chosen.items()
    }  # fmt: skip


def ours(root: Path, found: dict[str, Array]) -> dict[str, Ranked]:
    """Ours: the script chooses on the last known baskets and trains a network a protocol."""
    test = found["part"] == 2
    day = np.zeros(int(found["household"].max()) + 1, dtype="int32")
    day[found["household"][test]] = found["day"][test]
    final = ask(root, "mtrec", "basket_mtrec",
                {**known(found, 2), "next_day": day, "group": groups(root, found)},
                settings=OURS, seeds=SEEDS, folds=FOLDS)  # fmt: skip
    result = {}
    for scope in SCOPES:
        runs = [measure(final.arrays[f"{scope}_{seed}"], scope, found, 2) for seed in SEEDS]
        choice = OURS[int(final.arrays[f"trials_{scope}"].argmax())]
        note = (
            "ranking network over repeat, recency, neighbour and product-type features; knows the "
            f"day; {json.dumps(choice)}; best of {len(OURS)} on validation"
        )
        result[scope] = Ranked(
            ranked_rows.OURS, final.version, runs, final.seconds, final.peak_mb, note
        )
    return result


def groups(root: Path, found: dict[str, Array]) -> Array:
    """Product type of each item, as whole numbers, ``(items,)``."""
    products = pd.read_parquet(root / "data" / "completejourney" / "products.parquet",
                               columns=["product_id", "product_type"])  # fmt: skip
    kind = products.set_index("product_id")["product_type"].fillna("unknown")
    items, first = np.unique(found["item"], return_index=True)
    names = kind.reindex(found["product_id"][first]).fillna("unknown")
    return np.unique(names.to_numpy(str), return_inverse=True)[1][np.argsort(items)]


def protocol(scope: str, root: Path) -> list[Row]:
    """Rows of one protocol."""
    return [row for row in measured(root) if row.protocol == f"next_basket_{scope}"]


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"next_basket_{scope}": partial(protocol, scope) for scope in SCOPES
}
