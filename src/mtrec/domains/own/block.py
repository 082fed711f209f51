"""A domain's block in ``params.yaml``: put in or taken out as lines, all else byte for byte.

Where keys stand is said by ruamel.yaml's parser. Its writer keeps comments, too, but lays lines out
anew, and loses the comment below a key that goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.comments import CommentedMap

from mtrec.config import read_params
from mtrec.files import whole
from mtrec.paths import ConfigError

KEY = "domains"


def insert(text: str, block: str) -> str:
    """``text`` with ``block`` at the end of its ``domains:``.

    Raises:
        ConfigError: there is no ``domains:`` with a domain a line.

    Example:
        >>> insert("domains:\\n  a: {}\\n\\nseed: 1\\n", "  b: {}\\n")
        'domains:\\n  a: {}\\n\\n  b: {}\\n\\nseed: 1\\n'
    """
    lines, found = parsed(text)
    end = end_of(lines, found, KEY)
    while not lines[end - 1].strip():
        end -= 1
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    gap = "\n" if found[KEY] else ""
    return "".join([*lines[:end], gap + block, *lines[end:]])


def remove(text: str, domain: str) -> str:
    """``text`` without the block of ``domain``, if there is one.

    Example:
        >>> remove("domains:\\n  a: {}\\n\\n  b:\\n    c: 1\\n", "b")
        'domains:\\n  a: {}\\n'
    """
    lines, found = parsed(text)
    domains = found[KEY]
    if not domains or domain not in domains:
        return text
    start, last = domains.lc.key(domain)[0], end_of(lines, found, KEY)
    end = min(end_of(lines, domains, domain), last)
    if end < last:  # another follows, which keeps the empty line before it
        return "".join([*lines[:start], *lines[end:]])
    while not lines[end - 1].strip():
        end -= 1
    while not lines[start - 1].strip():
        start -= 1
    return "".join([*lines[:start], *lines[end:]])


def replace(file: Path, text: str) -> None:
    """Write ``text`` to a parameter file if it can be read back; the old one stays otherwise.

    Raises:
        ConfigError: the new text is not a valid parameter file.
    """
    with whole(file) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            out.write(text)
        read_params(temporary)


def parsed(text: str) -> tuple[list[str], CommentedMap]:
    """Lines, and the keys with the places where they stand."""
    try:
        found = YAML().load(text)
    except YAMLError as error:
        raise ConfigError(f"params.yaml: not YAML ({str(error).splitlines()[0]}).") from None
    domains = found.get(KEY) if isinstance(found, CommentedMap) else ""
    block = isinstance(domains, CommentedMap) and not domains.fa.flow_style()
    if not (block or (domains is None and KEY in found)):
        raise ConfigError(
            "params.yaml: there is no line 'domains:' with a domain on each line below; restore it "
            "from git."
        )
    return text.splitlines(keepends=True), found


def end_of(lines: Sequence[str], mapping: CommentedMap, key: str) -> int:
    """The line after a key's value; comments right above the next key belong to that."""
    keys = list(mapping)
    if key == keys[-1]:
        return len(lines)
    line, indent = mapping.lc.key(keys[keys.index(key) + 1])
    while lines[line - 1].startswith(" " * indent + "#"):
        line -= 1
    return line
