"""A small ranking network over features of candidates, trained on whole lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Settings:
    """Of the ranking network.

    Attributes:
        units: of the hidden layer; 0 leaves the linear part alone.
        epochs: over the lists.
        rate: Adam's learning rate.
        decay: L2 penalty on the kernels.
        dropout: on the hidden units.
        batch: lists in a step.
    """

    units: int = 32
    epochs: int = 20
    rate: float = 3e-3
    decay: float = 1e-4
    dropout: float = 0.1
    batch: int = 32


def train(features: Array, target: Array, settings: Settings, seed: int) -> Any:
    """Train ``logit = linear(f) + mlp(f)`` with a softmax over each list.

    ``loss = -mean_lists sum_c target_c log softmax(logit)_c``

    Args:
        features: ``(lists, candidates, features)`` float32, standardised.
        target: ``(lists, candidates)``: each list's distribution over its relevant candidates,
            of sum 1 (or any weight of the list).
        settings: of the network.
        seed: of weights, order and dropout.

    Returns:
        The Keras model from features to logits ``(lists, candidates)``.

    Source: ListNet's top-one loss, Cao et al. 2007, https://doi.org/10.1145/1273496.1273513.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    model = _network(features.shape[-1], settings)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            settings.rate, settings.epochs * -(-len(features) // settings.batch)
        )
    )

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = -tf.reduce_mean(tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=1))
            total = loss + tf.add_n(model.losses) if model.losses else loss
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    draws = np.random.default_rng(seed)
    for _ in range(settings.epochs):
        order = draws.permutation(len(features))
        for start in range(0, len(order), settings.batch):
            rows = np.sort(order[start : start + settings.batch])
            step(tf.constant(features[rows]), tf.constant(target[rows].astype("float32")))
    return model


def score(model: Any, features: Array, batch: int = 64) -> Array:
    """Logits ``(lists, candidates)`` float32."""
    parts = [
        np.asarray(model(features[start : start + batch], training=False))
        for start in range(0, len(features), batch)
    ]
    return np.concatenate(parts).astype("float32")


def _network(width: int, settings: Settings) -> Any:
    import keras

    given = keras.Input((None, width))
    penalty = keras.regularizers.L2(settings.decay)
    logits = keras.layers.Dense(1, kernel_regularizer=penalty)(given)
    if settings.units:
        hidden = keras.layers.Dense(settings.units, "gelu", kernel_regularizer=penalty)(given)
        hidden = keras.layers.Dropout(settings.dropout)(hidden)
        logits = logits + keras.layers.Dense(1, kernel_initializer="zeros")(hidden)
    return keras.Model(given, keras.ops.squeeze(logits, axis=-1))
