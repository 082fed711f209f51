"""Items as people name them."""

from __future__ import annotations

import pandas as pd

TITLES = ("title", "name", "text")  # columns that name an item for people, the best first
LONGEST = 60  # characters of a title


def titles_of(items: pd.DataFrame, longest: int = LONGEST) -> dict[str, str]:
    """Items by id as people name them; none where they have no title, name or text.

    Args:
        items: table of items.
        longest: characters of a title; longer ones are cut.

    Example:
        >>> titles_of(pd.DataFrame({"item_id": ["1", "2"], "text": ["Toy Story (1995)", None]}))
        {'1': 'Toy Story (1995)'}
    """
    column = next((name for name in TITLES if name in items), None)
    if column is None:
        return {}
    known = items[items[column].notna()]
    return {
        str(key): text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
        for key, text in zip(known["item_id"], known[column].astype(str), strict=True)
    }
