"""The user's past events -> one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mtrec.models.seeds import draw


def on_gpu() -> bool:
    """Whether there is a GPU, whose LSTM and GRU are cuDNN's."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def _recurrent(
    layer: type[keras.layers.Layer],
    units: int,
    seed: int | None,
    dtype: keras.DTypePolicy,
    name: str,
) -> keras.layers.Layer:
    """Unrolled where it runs on a CPU: a quarter faster than TensorFlow's loop and its lists."""
    return layer(units, go_backwards=True, unroll=not on_gpu(), seed=seed, dtype=dtype, name=name)


def _self_attention(units: int, seed: int | None, dtype: keras.DTypePolicy) -> keras.layers.Layer:
    return keras.layers.MultiHeadAttention(
        num_heads=2, key_dim=units // 2, dtype=dtype, name="attention"
    )


HISTORY_ENCODERS: dict[str, Callable[[int, int | None, keras.DTypePolicy], keras.layers.Layer]] = {
    "lstm": lambda units, seed, dtype: _recurrent(keras.layers.LSTM, units, seed, dtype, "lstm"),
    "gru": lambda units, seed, dtype: _recurrent(keras.layers.GRU, units, seed, dtype, "gru"),
    "attention": _self_attention,
}


@keras.saving.register_keras_serializable("mtrec")
class HistoryEncoder(keras.layers.Layer):
    """Events ``(batch, length, features)`` and flags ``(batch, length)`` -> ``(batch, width)``.

    ``lstm`` is the article's choice (§4.2.1); ``gru`` and ``attention`` (one self-attention layer,
    read at the most recent event) are alternatives. A user without events gets the zero vector.

    Args:
        encoder: key of ``HISTORY_ENCODERS``.
        units: units of the recurrent or attention layer.
        width: width of the result.
        seed: of a recurrent layer's generator, which draws nothing but is a variable, so that it
            is part of a checkpoint's identity; drawn if it is None.
    """

    def __init__(
        self, encoder: str, units: int, width: int, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.encoder, self.units, self.width = encoder, units, width
        # Keras makes no generator for attention; a seed that is drawn moves all later weights.
        self.seed = seed or draw() if encoder != "attention" else None
        self.sequence = HISTORY_ENCODERS[encoder](units, self.seed, self.dtype_policy)
        self.out = keras.layers.Dense(width, use_bias=False, name="out", dtype=self.dtype_policy)

    def build(self, events_shape, known_shape=None) -> None:
        """Create the weights."""
        if self.encoder == "attention":
            self.sequence.build(events_shape, events_shape)
            self.out.build((events_shape[0], events_shape[-1]))
        else:
            self.sequence.build(events_shape)
            self.out.build((events_shape[0], self.units))
        self.built = True

    def call(self, events, known):
        """Encode the events where ``known`` is True; the last position is the most recent event."""
        if self.encoder == "attention":
            both = ops.logical_and(known[:, None, :], known[:, :, None])
            state = self.sequence(events, events, attention_mask=both)[:, -1]
        else:
            # cuDNN wants at least one event, and padding behind it: newest first, read backwards
            newest = ops.arange(known.shape[1]) == known.shape[1] - 1
            mask = ops.flip(ops.logical_or(known, newest), axis=1)
            state = self.sequence(ops.flip(events, axis=1), mask=mask)
        any_event = ops.cast(ops.any(known, axis=1, keepdims=True), state.dtype)
        return self.out(state) * any_event

    def compute_output_shape(self, events_shape, known_shape=None):
        """``(batch, width)``."""
        return (events_shape[0], self.width)

    def get_config(self) -> dict[str, Any]:
        """Encoder, sizes and seed."""
        own = {name: getattr(self, name) for name in ("encoder", "units", "width", "seed")}
        return {**super().get_config(), **own}
