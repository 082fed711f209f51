"""Bytes of a text file -> clean UTF-8 bytes."""

from __future__ import annotations

import codecs

from mtrec.own.table import FileError

BOMS = {  # the four-byte marks first: UTF-16's is the beginning of UTF-32's
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
CONTROLS = bytes([*range(1, 9), 11, 12, *range(14, 32), 127])
SPACES = bytes.maketrans(CONTROLS, b" " * len(CONTROLS))
BINARY_SHARE = 0.01  # of control characters: a text has fewer


def to_utf8(name: str, content: bytes) -> tuple[bytes, list[str]]:
    """UTF-8 bytes of a text, and notes on what was not plain.

    UTF-8 with or without a byte-order mark, UTF-16 and UTF-32 with one; anything else is read as
    Windows-1252, which a note says.

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
    controls = len(text) - len(text.translate(None, CONTROLS))
    if controls > BINARY_SHARE * len(text):
        raise FileError(f"{name}: a binary file; save the table as CSV or Parquet.")
    if controls:
        notes.append(f"{controls} control characters were replaced by spaces")
        text = text.translate(SPACES)
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
    try:
        text = content.decode("cp1252").encode("utf-8")
    except UnicodeDecodeError:
        raise FileError(
            f"{name}: line {line} is neither UTF-8 nor Windows-1252; save the file as UTF-8."
        ) from None
    return text, [f"not UTF-8 (line {line}), read as Windows-1252; look at accented letters"]
