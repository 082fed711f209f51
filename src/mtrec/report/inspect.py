"""Small tables that show a reader what a model is and what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from mtrec.features.assemble import Assembly
from mtrec.features.dataset import Dataset
from mtrec.features.encoder import Encoder
from mtrec.models.model import MultiTaskModel
from mtrec.models.shared.gates import Utilisation, utilisation
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT
from mtrec.settings import Training
from mtrec.tables.schema import SPLITS

STARTS = {None: "constant", "running_mean": "running means"}
SAMPLE = 4096  # validation rows behind a quick look


def task_table(tasks: Mapping[str, Any]) -> pd.DataFrame:
    """Type, view, label and description of each task."""
    return pd.DataFrame(
        [
            {"task": name, "type": t.type, "view": t.view, "label": t.label,
             "only where": t.when or "", "sees only": ", ".join(t.features or ()),
             "starts from": STARTS[t.offset], "text": t.text}
            for name, t in tasks.items()
        ]
    )  # fmt: skip


def feature_table(encoder: Encoder) -> pd.DataFrame:
    """Kind and size of every feature."""
    rows = [
        (
            side,
            field.name,
            field.kind,
            field.size if field.vectors is None else field.vectors.shape[1],
        )
        for side in ("user", "item")
        for field in getattr(encoder, side).fields
    ]
    rows += [
        (f"{side} at that moment", column, "numeric", 2)
        for side, scaler in encoder.contexts.items()
        for column in scaler.columns
    ]
    rows += [("event", column, "numeric", 1) for column in (*encoder.event.columns, "recency")]
    return pd.DataFrame(rows, columns=["side", "feature", "kind", "categories or width"])


def type_table(assembly: Assembly, data: Dataset) -> pd.DataFrame:
    """Outputs, labelled rows and loss of the constant prediction per task."""
    return pd.DataFrame(
        [
            {"task": name, "outputs": kind.outputs, "labelled rows": int(data.masks[name].sum()),
             "constant loss": assembly.scales[name]}
            for name, kind in assembly.types.items()
        ]
    )  # fmt: skip


def trainable(model: keras.Model) -> int:
    """Number of trained parameters."""
    return int(sum(np.prod(v.shape) for v in model.trainable_variables))


def model_table(models: Mapping[str, MultiTaskModel]) -> pd.DataFrame:
    """Tasks and sizes of each model; what is looked up, such as text vectors, is not trained."""
    return pd.DataFrame(
        [
            {"model": name, "tasks": len(model.tasks), "trained parameters": trainable(model),
             "looked-up values, not trained": model.count_params() - trainable(model)}
            for name, model in models.items()
        ]
    )  # fmt: skip


def layer_table(model: keras.Model) -> pd.DataFrame:
    """Layers with trained parameters."""
    rows = [
        (
            layer.name,
            type(layer).__name__,
            sum(int(np.prod(v.shape)) for v in layer.trainable_variables),
        )
        for layer in model.layers
    ]
    return pd.DataFrame([row for row in rows if row[2]], columns=["layer", "kind", "parameters"])


def _validation_sample(data: Dataset, split: pd.Series) -> Dataset:
    rows = np.flatnonzero((split == "validation").to_numpy())
    return data.take(rows[:: max(1, len(rows) // SAMPLE)])


def untrained_losses(
    model: keras.Model, assembly: Assembly, data: Dataset, split: pd.Series
) -> pd.DataFrame:
    """Normalised validation loss per task of a model as it is."""
    part = _validation_sample(data, split)
    logits = model.predict(part.inputs, batch_size=1024, verbose=0)
    rows = []
    for name, kind in assembly.types.items():
        known = part.masks[name]
        loss = keras.ops.mean(kind.validation_loss(part.labels[name][known], logits[name][known]))
        rows.append((name, float(loss) / assembly.scales[name]))
    return pd.DataFrame(rows, columns=["task", "validation loss (constant = 1)"])


def mean_gates(model: MultiTaskModel, data: Dataset, split: pd.Series) -> np.ndarray:
    """Mean weight of each expert per task over validation rows, ``(tasks, experts)``.

    A shared layer without gates counts as one expert.
    """
    if not hasattr(model.shared, "gate"):
        return np.ones((len(model.tasks), 1))
    part = _validation_sample(data, split)
    below = keras.Model(model.input, model.representation)
    states = below.predict(part.inputs, batch_size=1024, verbose=0)
    return keras.ops.convert_to_numpy(keras.ops.mean(model.shared.gate(states), axis=0))


def utilisation_of(model: MultiTaskModel, data: Dataset, split: pd.Series) -> Utilisation:
    """How the tasks of a model use its experts, over validation rows."""
    return utilisation(mean_gates(model, data, split))


def how_trained(settings: Training) -> list[str]:
    """What a domain's training does, a sentence each."""
    own = settings.balancing
    weighs = "normalised losses are added up (static)" if own == "static" else f"balanced by {own}"
    teach = f"twins teach {settings.distillation:.0%} of the loss"
    return [
        f"The joint model's tasks: {weighs}.",
        f"Penalty on all weights: l2 = {settings.l2:g}.",
        f"Average of the weights: m = {settings.ema_momentum:g}, less in a short training.",
        f"Distillation: {teach if settings.distillation else 'no twin teaches'}.",
        f"Binary tasks are {'' if settings.recalibrate else 'not '}recalibrated after training.",
    ]


def budget_table(data: Dataset, split: pd.Series, settings: Any) -> pd.DataFrame:
    """Training rows, steps per epoch and rows per step of each model."""
    counts = {name: int((split == name).sum()) for name in SPLITS}
    steps = max(1, counts["train"] // settings.batch_size)
    training = (split == "train").to_numpy()
    rows = {JOINT: counts["train"]}
    rows |= {name: int(mask[training].sum()) for name, mask in data.masks.items()}
    return pd.DataFrame(
        [(name, n, steps, max(1, round(n / steps))) for name, n in rows.items()],
        columns=["model", "training rows", "steps per epoch", "rows per step"],
    )


def trained_joint(folder: Path) -> MultiTaskModel:
    """The trained joint model."""
    return load_model(folder / f"{JOINT}.keras")


def hardware(model: MultiTaskModel) -> dict[str, str]:
    """Device and precision, for the record."""
    from mtrec.cores import device

    return {"device": device(), "precision": model.shared.dtype_policy.name}


def sample_pairs(tables: Any, encoder: Encoder, seed: int) -> pd.DataFrame:
    """Five random test rows as requests: ids, and the joint context that a request has.

    The last one is asked by somebody unknown; it is the row of a cold user if there is one, whose
    context fits somebody new. Fewer rows in a tiny domain.
    """
    test = tables.examples[tables.examples["split"] == "test"]
    both = test.dropna(subset=["user_id", "item_id"])  # rows that every view can answer
    rows = test if both.empty else both
    chosen = rows.sample(min(5, len(rows)), random_state=seed)
    cold = rows[rows["cold_user"]]
    if len(chosen) and len(cold):
        chosen = pd.concat([chosen[:-1], cold.sample(1, random_state=seed)])
    context = encoder.contexts["joint"].columns if "joint" in encoder.contexts else ()
    pairs = chosen[["user_id", "item_id", *context]].reset_index(drop=True)
    pairs.loc[pairs.index[-1:], "user_id"] = "somebody new"
    return pairs
