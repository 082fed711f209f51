"""A domain's block in ``params.yaml``: put in or taken out as text, all else byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

from mtrec.config import read_params
from mtrec.files import whole
from mtrec.paths import ConfigError

DOMAINS = re.compile(r"^domains:[ \t]*(#.*)?\r?$", re.MULTILINE)


def insert(text: str, block: str) -> str:
    """``text`` with ``block`` at the end of its ``domains:``.

    Raises:
        ConfigError: there is no ``domains:`` on a line of its own.

    Example:
        >>> insert("domains:\\n  a: {}\\n\\nseed: 1\\n", "  b: {}\\n")
        'domains:\\n  a: {}\\n\\n  b: {}\\n\\nseed: 1\\n'
    """
    start, end = _domains(text)
    body = text[start:end]
    kept = body.rstrip()
    gap = body[len(kept) :]
    if not kept:
        return text[:start] + "\n" + block + gap.lstrip("\n") + text[end:]
    return text[:start] + kept + "\n\n" + block + gap[1:] + text[end:]


def remove(text: str, domain: str) -> str:
    """``text`` without the block of ``domain``, if there is one.

    Example:
        >>> remove("domains:\\n  a: {}\\n\\n  b:\\n    c: 1\\n", "b")
        'domains:\\n  a: {}\\n'
    """
    start, end = _domains(text)
    own = re.compile(
        rf"^ {{2}}{re.escape(domain)}:[^\n]*\n((?: {{3,}}[^\n]*)?\n)*(?: {{3,}}[^\n]+\Z)?",
        re.MULTILINE,
    )
    found = own.search(text, start, end)
    if found is None:
        return text
    rest = text[found.end() :]
    before = text[: found.start()]
    if rest.startswith("  "):  # another domain follows: keep the empty line before it
        return before + rest
    blank = found.group()[len(found.group().rstrip()) + 1 :]
    return before.rstrip() + "\n" + blank + rest


def replace(file: Path, text: str) -> None:
    """Write ``text`` to a parameter file if it can be read back; the old one stays otherwise.

    Raises:
        ConfigError: the new text is not a valid parameter file.
    """
    with whole(file) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            out.write(text)
        read_params(temporary)


def _domains(text: str) -> tuple[int, int]:
    """Where the body of ``domains:`` begins (its first newline) and ends."""
    found = DOMAINS.search(text)
    if found is None:
        raise ConfigError(
            "params.yaml: there is no line 'domains:' at the left margin; restore it from git."
        )
    after = re.compile(r"^[^\s#]", re.MULTILINE).search(text, found.end() + 1)
    end = after.start() if after else len(text)
    while after:  # comments and empty lines above the next key belong to it
        line = text.rfind("\n", 0, end - 1) + 1
        above = text[line:end].strip()
        if line <= found.end() or (above and not text[line:end].startswith("#")):
            break
        end = line
    return found.end(), end
