"""Bytes of a text file -> clean UTF-8 bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from itertools import islice

from charset_normalizer import CharsetMatch, from_bytes

from mtrec.domains.own.table import FileError

BOMS = {  # the four-byte marks first: UTF-16's is the beginning of UTF-32's
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WESTERN = "cp1252"
LATIN = {  # encodings as they are called
    WESTERN: "Windows-1252", "cp1250": "Windows-1250 (Central European)",
    "cp1254": "Windows-1254 (Turkish)",
}  # fmt: skip
CALLED = LATIN | {
    "cp1251": "Windows-1251 (Cyrillic)", "koi8_r": "KOI8-R (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)", "cp1255": "Windows-1255 (Hebrew)",
    "gb18030": "GBK (GB 18030)", "big5": "Big5", "shift_jis": "Shift JIS", "euc_jp": "EUC-JP",
    "euc_kr": "EUC-KR",
}  # fmt: skip
CLOSE = 0.02  # of two measures that are about equal
LOOKED = 1 << 22  # bytes in which lines are looked for
LINES = 300  # lines from which the encoding is guessed
CONTROLS = bytes([*range(1, 9), 11, 12, *range(14, 32), 127])
MARK = b"\x01"
BINARY_SHARE = 0.01  # of control characters: a text has fewer


def to_utf8(name: str, content: bytes) -> tuple[bytes, list[str]]:
    """UTF-8 bytes of a text, and notes on what was not plain.

    UTF-8 with or without a byte-order mark, UTF-16 and UTF-32 with one; anything else is read in
    the frequent encoding that it seems to be in, which a note says.

    Raises:
        FileError: binary content.
    """
    text, notes = _transcode(name, content)
    if b"\0" in text:
        line = text[: text.index(b"\0")].count(b"\n") + 1
        raise FileError(
            f"{name}: line {line} holds a NUL byte; it is binary or UTF-16 without a byte-order "
            "mark: save it as UTF-8."
        )
    marks = CONTROLS
    if text.count(MARK) > text.count(b"\n"):  # it divides columns
        marks = marks.replace(MARK, b"")
    controls = len(text) - len(text.translate(None, marks))
    if controls > BINARY_SHARE * len(text):
        raise FileError(f"{name}: a binary file; save the table as CSV or Parquet.")
    if controls:
        notes.append(f"{controls} control characters were replaced by spaces")
        text = text.translate(bytes.maketrans(marks, b" " * len(marks)))
    return text, notes


def _transcode(name: str, content: bytes) -> tuple[bytes, list[str]]:
    for mark, encoding in BOMS.items():
        if content.startswith(mark):
            content = content[len(mark) :]
            if encoding == "utf-8":
                break
            try:
                return content.decode(encoding).encode("utf-8"), [f"read as {encoding.upper()}"]
            except UnicodeError:
                raise FileError(
                    f"{name}: its byte-order mark says {encoding.upper()}, but it is not; save it "
                    "as UTF-8."
                ) from None
    try:
        content.decode("utf-8")
        return content, []
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
    for encoding in [*_guessed(content), WESTERN]:
        try:
            text = content.decode(encoding).encode("utf-8")
        except UnicodeDecodeError:
            continue
        called = CALLED.get(encoding, encoding)
        return text, [f"not UTF-8 (line {line}), read as {called}; look at letters beyond a to z"]
    raise FileError(
        f"{name}: line {line} is neither UTF-8 nor Windows-1252; save the file as UTF-8."
    )


def _guessed(content: bytes) -> list[str]:
    """The encoding that lines beyond ASCII seem to be in, if it is one of the frequent ones."""
    lines = (line for line in content[:LOOKED].split(b"\n") if not line.isascii())
    some = b"\n".join(islice(lines, LINES))
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", some)]
    accents = runs.count(1) > len(runs) / 2  # among plain letters
    found = [
        match for match in from_bytes(some, cp_isolation=list(LATIN if accents else CALLED))
        if match.encoding in CALLED
    ]  # fmt: skip
    if not found:
        return []
    best = found[0]
    if accents and _as_good(some, best, found):
        return [WESTERN]
    return [best.encoding]


def _as_good(some: bytes, best: CharsetMatch, found: Sequence[CharsetMatch]) -> bool:
    """Whether the most frequent encoding reads the same, or about as well as the best."""
    try:
        if some.decode(WESTERN) == some.decode(best.encoding):
            return True
    except UnicodeDecodeError:
        return False
    western = next((match for match in found if match.encoding == WESTERN), None)
    return western is not None and (
        western.chaos <= best.chaos + CLOSE and western.coherence >= best.coherence - CLOSE
    )
