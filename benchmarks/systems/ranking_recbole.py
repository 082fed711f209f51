"""BPR of top-N recommendation in RecBole 1.2, whose figure on this split's kind is published.

Given ``user`` and ``item`` of the training events, ``users`` and ``items`` (sizes) and jobs, each a
model's name and settings: answers one array ``scores_K`` ``(users, items)`` for each job. Nothing
is masked here; the protocol does that.

Sources: Rendle et al. 2009, https://arxiv.org/abs/1205.2618; RecBole, Zhao et al. 2021,
https://arxiv.org/abs/2011.01731.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from exchange import answer, given
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import BPR
from recbole.trainer import Trainer
from recbole.utils import init_seed

Array = np.ndarray


def main() -> None:
    """Answer."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    arrays, options = given()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes logs
        file = Path(folder) / "events" / "events.all.inter"
        file.parent.mkdir()
        pd.DataFrame({"user_id:token": arrays["user"], "item_id:token": arrays["item"]}).to_csv(
            file, sep="\t", index=False
        )
        found = {
            f"scores_{k}": scores(folder, arrays, **settings)
            for k, (_, settings) in enumerate(options["jobs"])
        }
    answer("recbole", started, **found)


def scores(folder: str, arrays: dict[str, Array], seed: int, **settings: Any) -> Array:
    """Scores of the whole catalogue for all users; those that were never met come last."""
    config = Config("BPR", "events", config_dict={
        "data_path": folder, "load_col": {"inter": ["user_id", "item_id"]}, "use_gpu": False,
        "benchmark_filename": ["all"] * 3, "checkpoint_dir": folder, "state": "ERROR",
        "train_batch_size": 2048, **settings,
    })  # fmt: skip
    init_seed(seed, reproducibility=True)
    data = create_dataset(config)
    train, _, _ = data_preparation(config, data)
    model = BPR(config, train.dataset)
    Trainer(config, model).fit(train, saved=False, verbose=False, show_progress=False)
    with torch.no_grad():
        users, items = (
            part.weight[1:].numpy() for part in (model.user_embedding, model.item_embedding)
        )  # row 0 is padding
    out = np.full((int(arrays["users"]), int(arrays["items"])), -1e9, dtype="float32")
    rows, columns = (
        data.id2token(field, np.arange(1, data.num(field))).astype(int)
        for field in (data.uid_field, data.iid_field)
    )
    out[np.ix_(rows, columns)] = users @ items.T
    return out


if __name__ == "__main__":
    main()
