"""Items as people name them."""

from __future__ import annotations

import pandas as pd

TITLES = ("title", "name", "text")  # columns that name an item for people, the best first
LONGEST = 60  # characters of a title


def titles_of(items: pd.DataFrame) -> dict[str, str]:
    """Items by id as people name them; none where they have no title, name or text."""
    column = next((name for name in TITLES if name in items), None)
    if column is None:
        return {}
    known = items[items[column].notna()]
    titles = known[column].astype(str)
    short = [one if len(one) <= LONGEST else one[: LONGEST - 1] + "…" for one in titles]
    return dict(zip(known["item_id"], short, strict=True))
