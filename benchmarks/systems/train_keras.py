"""Peer: the same MMoE of stock Keras layers under ``model.fit`` on arrays."""

from __future__ import annotations

import os
import time

import exchange
import numpy as np


def main() -> None:
    """Answer."""
    arrays, options = exchange.given()
    for kind in ("INTRAOP", "INTEROP"):  # read when TensorFlow loads
        os.environ[f"TF_NUM_{kind}_THREADS"] = str(options["threads"])
    import keras

    keras.utils.set_random_seed(options["seed"])
    x = {f"f{number}": column for number, column in enumerate(arrays["fields"].T)}
    y = {f"task{number}": column[:, None] for number, column in enumerate(arrays["labels"].T)}
    model = network(keras, len(x), len(y), options)
    model.compile(
        keras.optimizers.Adam(options["learning_rate"]),
        loss=dict.fromkeys(y, keras.losses.BinaryCrossentropy()),
    )
    few = options["warm_up"]
    fit(model, {k: v[:few] for k, v in x.items()}, {k: v[:few] for k, v in y.items()}, options)
    started, used = time.monotonic(), time.process_time()
    losses = fit(model, x, y, options)
    seconds, used = time.monotonic() - started, time.process_time() - used
    exchange.answer(
        "keras", started, rows_per_second=np.float64(len(arrays["fields"]) / seconds),
        cpu_seconds=np.float64(used), losses=losses, parameters=np.int64(model.count_params()),
    )  # fmt: skip


def network(keras, fields: int, tasks: int, options: dict):
    """MMoE as Keras' guides would write it."""
    layers = keras.layers
    near_zero = keras.initializers.RandomNormal(stddev=1e-4)  # as torch-rechub draws embeddings
    inputs = {f"f{n}": keras.Input((), dtype="int32", name=f"f{n}") for n in range(fields)}
    embedded = [
        layers.Embedding(options["vocabulary"], options["width"], near_zero)(column)
        for column in inputs.values()
    ]
    state = layers.Concatenate()(embedded)
    experts = []
    for _ in range(options["experts"]):
        hidden = state
        for units in options["expert"]:
            hidden = layers.Dense(units, activation="relu")(hidden)
        experts.append(hidden)
    stacked = keras.ops.stack(experts, axis=1)
    outputs = {}
    for task in range(tasks):
        gate = layers.Dense(options["experts"], activation="softmax")(state)
        mixed = keras.ops.sum(gate[:, :, None] * stacked, axis=1)
        tower = layers.Dense(options["tower"], activation="relu")(mixed)
        outputs[f"task{task}"] = layers.Dense(1, activation="sigmoid")(tower)
    return keras.Model(inputs, outputs)


def fit(model, x: dict, y: dict, options: dict) -> np.ndarray:
    """Mean loss of one epoch by task."""
    found = model.fit(x, y, batch_size=options["batch"], epochs=1, verbose=0).history
    return np.array([found[f"{name}_loss"][0] for name in y])


if __name__ == "__main__":
    main()
