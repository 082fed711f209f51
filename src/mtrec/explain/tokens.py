"""Words of a text that each task's reader looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from keras import ops

from mtrec.features.assemble import Assembly
from mtrec.models.model import MultiTaskModel
from mtrec.settings import EmbedSettings, Reader
from mtrec.text.backbone import Tokenizer, weights_identity
from mtrec.text.embed import SHARD, key
from mtrec.text.states import METHOD, Texts, texts_of

Array = np.ndarray
Tokens = Callable[[str, int], Mapping[str, Sequence[tuple[str, float]]]]


def looks(
    model: MultiTaskModel, assembly: Assembly, texts: Mapping[str, Texts],
    tables: Mapping[str, pd.DataFrame], tokenizer: Callable[[], Tokenizer],
) -> Tokens:  # fmt: skip
    """A function from a side and a row of it to words and their shares of attention, by task.

    Args:
        model: trained, with readers.
        assembly: says which tasks see which texts.
        texts: states of the texts of tables, by side.
        tables: of ``user`` and ``item``, in the order of the texts.
        tokenizer: gives that of the language model, when it is first needed.
    """
    made: list[Tokenizer] = []
    place = {side: dict(zip(tables[side][f"{side}_id"], range(len(tables[side])), strict=True))
             for side in texts}  # fmt: skip

    def look(side: str, row: int) -> Mapping[str, Sequence[tuple[str, float]]]:
        own, at = (
            texts.get(side),
            place.get(side, {}).get(getattr(assembly.encoder, side).ids[row - 1]),
        )
        if own is None or at is None or own.number[at] >= len(own.states):
            return {}
        if not made:
            made.append(tokenizer())
        states = own.states.tokens(np.array([own.number[at]]))
        shares = model.readers[side].attention(states, np.zeros(len(states), "int32"), 1)
        pieces = _pieces(made[0], tables[side]["text"].iloc[at], len(states))
        words = [words_of(pieces, one) for one in ops.convert_to_numpy(shares).T]
        tasks = [task for task, seen in assembly.seen.items() if "text" in getattr(seen, side)]
        return dict(zip(tasks, words, strict=True))

    return look


def _pieces(tokenizer: Tokenizer, text: str, count: int) -> list[str]:
    (tokens,) = tokenizer([text])
    pieces = [str(tokenizer.detokenize([token])) for token in list(tokens)[:count]]
    if len(pieces) < count:  # an encoder's texts have a token at either end
        pieces = [" [begin]", f" {pieces[0]}", *pieces[1:], " [end]"][:count]
    return pieces


def words_of(pieces: Sequence[str], shares: Array) -> list[tuple[str, float]]:
    """Tokens put together to words, whose shares are the sums of their tokens'.

    Example:
        >>> words_of(["Ver", "y", " good"], np.array([0.25, 0.25, 0.5]))
        [('Very', 0.5), ('good', 0.5)]
    """
    found: list[tuple[str, float]] = []
    for piece, share in zip(pieces, shares, strict=True):
        if found and not piece[:1].isspace():
            word, before = found.pop()
            found.append((word + piece, before + float(share)))
        else:
            found.append((piece.strip(), float(share)))
    return found


def cached_texts(
    tables: Mapping[str, pd.DataFrame], reader: Reader, settings: EmbedSettings, raw: Path,
    cache: Path,
) -> dict[str, Texts]:  # fmt: skip
    """States of the texts that readers read, of sides whose states are all in the cache.

    The language model is not asked: a request cannot wait for it.

    Args:
        tables: of ``user`` and ``item``.
        reader: settings of readers.
        settings: of the language model.
        raw: folder of the raw data, where the weights lie.
        cache: folder of the cache.
    """
    own = settings.model_copy(update={"max_tokens": reader.max_tokens})
    chosen = own.model_dump(exclude={"components", "pooling"})
    identity, found = ["states", METHOD, chosen, weights_identity(own.preset, raw)], {}
    for side in reader.inputs.values():
        texts = sorted(set(tables[side].get("text", pd.Series(dtype=object)).dropna()))
        shards = [texts[at : at + SHARD] for at in range(0, len(texts), SHARD)]
        if all((cache / f"{key(one, identity)}.npy").is_file() for one in shards):
            states = texts_of(tables[side], own, raw, cache)
            if states is not None:
                found[side] = states
    return found
