"""Peers of top-N recommendation, all through RecTools 0.19 but BPR (``ranking_recbole.py``).

Given ``user``, ``item`` and ``time`` of the training events, ``users`` and ``items`` (sizes) and
jobs, each a model's name and settings: answers one array ``scores_K`` ``(users, items)`` for each
job. Nothing is masked here; the protocol does that.

Sources: EASE, Steck 2019, https://arxiv.org/abs/1905.03375; iALS, Hu et al. 2008; SASRec,
Kang and McAuley 2018, https://arxiv.org/abs/1808.09781, with the whole catalogue in its softmax
(Klenitskiy and Vasilev 2023, https://arxiv.org/abs/2309.07602).
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from exchange import answer, given
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from pytorch_lightning import seed_everything
from rectools.dataset import Dataset
from rectools.models import (
    EASEModel,
    ImplicitALSWrapperModel,
    ImplicitItemKNNWrapperModel,
    PopularModel,
    SASRecModel,
)

Array = np.ndarray
NEIGHBOURS = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}


def itemknn(kind: str, **settings: Any) -> ImplicitItemKNNWrapperModel:
    """Item neighbours by cosine, TF-IDF or BM25."""
    return ImplicitItemKNNWrapperModel(NEIGHBOURS[kind](num_threads=1, **settings))


def ials(seed: int, **settings: Any) -> ImplicitALSWrapperModel:
    """Alternating least squares on implicit feedback."""
    return ImplicitALSWrapperModel(
        AlternatingLeastSquares(random_state=seed, num_threads=1, **settings)
    )


def sasrec(seed: int, **settings: Any) -> SASRecModel:
    """Self-attention over a user's last items; loss over the whole catalogue."""
    seed_everything(seed, workers=True)
    return SASRecModel(
        n_blocks=2, n_heads=1, n_factors=64, session_max_len=50, batch_size=32, lr=1e-3,
        deterministic=True, **settings,
    )  # fmt: skip


MODELS = {
    "popularity": PopularModel,
    "itemknn": itemknn,
    "ease": EASEModel,
    "ials": ials,
    "sasrec": sasrec,
}


def interactions(arrays: dict[str, Array]) -> Dataset:
    """Training events in time order; events of one second keep the order given."""
    order = np.argsort(arrays["time"], kind="stable")
    step = np.arange(len(order))  # RecTools sorts by datetime alone: make each unique
    frame = pd.DataFrame({
        "user_id": arrays["user"][order], "item_id": arrays["item"][order], "weight": 1.0,
        "datetime": pd.Timestamp("2000-01-01") + pd.to_timedelta(step, unit="s"),
    })  # fmt: skip
    return Dataset.construct(frame)


def scores(model: Any, data: Dataset, users: int, items: int) -> Array:
    """Scores of the whole catalogue for all users; those that a model cannot score come last."""
    model.fit(data)
    known = data.user_id_map.external_ids
    found = model.recommend(known, data, k=data.item_id_map.size, filter_viewed=False)
    out = np.full((users, items), -1e9, dtype="float32")
    out[found["user_id"].to_numpy(), found["item_id"].to_numpy()] = found["score"].to_numpy()
    return out


def main() -> None:
    """Answer."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    arrays, options = given()
    started = time.monotonic()
    data = interactions(arrays)
    users, items = int(arrays["users"]), int(arrays["items"])
    found = {
        f"scores_{k}": scores(MODELS[model](**settings), data, users, items)
        for k, (model, settings) in enumerate(options["jobs"])
    }
    package = "implicit" if options["jobs"][0][0] in ("itemknn", "ials") else "rectools"
    answer(package, started, **found)


if __name__ == "__main__":
    main()
