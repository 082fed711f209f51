"""Which language texts are in: py3langid's answer for most of them, where they are long enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pandas as pd

SAMPLE = 500  # texts looked at
CHUNK = 300  # characters that are judged together
MOSTLY = 0.7  # share of these that must agree
MIN_WORDS = 6.0  # per text on average: brands and names of people are taken for any language
LATIN = r"[A-Za-z\u00c0-\u024f]"
LETTER = r"[^\W\d_]"
UNTOLD = ("en", "zxx")  # the one that is expected, and none at all


def other_language(texts: pd.Series) -> str | None:
    """The language that texts seem to be in if it is not English, else None.

    Example:
        >>> other_language(pd.Series(["Это очень хорошая книга"]))
        'Russian'
        >>> other_language(pd.Series(["Das ist nicht der Ball, den ich mit dem Hund gesucht habe"]))
        'German'
    """
    known = texts.dropna()
    known = known.iloc[:: max(1, len(known) // SAMPLE)]
    letters = known.str.count(LETTER).sum()
    if not letters:
        return None
    latin = known.str.count(LATIN).sum() >= 0.5 * letters
    if latin and known.str.split().str.len().mean() < MIN_WORDS:
        return None
    from babel import Locale  # late: reading the model of languages takes a second
    from py3langid import classify

    found = Counter(classify(chunk)[0] for chunk in _chunks(known))
    code, count = found.most_common(1)[0]
    if code in UNTOLD or count < MOSTLY * found.total():
        return None
    return str(Locale("en").languages.get(code, code))


def _chunks(texts: pd.Series) -> Iterator[str]:
    """Texts put together until they are long enough to be judged."""
    chunk = ""
    for text in texts:
        chunk = f"{chunk} {text}" if chunk else text
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = ""
    if chunk:
        yield chunk
