"""What the page says, from the Markdown of ``benchmarks/text``."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import pandas as pd

TEXT = Path(__file__).parents[1] / "text"


def sections(file: Path) -> dict[str, str]:
    """Text by heading of the second level, in order; what stands before the first is left out.

    Lines of a paragraph are put together, as the page has them.

    Raises:
        ValueError: a heading stands twice, or over nothing.
    """
    found: dict[str, str] = {}
    for part in f"\n{file.read_text(encoding='utf-8')}".split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        name = heading.strip(" `")
        paragraphs = (" ".join(lines.split()) for lines in body.strip().split("\n\n"))
        text = "\n\n".join(paragraphs)
        if name in found or not text:
            problem = "stands twice" if name in found else "stands over nothing"
            raise ValueError(f"{file}: heading '{name}' {problem}; leave one, with text below it.")
        found[name] = text
    return found


@cache
def known(name: str) -> Mapping[str, str]:
    """:func:`sections` of ``benchmarks/text/NAME.md``."""
    return sections(TEXT / f"{name}.md")


def question(protocol: str) -> str:
    """What a protocol asks; empty where nothing is written about it."""
    return _first(protocol, known("questions")).replace("{domain}", protocol.partition("_")[2])


def given(protocol: str) -> str:
    """What each side was given, and how often it could choose."""
    return _first(protocol, known("given"))


def leads(protocols: Collection[str]) -> list[str]:
    """What leads are likely due to, of the protocols that were measured."""
    return [
        f"{pattern}: {text}"
        for pattern, text in known("leads").items()
        if fnmatch.filter(protocols, pattern)
    ]


def reasons(missed: pd.DataFrame, texts: Mapping[str, str] | None = None) -> list[str]:
    """What is known of the misses, each once.

    Args:
        missed: ``protocol`` and ``metric`` of the targets that are missed.
        texts: by patterns of protocol and metric; those of ``misses.md`` if None.
    """
    texts = known("misses") if texts is None else texts
    names = [f"{protocol} {metric}" for protocol, metric in missed[["protocol", "metric"]].values]
    return [
        f"{pattern}: {text}" for pattern, text in texts.items() if fnmatch.filter(names, pattern)
    ]


def _first(protocol: str, texts: Mapping[str, str]) -> str:
    """The text of the first pattern that a protocol fits; empty if none."""
    return next((text for name, text in texts.items() if fnmatch.fnmatch(protocol, name)), "")
