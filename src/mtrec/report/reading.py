"""What each task reads in texts: three of them closely, then the words of many, and neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import pandas as pd

from mtrec.features.assemble import Assembly
from mtrec.models.model import MultiTaskModel
from mtrec.report.attention import WORDS, Passage, passages
from mtrec.tables.schema import Tables
from mtrec.text.backbone import Tokenizer
from mtrec.text.states import Texts

OFTEN = 20  # texts that a word must stand in before it counts
EDGES = ".,;:!?()\"'-"  # of a word, which are not of it
SHOWN = 160  # characters of a neighbour


def pick(tables: Tables, label: str, split: str, seed: int) -> list[int]:
    """Positions of three items: a random one with the lowest, the middle and the highest label.

    Their texts are short enough to be read. An example is taken to be about one item alone.

    Args:
        tables: the four tables.
        label: column of the examples, numbers.
        split: of the examples.
        seed: of the choice.

    Raises:
        ValueError: no text is of readable length.
    """
    found = _of_split(tables, split)
    lengths = found["text"].str.split().str.len()
    found = found[lengths.between(*WORDS)]
    values = np.unique(found[label].dropna())
    if not len(values):
        raise ValueError(
            f"{split} split: no item has both a text of {WORDS[0]} to {WORDS[1]} words and "
            f"'{label}'; there is nothing to show. Choose another split or label."
        )
    wanted = values[[0, len(values) // 2, -1]]
    return [
        int(found.index[found[label] == value].to_series().sample(1, random_state=seed).iloc[0])
        for value in wanted
    ]


def closely(
    model: MultiTaskModel,
    assembly: Assembly,
    items: pd.DataFrame,
    texts: Texts,
    tokenizer: Callable[[], Tokenizer],
    rows: Sequence[int],
) -> list[Passage]:
    """Where the tasks look in the texts of some items, in their order.

    Args:
        model: trained, with a reader of items' texts.
        assembly: says which tasks see the texts.
        items: the table.
        texts: of the table.
        tokenizer: gives that of the language model.
        rows: positions in the table.
    """
    tokenize = tokenizer()
    found: list[Passage] = []
    for row in rows:
        own = Texts(texts.number[[row]], texts.states)
        found += passages(model, assembly, items.iloc[[row]], own, lambda: tokenize, 0, 1)
    return found


def of_split(tables: Tables, split: str) -> list[int]:
    """Positions of the items with a text that the examples of a split are about."""
    return [int(row) for row in _of_split(tables, split).index]


def of_length(tables: Tables, rows: Sequence[int]) -> list[int]:
    """Those positions whose texts are short enough to be read closely."""
    lengths = tables.items["text"].iloc[list(rows)].str.split().str.len()
    return [row for row, kept in zip(rows, lengths.between(*WORDS), strict=True) if kept]


def favourites(read: Iterable[Passage], count: int = 8) -> pd.DataFrame:
    """The words that each task attends to most, over many texts.

    A word's weight in a text is its share of the attention, in units of an even share.

    Args:
        read: texts as the tasks read them.
        count: words per task.

    Returns:
        ``task`` and ``words``, each with its mean weight.
    """
    weights: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for passage in read:
        for task, shares in zip(passage.tasks, passage.shares, strict=True):
            for word, share in zip(passage.words, shares, strict=True):
                weights[task][word.lower().strip(EDGES)].append(share * len(passage.words))
    rows = []
    for task, found in weights.items():
        means = {word: np.mean(all_of) for word, all_of in found.items() if len(all_of) >= OFTEN}
        best = sorted(means, key=lambda word: (-means[word], word))[:count]
        rows.append((task, ", ".join(f"{word} {means[word]:.1f}" for word in best)))
    return pd.DataFrame(rows, columns=["task", "words"])


def readings(model: MultiTaskModel, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """What a trained model's tasks took from the text of each item, ``(items, width)`` by task."""
    table = keras.ops.convert_to_numpy(model.readers["item"].table)[1:]
    return {task: table[:, at] for at, task in enumerate(tasks)}


def nearest(vectors: np.ndarray, rows: Sequence[int], among: Sequence[int]) -> np.ndarray:
    """Of some rows, the nearest by cosine among others; all are positions.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 2.0]])
        >>> nearest(vectors, [0], [1, 2]).tolist()
        [1]
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(among)[(unit[rows] @ unit[among].T).argmax(axis=1)]


def neighbours(
    found: Mapping[str, np.ndarray], items: pd.DataFrame, rows: Sequence[int], among: Sequence[int]
) -> pd.DataFrame:
    """The nearest text of some items by what each task reads: ``text``, ``read by``, ``nearest``.

    Args:
        found: vectors of the items, by who reads.
        items: the table.
        rows: positions of those to ask about.
        among: positions of those that compete.
    """
    near = {name: nearest(vectors, rows, among) for name, vectors in found.items()}
    texts = items["text"].to_numpy()
    return pd.DataFrame(
        [(_cut(texts[row]) if at == 0 else "", name, _cut(texts[near[name][number]]))
         for number, row in enumerate(rows) for at, name in enumerate(near)],
        columns=["text", "read by", "nearest"],
    )  # fmt: skip


def agreement(
    found: Mapping[str, np.ndarray],
    labels: pd.DataFrame,
    rows: Sequence[int],
    among: Sequence[int],
) -> pd.DataFrame:
    """How often an item and its nearest neighbour agree, by who reads and by label.

    Args:
        found: vectors of the items, by who reads.
        labels: of the items, a column per question; missing ones do not count.
        rows: positions of those to ask about.
        among: positions of those that compete.

    Returns:
        ``read by`` and a column of shares per label; last a row for a random item in the
        neighbour's place.
    """
    lines = []
    for name, vectors in found.items():
        near = nearest(vectors, rows, among)
        lines.append([name, *(_same(labels[c].to_numpy()[rows], labels[c].to_numpy()[near])
                              for c in labels)])  # fmt: skip
    lines.append(["nobody: any item"] + [_chance(labels[c], rows, among) for c in labels])
    return pd.DataFrame(lines, columns=["read by", *labels])


def _of_split(tables: Tables, split: str) -> pd.DataFrame:
    """Items with a text of a split's examples, with the examples' labels, by position."""
    items = tables.items.reset_index(drop=True)
    examples = tables.examples[tables.examples["split"] == split].drop_duplicates("item_id")
    joined = items[["item_id", "text"]].reset_index().merge(examples, on="item_id")
    return joined[joined["text"].notna()].set_index("index")


def _same(one: np.ndarray, other: np.ndarray) -> float:
    known = ~(pd.isna(one) | pd.isna(other))
    return float((one[known] == other[known]).mean())


def _chance(label: pd.Series, rows: Sequence[int], among: Sequence[int]) -> float:
    """How often two random items agree."""
    here, there = (label.iloc[list(some)].value_counts(normalize=True) for some in (rows, among))
    return float((here * there.reindex(here.index).fillna(0.0)).sum())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN].rsplit(" ", 1)[0] + " …"
