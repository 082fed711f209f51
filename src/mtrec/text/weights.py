"""Weights of a Llama model in a GGUF file -> NumPy arrays in KerasHub's layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray


class WeightsError(ValueError):
    """The weights file is missing, damaged or of another architecture."""


@dataclass(frozen=True)
class LlamaFile:
    """What a GGUF file of a Llama model holds.

    Attributes:
        layers: number of transformer blocks.
        heads: number of query heads.
        kv_heads: number of key/value heads.
        width: hidden width.
        hidden: width of the feed-forward layer.
        rope: base of the rotary positions.
        epsilon: of the RMS norms.
        start: id of the token that begins a text.
        tokens: vocabulary, by token id.
        merges: byte-pair merges, in order of rank.
        tensors: arrays by GGUF name, float32, ``(out, in)``; query and key rows in the order of
            the original checkpoint.
    """

    layers: int
    heads: int
    kv_heads: int
    width: int
    hidden: int
    rope: float
    epsilon: float
    start: int
    tokens: list[str]
    merges: list[str]
    tensors: dict[str, Array]


def read_gguf(path: Path, tensors: bool = True) -> LlamaFile:
    """Read and dequantise a GGUF file; without ``tensors`` only its metadata and vocabulary.

    Raises:
        WeightsError: no such file, a damaged file, or not a Llama model.
    """
    from gguf.quants import dequantize

    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file. Run `make repro` (or `mtrec fetch`) to fetch the weights."
        )
    try:
        reader, fields = _parse(path, path.stat().st_mtime_ns)
        if fields.get("general.architecture") != "llama":
            raise WeightsError(
                f"{path.name}: architecture is '{fields.get('general.architecture')}', expected "
                "'llama'. Use a KerasHub preset for other models: task_embedding.preset."
            )
        heads = int(fields["llama.attention.head_count"])
        kv_heads = int(fields["llama.attention.head_count_kv"])
        arrays = {
            t.name: dequantize(t.data, t.tensor_type).astype("float32")
            for t in (reader.tensors if tensors else [])
        }
    except WeightsError:
        raise
    except Exception as error:  # gguf raises whatever NumPy raises on a damaged file
        raise WeightsError(
            f"{path.name}: not a readable GGUF file ({type(error).__name__}: {error}). Delete it "
            "and run `mtrec fetch`."
        ) from error
    for name in arrays:
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            rows = heads if "attn_q" in name else kv_heads
            arrays[name] = _undo_permutation(arrays[name], rows)
    return LlamaFile(
        layers=int(fields["llama.block_count"]),
        heads=heads,
        kv_heads=kv_heads,
        width=int(fields["llama.embedding_length"]),
        hidden=int(fields["llama.feed_forward_length"]),
        rope=float(fields["llama.rope.freq_base"]),
        epsilon=float(fields["llama.attention.layer_norm_rms_epsilon"]),
        start=int(fields["tokenizer.ggml.bos_token_id"]),
        tokens=list(fields["tokenizer.ggml.tokens"]),
        merges=list(fields["tokenizer.ggml.merges"]),
        tensors=arrays,
    )


@lru_cache(maxsize=1)
def _parse(path: Path, changed: int) -> tuple[Any, dict[str, Any]]:
    """Open file and its metadata; the vocabulary takes seconds, tokenizer and model both need it.

    Args:
        path: the file.
        changed: when, so that another file of that name is read anew.
    """
    from gguf import GGUFReader

    reader = GGUFReader(path)
    return reader, {name: field.contents() for name, field in reader.fields.items()}


def _undo_permutation(weight: Array, heads: int) -> Array:
    """llama.cpp interleaves the two halves of each rotary head; put them one after the other."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
