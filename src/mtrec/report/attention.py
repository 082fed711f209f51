"""Which words of a text each task attends to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from mtrec.features.assemble import Assembly
from mtrec.models.model import MultiTaskModel
from mtrec.text.backbone import Tokenizer
from mtrec.text.states import Texts

WORDS = (15, 40)  # of a passage: long enough to choose from, short enough to be read
BEGIN, END = " [begin]", " [end]"
SPACE = "\u2423"  # a visible space, for a token that is nothing else


@dataclass(frozen=True)
class Passage:
    """A text as several tasks read it.

    Attributes:
        words: of the text.
        shares: of each task's attention, ``(tasks, words)``; a row sums to 1.
        tasks: names.
    """

    words: tuple[str, ...]
    shares: np.ndarray
    tasks: tuple[str, ...]


def passages(
    model: MultiTaskModel,
    assembly: Assembly,
    items: pd.DataFrame,
    texts: Texts | None,
    tokenizer: Callable[[], Tokenizer],
    seed: int,
    count: int = 2,
) -> list[Passage]:
    """Some items' texts, and where in them the tasks look that see them.

    Args:
        model: trained, with a reader of items' texts; without one there is nothing to see.
        assembly: says which tasks see the texts.
        items: the table.
        texts: of the table.
        tokenizer: gives that of the language model.
        seed: of the choice.
        count: number of passages.
    """
    reader = model.readers.get("item")
    if reader is None or texts is None:
        return []
    tasks = tuple(task for task, seen in assembly.seen.items() if "text" in seen.item)
    tokenize = tokenizer()
    chosen = items["text"].dropna().sample(frac=1, random_state=seed)
    lengths = chosen.str.split().str.len()
    found = []
    for row, text in chosen[lengths.between(*WORDS)].head(count).items():
        number = texts.number[items.index.get_loc(row)]
        states = texts.states.tokens(np.array([number]))
        shares = reader.attention(states, np.zeros(len(states), dtype="int32"), 1)
        (tokens,) = tokenize([text])
        pieces = [str(tokenize.detokenize([token])) for token in list(tokens)[: len(states)]]
        if len(pieces) < len(states):  # an encoder's texts have a token at either end
            pieces = [BEGIN, f" {pieces[0]}", *pieces[1:], END][: len(states)]
        words, own = in_words(pieces, keras.ops.convert_to_numpy(shares).T)
        found.append(Passage(words, own, tasks))
    return found


def in_words(pieces: Sequence[str], shares: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Tokens put together to words, whose shares are the sums of their tokens'.

    Args:
        pieces: tokens as text; one that begins with a space begins a word.
        shares: ``(tasks, tokens)``.

    Example:
        >>> in_words(["Ver", "y", " good"], np.array([[0.1, 0.2, 0.7]]))[0]
        ('Very', 'good')
    """
    begins = np.array([number == 0 or piece[:1].isspace() for number, piece in enumerate(pieces)])
    word = np.cumsum(begins) - 1
    sums = np.stack([np.bincount(word, weights=row) for row in shares])
    groups: list[list[str]] = [[] for _ in range(word[-1] + 1)]
    for at, piece in zip(word, pieces, strict=True):
        groups[at].append(piece)
    return tuple("".join(group).strip() or SPACE for group in groups), sums
