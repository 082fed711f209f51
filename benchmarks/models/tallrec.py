"""TALLRec's rows of MovieLens-100K as questions in words: what a user liked, and a film to judge.

Of users in the order in which they appear, each film from the eleventh on is a row that knows the
ten before it; the last 10,000 rows are kept and split 8:1:1 in that order. The thousand test rows
are those that the authors published, word for word.

Source: Bao et al. 2023, https://doi.org/10.1145/3604915.3608857.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.models.rating_table import interactions

Array = np.ndarray
SEEN = 10  # films before the one that is asked
ROWS = 10_000
TENTHS = (8, 9)
LIKED = 4  # least rating of a like
INSTRUCTION = (
    "Given the user's preference and unpreference, identify whether the user will like the target "
    'movie by answering "Yes." or "No.".'
)


@dataclass(frozen=True)
class Rows:
    """Rows of the protocol.

    Attributes:
        row: number of the raw file's row that is asked, ``(n,)``.
        user: from 0, ``(n,)``.
        films: titles of the ten films before, ``(n, 10)``.
        liked: whether each was liked, ``(n, 10)``.
        film: title that is asked, ``(n,)``.
        label: whether it was liked, ``(n,)``.
    """

    row: Array
    user: Array
    films: Array
    liked: Array
    film: Array
    label: Array

    def take(self, chosen: Array) -> Rows:
        """Some of them."""
        return Rows(**{name: values[chosen] for name, values in vars(self).items()})

    def __len__(self) -> int:
        return len(self.row)


def read(folder: Path) -> dict[str, Rows]:
    """The rows of ``train``, ``validation`` and ``test``.

    Args:
        folder: ``data/ml-100k``.
    """
    table, name = interactions(folder), titles(folder)
    found = []
    for _, own in table.groupby("user", sort=False):  # users as they appear
        own = own.sort_values("time", kind="stable")
        number, liked = own.index.to_numpy(), (own["rating"] >= LIKED).to_numpy()
        film = name.loc[own["item"]].to_numpy()
        found += [
            (number[at], own["user"].iloc[at], film[at - SEEN : at], liked[at - SEEN : at],
             film[at], liked[at])
            for at in range(SEEN, len(own))
        ]  # fmt: skip
    rows = Rows(*map(np.array, zip(*found[-ROWS:], strict=True)))
    first, second = (ROWS * tenth // 10 for tenth in TENTHS)
    parts = {"train": (0, first), "validation": (first, second), "test": (second, ROWS)}
    return {part: rows.take(np.arange(*limits)) for part, limits in parts.items()}


def titles(folder: Path) -> pd.Series:
    """``Toy Story (1995)`` by item, from 0."""
    items = pd.read_csv(folder / "ml-100k.item", sep="\t", dtype=str, keep_default_na=False)
    items.columns = [name.split(":")[0] for name in items.columns]
    name = items["movie_title"] + " (" + items["release_year"] + ")"
    return name.set_axis(items["item_id"].astype(int) - 1)


def questions(rows: Rows, shuffle: int | None = None) -> list[str]:
    """Each row in the authors' words.

    Args:
        rows: of :func:`read`.
        shuffle: seed by which liked titles, and disliked ones, change places among themselves;
            None: in the order in which they were seen.
    """
    rng = None if shuffle is None else np.random.default_rng(shuffle)
    found = []
    for films, liked, film in zip(rows.films, rows.liked, rows.film, strict=True):
        order = np.arange(len(films)) if rng is None else rng.permutation(len(films))
        said = [_quoted(films[order][liked[order] == wanted]) for wanted in (True, False)]
        found.append(
            f"User Preference: {said[0]}\nUser Unpreference: {said[1]}\n"
            f'Whether the user will like the target movie "{film}"?'
        )
    return found


def shots(rows: Rows, count: int, seed: int) -> Array:
    """Numbers of ``count`` training rows; fewer are the first of more, so that draws are nested."""
    return np.random.default_rng(seed).permutation(len(rows))[:count]


def _quoted(films: Sequence[str]) -> str:
    return ", ".join(f'"{film}"' for film in films)
