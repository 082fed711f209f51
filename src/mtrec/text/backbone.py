"""The language model under KerasHub, from a GGUF file or any preset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtrec.text.weights import LlamaFile, WeightsError, read_gguf

if TYPE_CHECKING:
    import keras
    import keras_hub

Tokenizer = Callable[[list[str]], Sequence[Sequence[int]]]  # texts -> ids of their tokens
GGUF_PRESETS = {"smollm2-135m": "smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf"}


@dataclass(frozen=True)
class LanguageModel:
    """A tokenizer and a decoder-only backbone that share a vocabulary.

    Attributes:
        tokenizer: KerasHub tokenizer; called on a list of texts it returns lists of token ids.
        backbone: KerasHub backbone with ``transformer_layers``.
        layers: number of blocks that are loaded (the first ones).
        start: id of the token that begins a text, or None if the model has none.
    """

    tokenizer: Tokenizer
    backbone: keras_hub.models.Backbone
    layers: int
    start: int | None


def load(preset: str, raw: Path, precision: str, layers: int | None = None) -> LanguageModel:
    """Load a language model.

    Args:
        preset: a key of ``GGUF_PRESETS``, or a KerasHub preset: ``hf://…``, ``kaggle://…``, a
            preset's name, or a local folder.
        raw: folder of the raw data, where GGUF files lie.
        precision: ``float32`` or ``bfloat16``.
        layers: blocks to load from a GGUF file (all if None); fewer save memory and time.

    Raises:
        WeightsError: the file or preset cannot be loaded.
    """
    if preset in GGUF_PRESETS:
        file = read_gguf(raw / GGUF_PRESETS[preset])
        layers = min(layers or file.layers, file.layers)
        return LanguageModel(
            _tokenizer(file), _backbone(file, precision, layers), layers, file.start
        )
    import keras_hub

    try:
        backbone = keras_hub.models.Backbone.from_preset(preset, dtype=precision)
        tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(preset)
    except Exception as error:  # each hub raises its own
        raise WeightsError(
            f"task_embedding.preset: cannot load '{preset}' ({type(error).__name__}: {error}). "
            f"Name one of {', '.join(GGUF_PRESETS)}, a KerasHub preset, or a local preset folder."
        ) from error
    if not hasattr(backbone, "transformer_layers"):
        raise WeightsError(
            f"task_embedding.preset: '{preset}' is a {type(backbone).__name__} and has no decoder "
            f"blocks. Name one of {', '.join(GGUF_PRESETS)}, or a KerasHub preset of a decoder "
            "such as Llama, GPT-2 or Gemma."
        )
    start = getattr(tokenizer, "start_token_id", None)
    return LanguageModel(tokenizer, backbone, backbone.num_layers, start)


def load_tokenizer(preset: str, raw: Path) -> Tokenizer:
    """Load the tokenizer alone."""
    if preset in GGUF_PRESETS:
        return _tokenizer(read_gguf(raw / GGUF_PRESETS[preset], tensors=False))
    import keras_hub

    return keras_hub.tokenizers.Tokenizer.from_preset(preset)


def weights_identity(preset: str, raw: Path) -> str:
    """What tells the weights of one preset from another's: SHA-256 of the file, or the name."""
    if preset not in GGUF_PRESETS or not (raw / GGUF_PRESETS[preset]).is_file():
        return preset
    with (raw / GGUF_PRESETS[preset]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hidden_states(
    model: LanguageModel, tokens: keras.KerasTensor, padding: keras.KerasTensor, layer: int
) -> keras.KerasTensor:
    """States after block ``layer`` (before the final norm), ``(batch, length, width)``.

    Args:
        model: the language model.
        tokens: token ids ``(batch, length)`` int32.
        padding: True at real tokens, ``(batch, length)``.
        layer: number of blocks to run.
    """
    import keras

    block = model.backbone.transformer_layers[layer - 1]
    given = {"token_ids": tokens, "padding_mask": padding}
    inputs = {name: keras.ops.cast(values, "int32") for name, values in given.items()}
    return keras.Model(model.backbone.input, block.output)(inputs, training=False)


def _tokenizer(file: LlamaFile) -> Tokenizer:
    from mtrec.text.tokenizer import BytePairTokenizer

    return BytePairTokenizer(file.tokens, file.merges)


def _backbone(file: LlamaFile, precision: str, layers: int) -> keras_hub.models.Backbone:
    import keras_hub

    backbone = keras_hub.models.Llama3Backbone(
        vocabulary_size=len(file.tokens),
        num_layers=layers,
        num_query_heads=file.heads,
        num_key_value_heads=file.kv_heads,
        hidden_dim=file.width,
        intermediate_dim=file.hidden,
        rope_max_wavelength=file.rope,
        layer_norm_epsilon=file.epsilon,
        tie_word_embeddings=True,
        dtype=precision,
    )
    get = file.tensors.__getitem__
    backbone.token_embedding.embeddings.assign(get("token_embd.weight"))
    backbone.layer_norm.scale.assign(get("output_norm.weight"))
    for number, block in enumerate(backbone.transformer_layers):
        for variable, values in _block_weights(file, number, block):
            variable.assign(values)
    return backbone


def _block_weights(
    file: LlamaFile, number: int, block: keras.layers.Layer
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Pairs of a block's variable and its value; GGUF holds (out, in), Keras (in, heads, size)."""

    def get(name: str) -> np.ndarray:
        return file.tensors[f"blk.{number}.{name}.weight"]

    size, attention = file.width // file.heads, block._self_attention_layer
    return [
        (block._self_attention_layernorm.scale, get("attn_norm")),
        (attention._query_dense.kernel, get("attn_q").T.reshape(file.width, file.heads, size)),
        (attention._key_dense.kernel, get("attn_k").T.reshape(file.width, file.kv_heads, size)),
        (attention._value_dense.kernel, get("attn_v").T.reshape(file.width, file.kv_heads, size)),
        (
            attention._output_dense.kernel,
            get("attn_output").T.reshape(file.heads, size, file.width),
        ),
        (block._feedforward_layernorm.scale, get("ffn_norm")),
        (block._feedforward_gate_dense.kernel, get("ffn_gate").T),
        (block._feedforward_intermediate_dense.kernel, get("ffn_up").T),
        (block._feedforward_output_dense.kernel, get("ffn_down").T),
    ]
