"""Ours: what a trained domain answers to requests, with whoever leads each task.

Given ``user`` and ``item`` of pairs, or the users whose lists are asked for; options name the
folder, the domain, and how many items a list has.

Answered: ``rating`` and ``like`` of the pairs, or ``lists`` of item ids from 0 (-1 fills), each
``(2, …)``: as served, and by the joint model alone. ``systems`` says who answers, as JSON.
"""

import json
import time
import warnings
from pathlib import Path

import exchange
import numpy as np
import pandas as pd

import mtrec
from mtrec.serving import recommender


def main() -> None:
    """Answer."""
    data, options = exchange.given()
    started, root = time.monotonic(), Path(options["folder"])
    warnings.simplefilter("ignore", recommender.RequestWarning)  # films that nobody rated yet
    served = mtrec.load(options["domain"], root)
    both = (served, recommender.load(options["domain"], root))
    found = {"systems": np.array(json.dumps(served.systems))}
    if "item" in data:
        pairs = pd.DataFrame({f"{side}_id": data[side].astype(str) for side in ("user", "item")})
        answers = [one.score(pairs) for one in both]
        for task in ("rating", "like"):
            found[task] = np.stack([answer[task].to_numpy() for answer in answers])
    else:
        found["lists"] = np.stack([_lists(one, data["user"], options["k"]) for one in both])
    exchange.answer("mtrec", started, **found)


def _lists(asked: recommender.Recommender, users: np.ndarray, k: int) -> np.ndarray:
    lists = np.full((len(users), k), -1)
    for row, user in enumerate(users):
        items = asked.recommend(str(user), k)["item_id"].to_numpy()
        lists[row, : len(items)] = items.astype(int)
    return lists


if __name__ == "__main__":
    main()
