"""Links between files of the repository, turned into links between pages of the book."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
PICTURES = "pictures"  # folder of the book


def prose(text: str) -> str:
    """Markdown without its blocks of code."""
    return FENCE.sub("", text)


def links(text: str) -> Iterator[tuple[str, str]]:
    """Words and targets of the links and images of a page."""
    for found in LINK.finditer(prose(text)):
        yield found[1], found[2]


def is_local(target: str) -> bool:
    """Whether a link stays within the repository."""
    return not re.match(r"[a-z][a-z+.-]*:", target)


def headings(text: str) -> list[tuple[int, str]]:
    """Level and words of the headings of a page, in order."""
    found = re.findall(r"^(#{1,6}) +(.+?) *#*$", prose(text), re.MULTILINE)
    return [(len(marks), words) for marks, words in found]


def anchors(text: str) -> set[str]:
    """Names that a link may have behind its ``#``, as GitHub and MyST make them of headings.

    Example:
        >>> sorted(anchors("# Tried, not kept\\n## Tried, not kept"))
        ['tried-not-kept', 'tried-not-kept-1']
    """
    found: set[str] = set()
    for _, words in headings(text):
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "]", words).lower())
        name = plain.replace(" ", "-")
        number, unique = 0, name
        while unique in found:
            number += 1
            unique = f"{name}-{number}"
        found.add(unique)
    return found


def resolve(root: Path, page: PurePosixPath, target: str) -> PurePosixPath:
    """The path of a link's file within the repository."""
    file = target.partition("#")[0]
    joined = os.path.normpath(root / page.parent / file) if file else root / page
    return PurePosixPath(os.path.relpath(joined, root))


def relink(
    root: Path, page: PurePosixPath, text: str, places: Mapping[PurePosixPath, PurePosixPath]
) -> str:
    """A page whose links lead to where things lie in the book.

    What is not in the book stays as words: a link to a file of code or settings would lead
    nowhere.

    Args:
        root: of the repository.
        page: within the repository.
        text: of the page.
        places: path within the repository -> path within the book.
    """
    here = places[page].parent

    def one(found: re.Match[str]) -> str:
        words, target = found[1], found[2]
        if not is_local(target) or target.startswith("#"):
            return found[0]
        file = resolve(root, page, target)
        place = PurePosixPath(PICTURES, file) if words[0] == "!" else places.get(file)
        if place is None:
            return words[1:-1]
        anchor = target.partition("#")[2] if place.suffix == ".md" else ""
        path = os.path.relpath(place, here) + (f"#{anchor}" if anchor else "")
        return f"{words}({path})"

    parts, last = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(one, text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, LINK.sub(one, text[last:])])
