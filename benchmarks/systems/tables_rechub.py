"""torch-rechub's MMoE on category codes and numbers, one tower per column of the labels.

Loss: mean over the known labels of a column, divided by that of a constant, mean over columns.
Settings and number of epochs are those with the least validation loss.

Source: Ma et al. 2018, https://doi.org/10.1145/3219819.3220007.
"""

import copy
import time

import numpy as np
import torch
from exchange import answer, given
from torch.nn.functional import binary_cross_entropy, mse_loss
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import MMOE

BATCH, EPOCHS, PATIENCE = 1024, 20, 2


def main() -> None:
    """Answer ``validation``, ``test`` ``(n, columns)``; number and loss of the best settings."""
    data, options = given()
    torch.set_num_threads(1)
    started = time.monotonic()
    found = [train(data, options, settings) for settings in options["trials"]]
    best = min(range(len(found)), key=lambda at: found[at][0])
    model = found[best][1]
    answers = {part: predict(model, data, part) for part in ("validation", "test")}
    answer("torch-rechub", started, best=best, loss=found[best][0], **answers)


def train(data, options, settings: dict) -> tuple[float, torch.nn.Module]:
    """Least validation loss, and the model that has it."""
    torch.manual_seed(options["seed"])
    kinds, width = options["kinds"], settings["width"]
    sparse = [SparseFeature(f"f{k}", int(size), embed_dim=width)
              for k, size in enumerate(data["sizes"])]  # fmt: skip
    dense = [DenseFeature(f"n{k}") for k in range(data["train_numbers"].shape[1])]
    common = {"dropout": settings["dropout"], "activation": "relu"}
    expert, tower = {"dims": [64, 32], **common}, {"dims": [32], **common}
    model = MMOE([*sparse, *dense], kinds, 4, expert, [tower] * len(kinds))
    optimizer = torch.optim.Adam(
        model.parameters(), lr=settings["rate"], weight_decay=settings["decay"], fused=True
    )
    scales = constants(data["train_labels"], data["train_masks"], kinds)
    labels, masks = (torch.from_numpy(data[f"train_{part}"]) for part in ("labels", "masks"))
    least, after, kept = float("inf"), 0, None
    for done in range(1, EPOCHS + 1):
        model.train()
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = mean_loss(model(fields(data, "train", rows)), labels[rows], masks[rows], kinds,
                             scales)  # fmt: skip
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = torch.from_numpy(predict(model, data, "validation"))
        truth = (torch.from_numpy(data[f"validation_{part}"]) for part in ("labels", "masks"))
        loss = float(mean_loss(found, *truth, kinds, scales))
        if loss < least:
            least, after, kept = loss, done, copy.deepcopy(model.state_dict())
        elif done - after == PATIENCE:
            break
    model.load_state_dict(kept)
    return least, model


def fields(data, part: str, rows) -> dict[str, torch.Tensor]:
    """Fields of some rows by name."""
    codes, numbers = (torch.from_numpy(data[f"{part}_{name}"])[rows]
                      for name in ("codes", "numbers"))  # fmt: skip
    found = {f"f{k}": codes[:, k] for k in range(codes.shape[1])}
    return found | {f"n{k}": numbers[:, k] for k in range(numbers.shape[1])}


def losses(found, labels, kinds) -> torch.Tensor:
    """Loss of each row and column."""
    square = torch.tensor([kind == "regression" for kind in kinds])
    cross = binary_cross_entropy(found.clamp(1e-6, 1 - 1e-6), labels.clamp(0, 1), reduction="none")
    return torch.where(square, mse_loss(found, labels, reduction="none"), cross)


def mean_loss(found, labels, masks, kinds, scales) -> torch.Tensor:
    """Mean over columns of the mean loss over known labels, in units of a constant's."""
    total = (losses(found, labels, kinds) * masks).sum(dim=0)
    return (total / masks.sum(dim=0).clamp(min=1) / scales).mean()


def constants(labels: np.ndarray, masks: np.ndarray, kinds) -> torch.Tensor:
    """Loss of each column's best constant."""
    known, truth = torch.from_numpy(masks), torch.from_numpy(labels)
    mean = (truth * known).sum(dim=0) / known.sum(dim=0)
    found = (losses(mean.expand_as(truth), truth, kinds) * known).sum(dim=0)
    return (found / known.sum(dim=0)).clamp(min=1e-6)


def predict(model, data, part: str) -> np.ndarray:
    """Answers to all rows of a part."""
    model.eval()
    rows = torch.arange(len(data[f"{part}_codes"]))
    with torch.no_grad():
        return torch.cat([model(fields(data, part, some)) for some in rows.split(8192)]).numpy()


if __name__ == "__main__":
    main()
