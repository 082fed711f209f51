"""The language model under KerasHub: a GGUF file, an encoder that is fetched, or any preset."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mtrec.text import bert
from mtrec.text.weights import LlamaFile, WeightsError, read_gguf

if TYPE_CHECKING:
    import keras
    import keras_hub


GGUF_PRESETS = {"smollm2-135m": "smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf"}


class Tokenizer(Protocol):
    """Texts -> ids of their tokens, and back."""

    def __call__(self, texts: list[str], /) -> Sequence[Sequence[int]]:
        """Ids of each text's tokens."""

    def detokenize(self, tokens: Sequence[int], /) -> str:
        """Text of token ids."""


@dataclass(frozen=True)
class LanguageModel:
    """A tokenizer and a backbone, decoder or encoder, that share a vocabulary.

    Attributes:
        tokenizer: called on a list of texts it returns their token ids.
        backbone: KerasHub backbone with ``transformer_layers``.
        layers: number of blocks that are loaded (the first ones).
        start: id of the token that begins a text, or None if the model has none.
        end: id of the token that ends a text; None for a decoder, which reads no text to its end.
        longest: most tokens that the model has positions for, or None if any number.
    """

    tokenizer: Tokenizer
    backbone: keras_hub.models.Backbone
    layers: int
    start: int | None
    end: int | None = None
    longest: int | None = None

    @property
    def dropped(self) -> int:
        """How many first tokens have states that no reader should see.

        A decoder's start token draws most of the attention and means nothing; an encoder's was
        trained to stand for the text.
        """
        return int(self.start is not None and self.end is None)

    def tokens(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Token ids of texts with what begins and ends one.

        Args:
            texts: any texts.
            most: tokens kept of each, start and end not counted.
        """
        first, last = ([] if token is None else [token] for token in (self.start, self.end))
        if self.longest is not None:
            most = min(most, self.longest - len(first) - len(last))
        return [[*first, *list(ids)[:most], *last] for ids in self.tokenizer(list(texts))]


def presets() -> list[str]:
    """Names of presets that need no KerasHub hub."""
    return [*GGUF_PRESETS, *_encoders().read_encoders()]


def load(preset: str, raw: Path, precision: str, layers: int | None = None) -> LanguageModel:
    """Load a language model.

    Args:
        preset: one of :func:`presets`; a KerasHub preset of an encoder or decoder: ``hf://…``,
            ``kaggle://…``, a preset's name, or a local folder; or a local folder that holds a
            BERT in its publisher's layout.
        raw: folder of the raw data, where GGUF files lie.
        precision: ``float32`` or ``bfloat16``.
        layers: blocks to load (all if None) where fewer save memory and time.

    Raises:
        WeightsError: the file or preset cannot be loaded, or its tokenizer does not fit.
        FetchError: an encoder cannot be fetched.
    """
    tokenizer = load_tokenizer(preset, raw)
    if preset in GGUF_PRESETS:
        file = read_gguf(raw / GGUF_PRESETS[preset])
        layers = min(layers or file.layers, file.layers)
        return LanguageModel(tokenizer, _backbone(file, precision, layers), layers, file.start)
    if folder := _bert_folder(preset):
        made: keras_hub.models.Backbone = bert.backbone(folder, precision, layers)
    else:
        made = _from_hub("Backbone", preset, dtype=precision)
    if not hasattr(made, "transformer_layers"):
        raise WeightsError(
            f"task_embedding.preset: '{preset}' is a {type(made).__name__} and has no single row "
            f"of blocks. Name one of {', '.join(presets())}, or a KerasHub preset of an encoder "
            "such as BERT or of a decoder such as Llama, GPT-2 or Gemma."
        )
    _check_fit(preset, tokenizer, made)
    first, last = _ends(tokenizer, made)
    longest = getattr(made, "max_sequence_length", None)
    return LanguageModel(tokenizer, made, len(block_outputs(made)), first, last, longest)


def load_tokenizer(preset: str, raw: Path) -> Any:
    """Load the tokenizer alone.

    Raises:
        WeightsError: as :func:`load`.
    """
    if preset in GGUF_PRESETS:
        return _tokenizer(read_gguf(raw / GGUF_PRESETS[preset], tensors=False))
    if folder := _bert_folder(preset):
        return bert.WordPieceTokenizer(folder / bert.TOKENIZER)
    return _from_hub("Tokenizer", preset)


def weights_identity(preset: str, raw: Path) -> str:
    """What tells the weights of one preset from another's: a SHA-256 of files, or the name."""
    if preset in _encoders().read_encoders():
        members = _encoders().read_encoders()[preset].members
        return next(member.sha256 for member in members if member.to == bert.WEIGHTS)
    if preset in GGUF_PRESETS:
        file = raw / GGUF_PRESETS[preset]
        return _digest(file) if file.is_file() else preset
    if Path(preset).is_dir():  # another model may be put there
        files = [path for path in sorted(Path(preset).rglob("*")) if path.is_file()]
        return hashlib.sha256("".join(map(_digest, files)).encode()).hexdigest()
    return preset


def hidden_states(
    model: LanguageModel, tokens: keras.KerasTensor, padding: keras.KerasTensor, layer: int
) -> keras.KerasTensor:
    """States ``(batch, length, width)`` after block ``layer``; a decoder's, before its last norm.

    Args:
        model: the language model.
        tokens: token ids ``(batch, length)`` int32.
        padding: True at real tokens, ``(batch, length)``.
        layer: number of blocks to run.
    """
    import keras

    given = {"token_ids": tokens, "padding_mask": padding}
    inputs = {name: keras.ops.cast(values, "int32") for name, values in given.items()}
    if "segment_ids" in model.backbone.input:  # of pairs of texts; here a text is alone
        inputs["segment_ids"] = keras.ops.zeros_like(inputs["token_ids"])
    below = keras.Model(model.backbone.input, block_outputs(model.backbone)[layer - 1])
    return below(inputs, training=False)


def states(
    model: LanguageModel, texts: Sequence[str], block: int, max_tokens: int
) -> list[np.ndarray]:
    """States of each text's tokens after a block, ``(tokens, width)`` float32.

    Texts are read one batch at a time as they come; :mod:`mtrec.text.embed` is quicker for many.

    Args:
        model: the language model, decoder or encoder.
        texts: any texts.
        block: number of blocks to run.
        max_tokens: longer texts are cut.
    """
    from keras import ops

    found = model.tokens(texts, max_tokens)
    length = max(map(len, found))
    tokens, padding = np.zeros((2, len(found), length), "int32")
    for row, ids in enumerate(found):
        tokens[row, : len(ids)], padding[row, : len(ids)] = ids, 1
    read = ops.convert_to_numpy(ops.cast(hidden_states(model, tokens, padding, block), "float32"))
    return [read[row, model.dropped : len(ids)] for row, ids in enumerate(found)]


def block_outputs(made: keras_hub.models.Backbone) -> list[keras.KerasTensor]:
    """What each block of a backbone returns, the lowest first.

    A block that runs several times, as ALBERT's do, counts as often.
    """
    blocks = {id(block) for block in _flat(made.transformer_layers)}
    calls = [
        node
        for depth in sorted(made._nodes_by_depth, reverse=True)
        for node in made._nodes_by_depth[depth]
        if id(node.operation) in blocks
    ]
    return [node.output_tensors[0] for node in calls]


def _flat(layers: Sequence) -> list[keras.layers.Layer]:
    return [
        one for layer in layers for one in (_flat(layer) if isinstance(layer, list) else [layer])
    ]


def _bert_folder(preset: str) -> Path | None:
    """Folder of a BERT in its publisher's layout, if the preset is one."""
    if preset in _encoders().read_encoders():
        return _encoders().encoder_folder(preset)
    return Path(preset) if bert.is_bert(Path(preset)) else None


def _from_hub(kind: str, preset: str, **options: Any) -> Any:
    """KerasHub's backbone or tokenizer of a preset.

    Raises:
        WeightsError: it cannot be loaded.
    """
    import keras_hub

    place = {"Backbone": keras_hub.models, "Tokenizer": keras_hub.tokenizers}[kind]
    try:
        return getattr(place, kind).from_preset(preset, **options)
    except Exception as error:  # each hub raises its own
        said = " ".join(str(error).split())
        raise WeightsError(
            f"task_embedding.preset: cannot load '{preset}' ({kind.lower()}: "
            f"{type(error).__name__}: {said}). Name one of {', '.join(presets())}, a KerasHub "
            "preset, or a local preset folder."
        ) from error


def _check_fit(preset: str, tokenizer: Any, made: keras_hub.models.Backbone) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings."""
    tokens, rows = tokenizer.vocabulary_size(), made.vocabulary_size
    if tokens > rows:
        raise WeightsError(
            f"task_embedding.preset: the tokenizer of '{preset}' has {tokens:,} tokens, the model "
            f"embeddings for {rows:,}. Put tokenizer and weights of one model there."
        )


def _ends(tokenizer: Any, made: keras_hub.models.Backbone) -> tuple[int | None, int | None]:
    """Ids of the tokens that begin and end a text; no end for a decoder."""

    def first_of(*names: str) -> int | None:
        found = (getattr(tokenizer, name, None) for name in names)
        return next((token for token in found if token is not None), None)

    block = type(_flat(made.transformer_layers)[0]).__name__
    if "Encoder" not in block:
        return first_of("start_token_id"), None
    return first_of("cls_token_id", "start_token_id"), first_of("sep_token_id", "end_token_id")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _encoders() -> ModuleType:
    """What knows encoders that can be fetched; how they are fetched is no input of a training."""
    return importlib.import_module("mtrec.fetch.encoders")
