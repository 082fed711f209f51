"""``python check_site.py FOLDER``: links within a built site lead somewhere; it loads no other."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the names that a link to it may have behind its ``#``."""

    def __init__(self, file: Path):
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = {""}
        self.silent: list[str] = []
        self.elsewhere: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, a picture without words, and a name."""
        found = dict(attrs)
        self.targets += [found[key] or "" for key in ("href", "src") if key in found]
        self.names |= {found[key] or "" for key in ("id", "name") if key in found}
        loaded = found.get("href" if tag == "link" else "src") or ""
        if tag in ("script", "img", "iframe", "link") and urlsplit(loaded).netloc:
            self.elsewhere.append(loaded)
        if tag == "img" and not found.get("alt"):
            self.silent.append(found.get("src") or "")


def faults(folder: Path) -> list[str]:
    """A sentence for each link that leads nowhere, and each picture without words.

    A book is read without a network, so nothing may be loaded from elsewhere either.
    """
    pages = {file.resolve(): Page(file) for file in sorted(folder.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        where = file.relative_to(folder.resolve())
        found += [f"{where}: the picture {source} has no words" for source in page.silent]
        found += [f"{where}: {source} is loaded from elsewhere" for source in page.elsewhere]
        for target in dict.fromkeys(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target in ("", "#"):
                continue
            path = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not path.is_file():
                found.append(f"{where}: {target} is no file")
            elif path in pages and unquote(parts.fragment) not in pages[path].names:
                found.append(f"{where}: {target} names nothing on that page")
    return found


if __name__ == "__main__":
    said = faults(Path(sys.argv[1]))
    if said:
        sys.exit("\n".join(said))
