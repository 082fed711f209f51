"""Texts -> vectors: each text once, in batches of like length, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtrec import cores, progress
from mtrec.backend import compile_function
from mtrec.settings import EmbedSettings
from mtrec.text.backbone import weights_identity

if TYPE_CHECKING:
    from keras import KerasTensor

Array = np.ndarray
Batches = Callable[[Sequence[int], int], Iterator[tuple[Array, int]]]
METHOD = 3  # raise it with every change of how a vector comes about: cached ones are then unused
SHARD = 512  # texts per cache file: what an interruption can lose
LENGTH_STEP = 4  # lengths are rounded up to a multiple, so that batches are full


def embed(texts: Sequence[str], settings: EmbedSettings, raw: Path, cache: Path) -> Array:
    """Embed texts with the language model, each distinct text once.

    A text begins with the model's start token, which is not pooled: whatever token comes first
    draws most of the attention and has states far above the usual size (Xiao et al. 2023,
    https://arxiv.org/abs/2309.17453), so that a mean over it would measure a text's length.

    Vectors are cached under ``cache`` by a hash of text, model and settings; an interrupted run
    goes on where it stopped. The batch a text falls into does not depend on the cache.

    Args:
        texts: texts, repeats allowed.
        settings: preset, layer, pooling, precision, batch and length.
        raw: folder of the raw data, where the weights lie.
        cache: folder of the cache.

    Returns:
        ``(len(texts), width)`` float32.

    Raises:
        WeightsError: the model cannot be loaded.
        ValueError: a text is empty, or the model has fewer layers than ``settings.layer``.
    """
    if any(not text.strip() for text in texts):
        raise ValueError("texts: one of them is empty; leave rows without text out of the list.")
    unique = sorted(set(texts))
    shards = [unique[i : i + SHARD] for i in range(0, len(unique), SHARD)]
    chosen = settings.model_dump(exclude={"components"})
    identity = [METHOD, chosen, weights_identity(settings.preset, raw)]
    files = [cache / f"{key(shard, identity)}.npy" for shard in shards]
    parts = [_read(file, len(shard)) for file, shard in zip(files, shards, strict=True)]
    todo = [number for number, part in enumerate(parts) if part is None]
    if todo:
        run = runner(settings, raw)

        def make(number: int) -> Array:
            _write(files[number], part := run(shards[number]))
            return part

        known = len(unique) - sum(len(shards[number]) for number in todo)
        with progress.task("embedding", len(unique), unit="text", done=known) as bar:
            for number, part in zip(todo, cores.side_by_side(make, todo), strict=True):
                parts[number] = part
                bar.advance(len(part))
    vectors = np.concatenate([part for part in parts if part is not None])
    position = {text: number for number, text in enumerate(unique)}
    return vectors[[position[text] for text in texts]]


def count_tokens(texts: Sequence[str], settings: EmbedSettings, raw: Path) -> int:
    """Number of tokens of the distinct texts, after truncation."""
    from mtrec.text import backbone

    tokenizer = backbone.load_tokenizer(settings.preset, raw)
    found = tokenizer(sorted(set(texts)))
    return sum(min(len(tokens), settings.max_tokens) for tokens in found)


def bucketed(lengths: Sequence[int], budget: int) -> Iterator[tuple[Array, int]]:
    """Rows of like length, at most ``budget`` tokens with padding, and their padded length.

    Args:
        lengths: tokens of each text.
        budget: tokens per batch.
    """
    padded = -(-np.asarray(lengths) // LENGTH_STEP) * LENGTH_STEP
    for length in np.unique(padded):
        rows = np.flatnonzero(padded == length)
        size = max(1, budget // int(length))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], int(length)


def runner(
    settings: EmbedSettings, raw: Path, batches: Batches = bucketed
) -> Callable[[Sequence[str]], Array]:
    """Load the model and return a function from texts to vectors that knows no cache.

    Args:
        settings: as in :func:`embed`.
        raw: folder of the raw data, where the weights lie.
        batches: which texts share a forward pass.
    """

    def pooled(states: KerasTensor, padding: KerasTensor) -> KerasTensor:
        return pool(states, padding, settings.pooling)

    read = reading(settings, raw, pooled, batches)

    def run(texts: Sequence[str]) -> Array:
        vectors: Array | None = None
        for rows, part, _ in read(texts):
            vectors = (
                np.zeros((len(texts), part.shape[1]), "float32") if vectors is None else vectors
            )
            vectors[rows] = part
        assert vectors is not None  # a shard is never empty
        return vectors

    return run


def reading(
    settings: EmbedSettings,
    raw: Path,
    then: Callable[[KerasTensor, KerasTensor], KerasTensor],
    batches: Batches = bucketed,
) -> Callable[[Sequence[str]], Iterator[tuple[Array, Array, Array]]]:
    """Load the model and return a function that reads texts, a batch of like length at a time.

    It yields the rows of a batch, what ``then`` makes of their states ``(rows, length, width)``
    float32 and their padding ``(rows, length)``, both without the start token, and their lengths.

    Args:
        settings: as in :func:`embed`.
        raw: folder of the raw data, where the weights lie.
        then: what follows the states in the same graph.
        batches: which texts share a forward pass.

    Raises:
        WeightsError: the model cannot be loaded.
        ValueError: it has fewer layers than ``settings.layer``.
    """
    from keras import ops

    from mtrec.text import backbone

    model = backbone.load(settings.preset, raw, settings.precision, settings.layer)
    if settings.layer > model.layers:
        raise ValueError(
            f"task_embedding.layer: {settings.layer}, but '{settings.preset}' has {model.layers} "
            "layers. Choose a smaller one in params.yaml."
        )

    def forward(tokens: KerasTensor, padding: KerasTensor) -> KerasTensor:
        states = backbone.hidden_states(model, tokens, padding, settings.layer)
        words = slice(model.dropped, None)  # without a decoder's start token
        return then(ops.cast(states, "float32")[:, words], padding[:, words])

    any_shape = (((None, None), "int32"), ((None, None), "bool"))
    compiled = compile_function(forward, model.backbone, any_shape)  # one graph for all batches

    def read(texts: Sequence[str]) -> Iterator[tuple[Array, Array, Array]]:
        found = model.tokens(texts, settings.max_tokens)
        lengths = np.array([len(tokens) for tokens in found])
        for rows, length in batches(lengths.tolist(), settings.batch_tokens):
            tokens = np.zeros((len(rows), length), dtype="int32")
            padding = np.zeros((len(rows), length), dtype=bool)
            for at, row in enumerate(rows):
                tokens[at, : len(found[row])] = found[row]
                padding[at, : len(found[row])] = True
            batch = ops.convert_to_tensor(tokens), ops.convert_to_tensor(padding)
            yield rows, ops.convert_to_numpy(compiled(*batch)), lengths[rows] - model.dropped

    return read


def pool(states: KerasTensor, padding: KerasTensor, pooling: str) -> KerasTensor:
    """Pool states ``(batch, length, width)`` over real tokens to ``(batch, width)``."""
    from keras import ops

    mask = ops.cast(padding, states.dtype)[:, :, None]
    if pooling == "mean":
        return ops.sum(states * mask, axis=1) / ops.sum(mask, axis=1)
    last = ops.sum(ops.cast(padding, "int32"), axis=1) - 1
    return ops.take_along_axis(states, last[:, None, None], axis=1)[:, 0]


def key(texts: Sequence[str], identity: list) -> str:
    """Name of a shard in the cache: a hash of its texts and of what made their states."""
    return hashlib.sha256(json.dumps([list(texts), identity]).encode()).hexdigest()[:32]


def _read(file: Path, rows: int) -> Array | None:
    """A cached shard, or None if it is missing or damaged."""
    try:
        part = np.load(file)
    except (OSError, ValueError, EOFError):
        return None
    return part if part.ndim == 2 and len(part) == rows and np.isfinite(part).all() else None


def _write(file: Path, part: Array) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.partial")
    with temporary.open("wb") as handle:
        np.save(handle, part)
    os.replace(temporary, file)


@dataclass(frozen=True)
class Projection:
    """Whitened principal components, as :func:`reduce` fitted them.

    Attributes:
        mean: ``(1, width)`` float32.
        axes: ``(width, components)`` float32.
    """

    mean: Array
    axes: Array

    def __call__(self, vectors: Array) -> Array:
        """Components of later vectors ``(n, width)``, ``(n, components)`` float32."""
        return ((vectors - self.mean) @ self.axes).astype("float32")


def reduce(vectors: Array, fit_rows: Array, components: int) -> tuple[Array, Projection | None]:
    """Whitened principal components, fitted on some rows only.

    Args:
        vectors: ``(n, width)``, NaN rows where there is no text.
        fit_rows: ``(n,)`` True where a row may be learnt from (training users or items).
        components: number of components kept (fewer if there are fewer rows).

    Returns:
        ``(n, components)`` float32, NaN rows kept, and what makes the same of later vectors; NaN
        and None where there is nothing to learn from. Components have equal variance on the fitted
        rows and a row has unit expected length there, as much weight as a one-hot category.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    known = np.isfinite(vectors).all(axis=1)
    fit = np.unique(vectors[known & fit_rows], axis=0)
    size = min(components, len(fit) - 1, vectors.shape[1])
    if size < 1:
        return np.full((len(vectors), 1), np.nan, dtype="float32"), None
    reduced = np.full((len(vectors), size), np.nan, dtype="float32")
    with threadpool_limits(1):  # the same sums whatever the number of cores
        pca = PCA(size, whiten=True, svd_solver="full").fit(fit.astype("float64"))
        reduced[known] = pca.transform(vectors[known].astype("float64")) / size**0.5
    scale = np.maximum(pca.explained_variance_**0.5, np.finfo("float64").eps) * size**0.5
    axes = (pca.components_ / scale[:, None]).T
    return reduced, Projection(pca.mean_[None].astype("float32"), axes.astype("float32"))
