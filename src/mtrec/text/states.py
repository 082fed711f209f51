"""Texts -> states of their tokens: each text once, cached by content, left on the disk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from mtrec import cores, progress
from mtrec.files import save_arrays
from mtrec.settings import EmbedSettings, Reader
from mtrec.tables.schema import Tables
from mtrec.text.backbone import weights_identity
from mtrec.text.embed import SHARD, key, reading

Array = np.ndarray
METHOD = 2  # raise it with every change of how a state comes about: cached ones are then unused


@dataclass(frozen=True)
class Shard:
    """States of the tokens of some texts, one text after the other.

    Attributes:
        values: ``(tokens, width)`` float16; a file is mapped, not read.
        starts: ``(texts + 1,)`` int64: text ``i`` is ``values[starts[i]:starts[i + 1]]``.
    """

    values: Array
    starts: Array


class States:
    """States of the tokens of texts, by the texts' numbers.

    Args:
        shards: which together hold the texts.
        order: number of each of their texts, one shard after the other; 0, 1, … if None.

    Attributes:
        lengths: tokens of each text, ``(texts,)``.
        width: of a state.
    """

    def __init__(self, shards: Sequence[Shard], order: Array | None = None):
        self._shards, self.width = shards, shards[0].values.shape[1]
        sizes = [len(shard.starts) - 1 for shard in shards]
        lengths = np.concatenate([np.diff(shard.starts) for shard in shards])
        order = np.arange(len(lengths)) if order is None else order
        self.lengths, self._at = np.empty_like(lengths), np.empty((len(lengths), 2), "int64")
        self.lengths[order] = lengths
        self._at[order, 0] = np.repeat(np.arange(len(shards)), sizes)
        self._at[order, 1] = np.concatenate([np.arange(size) for size in sizes])

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, numbers: Array) -> Array:
        """States of some texts' tokens, one text after the other: ``(tokens, width)`` float16."""
        found = np.empty((self.lengths[numbers].sum(), self.width), dtype="float16")
        at = 0
        for place, text in self._at[numbers]:
            begin, end = self._shards[place].starts[text : text + 2]
            found[at : (at := at + end - begin)] = self._shards[place].values[begin:end]
        return found


@dataclass(frozen=True)
class Texts:
    """The texts of users or items, to be read token by token.

    Attributes:
        number: of each row's text among the distinct ones, ``(rows,)`` int32; ``len(states)``
            where there is none.
        states: of the distinct texts.
    """

    number: Array
    states: States


def read_sides(
    tables: Tables, reader: Reader | None, settings: EmbedSettings, raw: Path, cache: Path
) -> dict[str, Texts]:
    """The texts that readers read, by the input of the model that names their rows.

    Args:
        tables: the four tables.
        reader: settings of readers; None if a model has none.
        settings: of the language model; the reader's ``max_tokens`` holds.
        raw: folder of the raw data, where the weights lie.
        cache: folder of the cache.

    Raises:
        WeightsError: the model cannot be loaded.
    """
    found: dict[str, Texts] = {}
    if reader is None:
        return found
    settings = settings.model_copy(update={"max_tokens": reader.max_tokens})
    for side, name in reader.inputs.items():
        texts = texts_of(getattr(tables, side), settings, raw, cache)
        if texts is not None:
            found[name] = texts
    return found


def texts_of(table: pd.DataFrame, settings: EmbedSettings, raw: Path, cache: Path) -> Texts | None:
    """The texts of a table of users or items, read by the language model; None if it has none.

    Raises:
        WeightsError: the model cannot be loaded.
    """
    column = table["text"] if "text" in table else pd.Series(None, index=table.index, dtype=object)
    distinct = sorted(set(column.dropna()))
    if not distinct:
        return None
    number = pd.Index(distinct).get_indexer(column)
    number[number < 0] = len(distinct)
    return Texts(number.astype("int32"), read_states(distinct, settings, raw, cache))


def read_states(texts: Sequence[str], settings: EmbedSettings, raw: Path, cache: Path) -> States:
    """States after block ``settings.layer`` of distinct texts, in their order.

    The start token is read and left out, as in :func:`mtrec.text.embed.embed`, and states are
    cached in the same way. The files stay where they are, and parts of them are read when asked
    for: a million tokens take 1.2 GB.

    Args:
        texts: distinct texts.
        settings: preset, layer, precision, batch and length.
        raw: folder of the raw data, where the weights lie.
        cache: folder of the cache.

    Raises:
        WeightsError: the model cannot be loaded.
        ValueError: a text is empty, or the model has fewer layers than ``settings.layer``.
    """
    if any(not text.strip() for text in texts):
        raise ValueError("texts: one of them is empty; leave rows without text out of the list.")
    order = sorted(range(len(texts)), key=texts.__getitem__)
    chosen = settings.model_dump(exclude={"components", "pooling"})
    identity = ["states", METHOD, chosen, weights_identity(settings.preset, raw)]
    ordered = [texts[number] for number in order]
    pieces = [ordered[at : at + SHARD] for at in range(0, len(order), SHARD)]
    files = [cache / f"{key(piece, identity)}.npy" for piece in pieces]
    shards = [_cached(file) for file in files]
    todo = [number for number, shard in enumerate(shards) if shard is None]
    if todo:
        run = _runner(settings, raw)

        def make(number: int) -> Shard | None:
            _write(files[number], run(pieces[number]))
            return _cached(files[number])  # which is mapped, not held

        known = len(texts) - sum(len(pieces[number]) for number in todo)
        with progress.task("reading", len(texts), unit="text", done=known) as bar:
            for number, shard in zip(todo, cores.side_by_side(make, todo), strict=True):
                shards[number] = shard
                bar.advance(len(pieces[number]))
    found = [shard for shard in shards if shard is not None]
    assert len(found) == len(pieces)  # each was cached or written a moment ago
    return States(found, np.array(order))


def _runner(settings: EmbedSettings, raw: Path) -> Callable[[Sequence[str]], Shard]:
    read = reading(settings, raw, lambda states, padding: states)

    def run(texts: Sequence[str]) -> Shard:
        found: dict[int, Array] = {}
        for rows, states, lengths in read(texts):
            for row, own, length in zip(rows, states, lengths, strict=True):
                found[int(row)] = own[:length].astype("float16")
        parts = [found[row] for row in range(len(texts))]
        starts = np.cumsum([0, *map(len, parts)], dtype="int64")
        return Shard(np.concatenate(parts), starts)

    return run


def _write(file: Path, shard: Shard) -> None:
    """Write a shard's values, and then beside them what tells that they are whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.partial")
    with temporary.open("wb") as handle:
        np.save(handle, shard.values)
    os.replace(temporary, file)
    save_arrays(_beside(file), {"starts": shard.starts, "sum": np.array(_sum(shard.values))})


def _cached(file: Path) -> Shard | None:
    """A shard, or None if it is missing or damaged."""
    try:
        with np.load(_beside(file)) as arrays:
            starts, expected = arrays["starts"], int(arrays["sum"])
        values = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    return Shard(values, starts) if _sum(values) == expected else None


def _sum(values: Array) -> int:
    return zlib.crc32(values.data)


def _beside(file: Path) -> Path:
    return file.with_suffix(".starts.npz")
