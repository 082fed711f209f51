"""Which language texts are in, roughly: common words, and the share of Latin letters."""

from __future__ import annotations

import pandas as pd

COMMON = {  # no word of a later language that is also English
    "English": "the of and to in is it for with that was on this are be as at you not have a an "
    "no who by from her his she he they do so me we all very just but or my",
    "German": "der das und ist nicht mit ein eine zu den von auf für im dem sich auch es ich wir",
    "French": "le la les et est des une un du pour dans que qui pas sur avec ce il au vous je",
    "Spanish": "el la los las y es de que en una un por con para se del muy como lo su este",
    "Italian": "il la le e di che un una per con non è del della sono molto da si ho questo gli",
    "Portuguese": "os e de que em um uma por com para não se da muito ao foi mais eu você dos",
    "Dutch": "de het een en van niet voor op te dat die zijn er aan ook als maar om ik wat",
}
SAMPLE = 2_000  # texts looked at
MIN_WORDS = 6.0  # per text on average: titles are too short to tell
MIN_SHARE = 0.08  # of common words, below which nothing is said
LATIN = r"[A-Za-z\u00c0-\u024f]"
LETTER = r"[^\W\d_]"


def other_language(texts: pd.Series) -> str | None:
    """The language that texts seem to be in if it is not English, else None.

    Example:
        >>> other_language(pd.Series(["Это очень хорошая книга"]))
        'a script other than Latin'
        >>> other_language(pd.Series(["Das ist nicht der Ball, den ich mit dem Hund gesucht habe"]))
        'German'
    """
    known = texts.dropna()
    known = known.iloc[:: max(1, len(known) // SAMPLE)]
    letters = known.str.count(LETTER).sum()
    if letters and known.str.count(LATIN).sum() < 0.5 * letters:
        return "a script other than Latin"
    words = known.str.lower().str.findall(r"[^\W\d_]+").explode().dropna()
    if not len(known) or len(words) / len(known) < MIN_WORDS:
        return None
    shares = {name: float(words.isin(common.split()).mean()) for name, common in COMMON.items()}
    best = max(shares, key=lambda name: shares[name])
    if best == "English" or shares[best] < max(MIN_SHARE, 1.5 * shares["English"]):
        return None
    return best
