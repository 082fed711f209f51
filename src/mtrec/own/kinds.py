"""Types of events, such as view, cart and purchase, and the labels that follow from them."""

from __future__ import annotations

import re

import pandas as pd

from mtrec.own import field

MOST = 12  # types in a column, at most
STEPS: tuple[tuple[str, ...], ...] = (  # what leads to what, in words of the field
    ("impression", "show", "shown", "exposure", "exposed"),
    ("view", "views", "viewed", "pv", "pageview", "detail", "visit", "open", "browse"),
    ("click", "clicked", "clickthrough"),
    ("cart", "addtocart", "addcart", "basket", "addtobasket"),
    ("checkout", "begincheckout"),
    ("purchase", "purchased", "buy", "bought", "transaction", "order", "ordered", "paid", "sale"),
)
OTHERS = ("fav", "favorite", "favourite", "like", "dislike", "wishlist", "collect", "share", "play",
          "listen", "watch", "removefromcart", "rate", "comment", "follow", "save", "skip",
          "download")  # fmt: skip


def is_kinds(name: str, known: pd.Series) -> bool:
    """Whether a column of events says what happened: by its name or its words, and few of them."""
    distinct = known.unique()
    if not 2 <= len(distinct) <= MOST:
        return False
    if field.plain(name) in field.KINDS:
        return True
    words = {field.plain(cell) for cell in distinct}
    usual = {word for step in STEPS for word in step} | set(OTHERS)
    return len(words & usual) >= 2


def labels(cells: pd.Series) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Labels that follow from types of events.

    The first step that occurs, or the most frequent type, is what all events have in common, so it
    is no label. A step counts as taken in later ones, too: who purchases has chosen the cart.

    Returns:
        Types that each label is 1 for, and for each label that a later step depends on, which one.

    Example:
        >>> found = labels(pd.Series(["view", "view", "cart", "purchase", "share"]))
        >>> found[0]
        {'cart': ('cart', 'purchase'), 'purchase': ('purchase',), 'share': ('share',)}
        >>> found[1]
        {'purchase': 'cart'}
    """
    counts = cells.dropna().str.strip().value_counts()
    step = {kind: _step(kind) for kind in counts.index}
    steps = sorted((kind for kind in counts.index if step[kind] >= 0), key=lambda k: step[k])
    base = steps[0] if steps and len(steps) > 1 else counts.index[0]
    chain = [kind for kind in steps if kind != base]
    found = {_label(kind): tuple(k for k in chain if step[k] >= step[kind]) for kind in chain}
    found |= {_label(k): (k,) for k in sorted(counts.index) if k != base and k not in chain}
    names = [_label(kind) for kind in chain]
    return found, dict(zip(names[1:], names[:-1], strict=True))


def _step(kind: str) -> int:
    word = field.plain(kind)
    return next((n for n, words in enumerate(STEPS) if word in words), -1)


def _label(kind: str) -> str:
    name = re.sub(r"\W+", "_", kind.encode("ascii", "ignore").decode().lower()).strip("_")[:40]
    return name if name and not name[0].isdigit() else f"type_{name or len(kind)}"
