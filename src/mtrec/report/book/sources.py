"""The folder that Sphinx makes the book of.

It holds the pages of ``docs/`` with their figures filled in, executed notebooks, cards and the
report of the benchmarks, with links between them. Nothing is trained or run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from mtrec.config import experiment
from mtrec.files import whole
from mtrec.report.book import cards
from mtrec.report.book.facts import BookError, Facts, facts, fill, markdown, read_notebook
from mtrec.report.book.links import PICTURES, headings, is_local, links, relink, resolve

DOMAINS = (
    "video", "ecommerce", "social_reviews", "social_trust", "education_courses",
    "education_mastery",
)  # fmt: skip
OWN = "bookshop"
OTHERS = {
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "how_benchmarks.md",
    "reports/benchmarks/README.md": "benchmarks.md",
    "README.md": "index.md",
}
GUIDE = ("results", "own_data", "tasks", "data", "scale", "limits")
HANDMADE = ("index", "article", "notebooks", "decisions", "test_rows")
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
EDGE = re.compile(r"^\s*([\w.]+)\S*? *--+>(?:\|(.+?)\|)? *(\w+)", re.MULTILINE)
Path_ = PurePosixPath


def write(root: Path, target: Path) -> None:
    """Write the sources of the book, and remove pages that are no longer in it.

    Args:
        root: of the repository.
        target: folder of the sources; Sphinx adds ``api`` to it, anew each time.

    Raises:
        BookError: a page names what is not known, claims what is no longer true, or a file that
            it shows is missing.
    """
    places, written = plan(root), set()

    def keep(file: Path, content: bytes) -> None:
        """Write only what changed: Sphinx reads again what is newer."""
        written.add(file)
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole(file) as temporary:
                temporary.write_bytes(content)

    for page, place in places.items():
        if page == Path_("README.md") or not (root / page).is_file():
            continue  # leads to the front page; or a notebook that another domain has
        if page.suffix == ".md":
            keep(target / place, relink(root, page, page_text(root, page), places).encode())
            for picture in _pictures(root, page):
                keep(target / PICTURES / picture, (root / picture).read_bytes())
        elif page.suffix == ".ipynb" and page.parts[0] == "reports":
            keep(target / place, notebook(root, page, places).encode())
    for name, text in all_cards(root).items():
        keep(target / "cards" / f"{name}.md", f"{text}\n".encode())
    for file in target.rglob("*"):
        if file.is_file() and file not in written:
            file.unlink()


def plan(root: Path) -> dict[PurePosixPath, PurePosixPath]:
    """Path within the repository -> path within the book, of all that a link may lead to."""
    docs = {page: page.relative_to("docs") for page in pages(root) if page.parts[0] == "docs"}
    found = docs | {Path_(page): Path_(place) for page, place in OTHERS.items()}
    executed = {
        Path_("reports", domain, file.name): Path_("reports", domain, file.name)
        for domain in (*DOMAINS, OWN)
        for file in sorted((root / "reports" / domain).glob("*.ipynb"))
    }
    for page in executed:  # a domain that has no such notebook leads to one that has
        for domain in DOMAINS:
            found.setdefault(Path_("reports", domain, page.name), page)
        found.setdefault(Path_("notebooks", page.name), page)
    for domain in DOMAINS:
        found[Path_("reports", domain)] = Path_("domains", f"{domain}.md")
        for card in (f"data_{domain}.md", f"model_{domain}.md"):  # made with the book
            found[Path_("docs", "cards", card)] = Path_("cards", card)
    for file in sorted((root / "src").rglob("*.py")):
        module = file.relative_to(root / "src").with_suffix("")
        parts = [part for part in module.parts if part != "__init__"]
        place = Path_("api", *parts, "index.rst")
        found[Path_(file.relative_to(root).as_posix())] = place
        if file.name == "__init__.py":
            found[Path_(file.parent.relative_to(root).as_posix())] = place
    return found | executed


def pages(root: Path) -> list[PurePosixPath]:
    """Pages that are written by hand or by the benchmarks, within the repository."""
    docs = sorted((root / "docs").rglob("*.md"))
    found = [Path_(file.relative_to(root).as_posix()) for file in docs]
    return found + [Path_(page) for page in OTHERS if page != "README.md"]


def page_text(root: Path, page: PurePosixPath) -> str:
    """A page with its figures, tables and lists filled in.

    Raises:
        BookError: a name is unknown or a claim no longer true.
    """
    text = (root / page).read_text(encoding="utf-8")
    text = MERMAID.sub(lambda found: _edges(found[1]), text)
    if page.parts[0] != "docs":
        return text
    blocks = {
        "guide": guide(root), "notebooks": notebooks_table(root), "cards": cards_list(),
        "quickstart": quickstart(root),
    }  # fmt: skip
    known: Facts = {}
    if page.parent == Path_("docs", "domains") and page.stem in DOMAINS:
        known = domain_facts(root, page.stem)
        run = experiment(page.stem, root)
        blocks = {
            "results": cards.results(known), "notebooks": _toctree(root, page.stem),
            "verdicts": cards.verdicts(run, known), "cards": _cards_of(page.stem),
            "together": cards.together(run, known),
        }  # fmt: skip
    return fill(str(page), text, known, blocks)


@cache
def domain_facts(root: Path, domain: str) -> Facts:
    """:func:`mtrec.report.book.facts.facts`, read once."""
    return facts(root, domain)


def all_cards(root: Path) -> dict[str, str]:
    """A data card and a model card of each domain, by name of their file."""
    words = cards.read_words(root / "docs" / "cards.yaml")
    found = {}
    for domain in DOMAINS:
        run, known = experiment(domain, root), domain_facts(root, domain)
        found[f"data_{domain}"] = cards.data_card(run, words[domain], known)
        found[f"model_{domain}"] = cards.model_card(run, words[domain], known)
    return found


def cards_list() -> str:
    """A table of contents of the cards."""
    names = [f"{kind}_{domain}" for domain in DOMAINS for kind in ("data", "model")]
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *names, "```"])


def _cards_of(domain: str) -> str:
    return f"[Data card](../cards/data_{domain}.md) · [model card](../cards/model_{domain}.md)"


@cache
def guide(root: Path) -> str:
    """A table of contents of the guide: the known pages first, then whatever else is there."""
    there = {page.stem for page in (root / "docs").glob("*.md")} - set(HANDMADE)
    names = [name for name in GUIDE if name in there] + sorted(there - set(GUIDE))
    own = f"reports/{OWN}/11_own_data"
    return "\n".join(
        ["```{toctree}", ":caption: Guide", ":hidden:", "", *names, own, "notebooks", "```"]
    )


def quickstart(root: Path) -> str:
    """Where to begin, if that notebook was executed."""
    page = f"reports/{DOMAINS[0]}/00_quickstart.ipynb"
    if not (root / page).is_file():
        return ""
    return f"- *What does it answer?* [The quick start](../{page}), which runs in a minute."


def _toctree(root: Path, domain: str) -> str:
    names = [file.stem for file in sorted((root / "reports" / domain).glob("*.ipynb"))]
    lines = [f"../reports/{domain}/{name}" for name in names]
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *lines, "```"])


@cache
def notebooks_table(root: Path) -> str:
    """Each notebook with its question and the domains that have it."""
    by_name: dict[str, list[str]] = {}
    for domain in (*DOMAINS, OWN):
        for file in sorted((root / "reports" / domain).glob("*.ipynb")):
            by_name.setdefault(file.name, []).append(domain)
    rows = []
    for name, domains in sorted(by_name.items()):
        source = read_notebook(root / "reports" / domains[0] / name)["cells"][0]["source"]
        title = headings("".join(source))[0][1]
        there = ", ".join(f"[{domain}](../reports/{domain}/{name})" for domain in domains)
        rows.append([title, there])
    return markdown(["notebook", "executed in"], *rows)


def notebook(root: Path, page: PurePosixPath, places: dict[PurePosixPath, PurePosixPath]) -> str:
    """An executed notebook with links of the book and words for its pictures."""
    found = read_notebook(root / page)
    found["cells"] = [cell for cell in found["cells"] if not _repeats_parameters(cell)]
    for cell in found["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = relink(root, page, "".join(cell["source"]), places)
        for output in cell.get("outputs", ()):
            alt = _alt(output.get("data", {}))
            if alt:
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    return json.dumps(found, ensure_ascii=False)


def _repeats_parameters(cell: dict) -> bool:
    return "injected-parameters" in cell["metadata"].get("tags", ())


def _alt(data: dict) -> str:
    """What a figure shows, by its title."""
    if "image/png" not in data:
        return ""
    return "".join(data.get("text/plain", "figure")).removeprefix("[figure] ")


def _edges(mermaid: str) -> str:
    """The edges of a diagram as a list: to draw it takes a script from elsewhere."""
    lines = [
        f"- `{start}` → `{end}`" + (f": {words}" if words else "")
        for start, words, end in EDGE.findall(mermaid)
    ]
    return "\n".join(lines)


def _pictures(root: Path, page: PurePosixPath) -> Iterator[PurePosixPath]:
    for file in pictures((root / page).read_text(encoding="utf-8")):
        path = resolve(root, page, file)
        if not (root / path).is_file():
            raise BookError(f"{page}: the picture {file} is missing; restore it from git.")
        yield path


def pictures(text: str) -> Iterator[str]:
    """Local images of a page."""
    for words, target in links(text):
        if words.startswith("!") and is_local(target):
            yield target
