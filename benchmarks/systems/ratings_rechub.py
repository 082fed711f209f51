"""torch-rechub: DeepFM for like, and MMoE for like and rating together.

The models are the package's; batches come as slices of tensors. The number of epochs is that with
the best validation AUC; validation rows join for the final fit.

Sources: Guo et al. 2017, https://arxiv.org/abs/1703.04247; Ma et al. 2018,
https://doi.org/10.1145/3219819.3220007.
"""

import time

import numpy as np
import torch
from exchange import answer, given
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.multi_task import MMOE
from torch_rechub.models.ranking import DeepFM

BATCH, RATE, EPOCHS, PATIENCE = 1024, 1e-3, 30, 3
DAY = 86_400


def main() -> None:
    """Answer probabilities of a like ``(m,)``."""
    data, options = given()
    torch.set_num_threads(options["threads"])
    started = time.monotonic()
    known, asked = (columns(data, part) for part in ("", "asked_"))
    sizes = [int(size) + 1 for size in np.maximum(known.max(axis=0), asked.max(axis=0))]
    label = np.stack([data["rating"] >= 4, (data["rating"] - 1) / 4], axis=1).astype("float32")
    held = data["held"]
    decay = options["settings"]["decay"]
    epochs = best_epochs(known, label, held, build(sizes, options), decay)
    model = build(sizes, options)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=decay)
    for _ in range(epochs):
        epoch(model, optimizer, known, label)
    answer("torch-rechub", started, predictions=predict(model, asked))


def columns(data, part: str) -> np.ndarray:
    """Fields of the rows, ``(n, fields)``: ids, side information, set of genres, hour, weekday."""
    user, item, when = (data[f"{part}{name}"] for name in ("user", "item", "time"))
    genres = data["item_genres"]
    return np.stack([
        user, item, data["user_age"][user] // 10, data["user_gender"][user],
        data["user_occupation"][user], np.maximum(data["item_year"][item] - 1919, 0),
        np.unique(genres, axis=0, return_inverse=True)[1].ravel()[item], when % DAY // 3600,
        when // DAY % 7,
    ], axis=1).astype("int64")  # fmt: skip


def build(sizes: list[int], options) -> torch.nn.Module:
    """The named model, freshly drawn."""
    torch.manual_seed(options["seed"])
    width = options["settings"]["width"]
    features = [SparseFeature(f"f{at}", size, embed_dim=width) for at, size in enumerate(sizes)]
    if options["model"] == "deepfm":
        return DeepFM(features, features, {"dims": [64, 32], "dropout": 0.2, "activation": "relu"})
    tower = {"dims": [32], "dropout": 0.2, "activation": "relu"}
    expert = {"dims": [64, 32], "dropout": 0.2, "activation": "relu"}
    return MMOE(features, ["classification", "regression"], 4, expert, [tower, tower])


def best_epochs(fields, label, held, model, decay: float) -> int:
    """Number of epochs with the best validation AUC."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=decay)
    best, after = 0.0, 1
    for done in range(1, EPOCHS + 1):
        epoch(model, optimizer, fields[~held], label[~held])
        score = auc(label[held][:, 0], predict(model, fields[held]))
        best, after = (score, done) if score > best else (best, after)
        if done - after == PATIENCE:
            break
    return after


def epoch(model, optimizer, fields: np.ndarray, label: np.ndarray) -> None:
    """One pass over shuffled rows."""
    model.train()
    x, y = torch.from_numpy(fields), torch.from_numpy(label)
    for rows in torch.randperm(len(x)).split(BATCH):
        found = model(named(x[rows]))
        like = found if found.ndim == 1 else found[:, 0]
        loss = torch.nn.functional.binary_cross_entropy(like, y[rows, 0])
        if found.ndim == 2:
            loss = loss + torch.nn.functional.mse_loss(found[:, 1], y[rows, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def predict(model, fields: np.ndarray) -> np.ndarray:
    """Probabilities of a like."""
    model.eval()
    with torch.no_grad():
        found = model(named(torch.from_numpy(fields)))
    return (found if found.ndim == 1 else found[:, 0]).numpy().astype("float64")


def named(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Fields by name."""
    return {f"f{at}": x[:, at] for at in range(x.shape[1])}


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, to choose by; the benchmark computes its own."""
    order = np.argsort(np.argsort(score))
    positive = label > 0.5
    count = positive.sum()
    return (order[positive].sum() - count * (count - 1) / 2) / (count * (len(label) - count))


if __name__ == "__main__":
    main()
