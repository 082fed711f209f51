"""Peers on torch: the same MMoE under torch-rechub's own trainer, and under a loop by hand.

torch-rechub's multilayer perceptrons put a batch normalisation behind every linear layer and
cannot do without; ``normalise: false`` replaces it by the identity, which leaves the network that
all the others train.
"""

from __future__ import annotations

import time

import exchange
import numpy as np
import torch
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.multi_task import MMOE
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator


def main() -> None:
    """Answer."""
    arrays, options = exchange.given()
    torch.manual_seed(options["seed"])
    torch.set_num_threads(options["threads"])
    fields, labels = arrays["fields"], arrays["labels"]
    model = network(int(options["vocabulary"]), fields.shape[1], labels.shape[1], options)
    train = {"trainer": by_trainer, "loop": by_hand}[options["how"]]
    rows = int(options["warm_up"])
    train(model, fields[:rows], labels[:rows], options)
    started, used = time.monotonic(), time.process_time()
    losses = train(model, fields, labels, options)
    seconds, used = time.monotonic() - started, time.process_time() - used
    package = "torch-rechub" if options["how"] == "trainer" else "torch"
    exchange.answer(
        package, started, rows_per_second=np.float64(len(fields) / seconds),
        cpu_seconds=np.float64(used), losses=np.asarray(losses),
        parameters=np.int64(sum(p.numel() for p in model.parameters())),
    )  # fmt: skip


def network(vocabulary: int, fields: int, tasks: int, options: dict) -> torch.nn.Module:
    """torch-rechub's MMoE."""
    features = [
        SparseFeature(f"f{number}", vocabulary, embed_dim=options["width"])
        for number in range(fields)
    ]
    expert = {"dims": options["expert"], "activation": "relu"}
    tower = {"dims": [options["tower"]], "activation": "relu"}
    model = MMOE(features, ["classification"] * tasks, options["experts"], expert, [tower] * tasks)
    if not options["normalise"]:
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, torch.nn.BatchNorm1d):
                    setattr(module, name, torch.nn.Identity())
    return model


def by_trainer(model: torch.nn.Module, fields: np.ndarray, labels: np.ndarray, options: dict):
    """One epoch of torch-rechub's trainer, from its own data loader."""
    x = {f"f{number}": fields[:, number] for number in range(fields.shape[1])}
    held = {name: values[:1] for name, values in x.items()}
    loader, _, _ = DataGenerator(x, labels).generate_dataloader(
        x_val=held, y_val=labels[:1], x_test=held, y_test=labels[:1],
        batch_size=options["batch"],
    )  # fmt: skip
    trainer = MTLTrainer(
        model, ["classification"] * labels.shape[1], n_epoch=1,
        optimizer_params={"lr": options["learning_rate"], "weight_decay": 0.0},
    )  # fmt: skip
    return trainer.train_one_epoch(loader)


def by_hand(model: torch.nn.Module, fields: np.ndarray, labels: np.ndarray, options: dict):
    """One epoch over a permutation, in slices of tensors that lie in memory."""
    x, y = torch.from_numpy(fields).long(), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=options["learning_rate"], fused=True)
    total, steps = torch.zeros(y.shape[1]), 0
    order = torch.randperm(len(x))
    for start in range(0, len(x), options["batch"]):
        rows = order[start : start + options["batch"]]
        part, target = x[rows], y[rows]
        with torch.autocast("cpu", torch.bfloat16, enabled=options.get("precision") == "bfloat16"):
            found = model({f"f{number}": part[:, number] for number in range(x.shape[1])})
        losses = torch.nn.functional.binary_cross_entropy(
            found.float(), target, reduction="none"
        ).mean(0)
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        optimizer.step()
        total += losses.detach()
        steps += 1
    return (total / steps).tolist()


if __name__ == "__main__":
    main()
