"""A BERT encoder in a folder of its publisher's layout -> KerasHub's backbone and a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtrec.text import safetensors
from mtrec.text.weights import WeightsError

if TYPE_CHECKING:
    import keras
    import keras_hub

Array = np.ndarray
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT, from its ``config.json``."""

    words: int
    layers: int
    heads: int
    width: int
    hidden: int
    positions: int
    segments: int


class WordPieceTokenizer:
    """The tokenizer of a ``tokenizer.json``, without its own padding, cut and special tokens.

    Args:
        path: of the file.

    Raises:
        WeightsError: it is missing or damaged, or has no [CLS] and [SEP].
    """

    def __init__(self, path: Path):
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise WeightsError(
                f"{path}: not a readable tokenizer ({error}). Fetch the model's folder again."
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        special = [self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")]
        if None in special:
            raise WeightsError(
                f"{path}: the tokenizer has no token [CLS] or no [SEP], which a BERT's texts "
                "begin and end with. Put the tokenizer of these weights there."
            )
        self.cls_token_id, self.sep_token_id = special

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per text."""
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [one.ids for one in found]

    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return self._tokenizer.get_vocab_size()


def is_bert(folder: Path) -> bool:
    """Whether a folder holds a BERT in its publisher's layout, not KerasHub's."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "bert"


def read_config(folder: Path) -> BertConfig:
    """Read the sizes.

    Raises:
        WeightsError: they are missing, or of a BERT that KerasHub's differs from.
    """
    path = folder / CONFIG
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        config = BertConfig(
            raw["vocab_size"], raw["num_hidden_layers"], raw["num_attention_heads"],
            raw["hidden_size"], raw["intermediate_size"], raw["max_position_embeddings"],
            raw["type_vocab_size"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: no readable sizes of a BERT ({type(error).__name__}: {error}). Fetch the "
            "model's folder again."
        ) from error
    kind = raw.get("hidden_act"), raw.get("position_embedding_type", "absolute")
    if kind != ("gelu", "absolute"):
        raise WeightsError(
            f"{path}: activation and positions are {kind}, expected ('gelu', 'absolute'). "
            "Use a KerasHub preset for this model."
        )
    return config


def backbone(
    folder: Path, precision: str, layers: int | None = None
) -> keras_hub.models.BertBackbone:
    """The encoder with its weights.

    Args:
        folder: with ``config.json`` and ``model.safetensors``.
        precision: ``float32`` or ``bfloat16``.
        layers: blocks to load (all if None).

    Raises:
        WeightsError: a file is missing, damaged, or does not fit the sizes.
    """
    import keras
    import keras_hub

    config = read_config(folder)
    found = {k.removeprefix("bert."): v for k, v in safetensors.read(folder / WEIGHTS).items()}
    made = keras_hub.models.BertBackbone(
        vocabulary_size=config.words,
        num_layers=min(layers or config.layers, config.layers),
        num_heads=config.heads,
        hidden_dim=config.width,
        intermediate_dim=config.hidden,
        max_sequence_length=config.positions,
        num_segments=config.segments,
        dtype=precision,
    )
    for block in made.transformer_layers:  # KerasHub's GELU is an approximation, BERT's is none
        block._feedforward_intermediate_dense.activation = keras.activations.gelu
    for variable, name in _names(made):
        values = found.get(name)
        if values is None or values.size != int(np.prod(variable.shape)):
            shape = "missing" if values is None else f"of shape {values.shape}"
            raise WeightsError(
                f"{folder / WEIGHTS}: '{name}' is {shape}, expected {int(np.prod(variable.shape))} "
                f"numbers as {CONFIG} says. Put weights and {CONFIG} of one model there."
            )
        # (out, in) there, (in, out) here; heads are a split of one axis
        values = values.T if name.endswith("weight") and "mbeddings" not in name else values
        variable.assign(values.reshape(variable.shape))
    return made


def _names(made: keras_hub.models.BertBackbone) -> list[tuple[keras.Variable, str]]:
    """Variables of KerasHub's backbone and their names in the publisher's file."""
    norm = made.embeddings_layer_norm
    found = [
        (made.token_embedding.embeddings, "embeddings.word_embeddings.weight"),
        (made.position_embedding.position_embeddings, "embeddings.position_embeddings.weight"),
        (made.segment_embedding.embeddings, "embeddings.token_type_embeddings.weight"),
        (norm.gamma, "embeddings.LayerNorm.weight"),
        (norm.beta, "embeddings.LayerNorm.bias"),
    ]
    for number, block in enumerate(made.transformer_layers):
        attention = block._self_attention_layer
        dense = {
            "attention.self.query": attention._query_dense,
            "attention.self.key": attention._key_dense,
            "attention.self.value": attention._value_dense,
            "attention.output.dense": attention._output_dense,
            "intermediate.dense": block._feedforward_intermediate_dense,
            "output.dense": block._feedforward_output_dense,
        }
        norms = {
            "attention.output.LayerNorm": block._self_attention_layer_norm,
            "output.LayerNorm": block._feedforward_layer_norm,
        }
        where = f"encoder.layer.{number}"
        for name, layer in dense.items():
            found += [
                (layer.kernel, f"{where}.{name}.weight"),
                (layer.bias, f"{where}.{name}.bias"),
            ]
        for name, layer in norms.items():
            found += [(layer.gamma, f"{where}.{name}.weight"), (layer.beta, f"{where}.{name}.bias")]
    return found
