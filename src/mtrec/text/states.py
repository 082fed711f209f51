"""Texts -> states of their tokens: each text once, cached by content, read from the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from mtrec import progress
from mtrec.files import save_arrays
from mtrec.settings import EmbedSettings, Reader
from mtrec.tables.schema import Tables
from mtrec.text.backbone import weights_identity
from mtrec.text.embed import SHARD, key, reading

Array = np.ndarray
METHOD = 1  # raise it with every change of how a state comes about: cached ones are then unused


@dataclass(frozen=True)
class States:
    """States of the tokens of some texts, one text after the other.

    Attributes:
        values: ``(tokens, width)`` float16.
        starts: ``(texts + 1,)`` int64: text ``i`` is ``values[starts[i]:starts[i + 1]]``.
    """

    values: Array
    starts: Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Array:
        """Tokens of each text, ``(texts,)``."""
        return np.diff(self.starts)


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

    def means(self) -> Array:
        """Mean state of each row's text, ``(rows, width)`` float32; NaN where there is none."""
        width = self.states.values.shape[1]
        found = np.full((len(self.states) + 1, width), np.nan, dtype="float32")
        for at, (begin, end) in enumerate(pairwise(self.states.starts)):
            found[at] = self.states.values[begin:end].mean(axis=0, dtype="float32")
        return found[self.number]


INPUTS = {"users": "user", "items": "item"}  # of a model, by table


def read_sides(
    tables: Tables, reader: Reader | None, settings: EmbedSettings, raw: Path, cache: Path
) -> dict[str, Texts]:
    """The texts that readers read, by the input of the model that names their rows.

    Args:
        tables: the four tables.
        reader: settings of readers; None if a model has none.
        settings: of the language model.
        raw: folder of the raw data, where the weights lie.
        cache: folder of the cache.

    Raises:
        WeightsError: the model cannot be loaded.
    """
    found = {}
    for side in reader.sides if reader else ():
        texts = texts_of(getattr(tables, side), settings, raw, cache)
        if texts is not None:
            found[INPUTS[side]] = texts
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
    cached in the same way.

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
    run: Callable[[Sequence[str]], States] | None = None
    files, lengths = [], []
    cache.mkdir(parents=True, exist_ok=True)
    with progress.task("reading", len(texts), unit="text") as bar:
        for at in range(0, len(order), SHARD):
            shard = [texts[number] for number in order[at : at + SHARD]]
            file = cache / f"{key(shard, identity)}.npz"
            part = _cached(file, len(shard))
            if part is None:
                run = run or _runner(settings, raw)
                part = run(shard)
                save_arrays(file, {"values": part.values, "starts": part.starts})
            files.append(file)
            lengths.append(part.lengths)
            width = part.values.shape[1]
            bar.advance(len(shard))
    return _ordered(files, np.concatenate(lengths), np.array(order), width)


def _runner(settings: EmbedSettings, raw: Path) -> Callable[[Sequence[str]], States]:
    read = reading(settings, raw, lambda states, padding: states)

    def run(texts: Sequence[str]) -> States:
        found: dict[int, Array] = {}
        for rows, states, lengths in read(texts):
            for row, own, length in zip(rows, states, lengths, strict=True):
                found[int(row)] = own[:length].astype("float16")
        parts = [found[row] for row in range(len(texts))]
        return States(np.concatenate(parts), _starts([len(part) for part in parts]))

    return run


def _starts(lengths: Sequence[int] | Array) -> Array:
    return np.concatenate([[0], np.cumsum(lengths, dtype="int64")])


def _ordered(files: Sequence[Path], lengths: Array, order: Array, width: int) -> States:
    """The states of shards in the order of the texts; one shard in memory at a time.

    Args:
        files: of the shards.
        lengths: tokens of their texts, one shard after the other.
        order: number of each of these texts.
        width: of a state.
    """
    own = np.empty(len(order), dtype="int64")
    own[order] = lengths
    starts = _starts(own)
    values = np.empty((starts[-1], width), dtype="float16")
    numbers = iter(order)
    for file in files:
        with np.load(file) as arrays:
            states, bounds = arrays["values"], arrays["starts"]
        for begin, end in pairwise(bounds):
            at = starts[next(numbers)]
            values[at : at + end - begin] = states[begin:end]
    return States(values, starts)


def _cached(file: Path, texts: int) -> States | None:
    """A shard, or None if it is missing or damaged."""
    try:
        with np.load(file) as arrays:
            found = States(arrays["values"], arrays["starts"])
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    whole = len(found.starts) == texts + 1 and len(found.values) == found.starts[-1]
    return found if whole else None
