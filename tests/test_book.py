"""The book: its pages, links, pictures and cards, without the program that sets it."""

import importlib.util
import json
import re
from pathlib import PurePosixPath
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from mtrec.metrics.families import MAIN_METRIC
from mtrec.report.book import cards, facts, links, sources
from mtrec.report.book.facts import BookError, fill
from tests.stage_inputs import ROOT

TOCTREE = re.compile(r"```\{toctree\}\n(.*?)```", re.DOTALL)
IMAGE = re.compile(r"<img\b[^>]*>")
PAGES = sorted({*map(str, sources.pages(ROOT)), "README.md"})


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The sources that Sphinx gets."""
    folder = tmp_path_factory.mktemp("book")
    sources.write(ROOT, folder)
    return folder


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def entries(text):
    """Pages that the tables of contents of a page name."""
    for block in TOCTREE.findall(text):
        lines = [line.strip() for line in block.splitlines()]
        for line in filter(None, lines):
            if not line.startswith(":"):
                yield re.sub(r".*<(.*)>", r"\1", line)


def test_every_page_is_reached_from_the_front_page(book):
    there = {
        file.relative_to(book).with_suffix("").as_posix(): file
        for file in book.rglob("*") if file.suffix in (".md", ".ipynb")
    }  # fmt: skip
    found, waiting = set(), ["index"]
    while waiting:
        page = waiting.pop()
        if page in found or page not in there:
            continue
        found.add(page)
        folder = PurePosixPath(page).parent
        for entry in entries(there[page].read_text(encoding="utf-8")):
            waiting.append(links.resolve(book, folder / "x", entry).as_posix())
    assert found == set(there)


def test_tables_of_contents_name_pages_that_are_there(book):
    for file in book.rglob("*.md"):
        for entry in entries(file.read_text(encoding="utf-8")):
            found = [file.parent / f"{entry}{suffix}" for suffix in (".md", ".ipynb")]
            assert any(path.is_file() for path in found), f"{file.name}: {entry} is no page"


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page):
    for words, target in links.links(read(page)):
        if not links.is_local(target):
            continue
        file = links.resolve(ROOT, PurePosixPath(page), target)
        assert (ROOT / file).exists(), f"{page}: {words}({target}) leads nowhere"
        anchor = target.partition("#")[2]
        if anchor and file.suffix == ".md":
            assert anchor in links.anchors(read(file)), f"{page}: {target} names no heading"


def test_the_readme_links_no_page_that_the_book_fills_in():
    for words, target in links.links(read("README.md")):
        file = links.resolve(ROOT, PurePosixPath("README.md"), target)
        if links.is_local(target) and file.suffix == ".md":
            text = re.sub(r"`[^`\n]+`", "", read(file))
            assert "{{" not in text, f"{words}({target}) shows placeholders to who reads it there"


@pytest.mark.parametrize("page", PAGES)
def test_a_link_to_a_notebook_leads_to_an_executed_one(page):
    for words, target in links.links(read(page)):
        if links.is_local(target) and target.endswith(".ipynb"):
            file = links.resolve(ROOT, PurePosixPath(page), target)
            assert file.parts[0] == "reports", f"{page}: {words}({target}) has no results"


def test_links_of_the_book_lead_to_pages_of_the_book(book):
    for file in book.rglob("*.md"):
        for words, target in links.links(file.read_text(encoding="utf-8")):
            if links.is_local(target) and not target.startswith("#"):
                path = links.resolve(book, PurePosixPath(file.relative_to(book)), target)
                api = path.parts[0] == "api"  # made by Sphinx
                assert api or (book / path).is_file(), f"{file.name}: {words}({target})"


@pytest.mark.parametrize("page", PAGES)
def test_headings_begin_with_one_title_and_skip_no_level(page):
    levels = [level for level, _ in links.headings(read(page))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("page", PAGES)
def test_a_picture_says_in_words_what_it_shows(page):
    text = read(page)
    for words, target in links.links(text):
        assert words != "![]", f"{page}: {target} has no words for who cannot see it"
    for tag in IMAGE.findall(text):
        assert re.search(r'alt="[^"]+"', tag), f"{page}: {tag} has no words"


def test_a_figure_of_a_notebook_is_described_by_its_title(book):
    notebook = json.loads((book / "reports/video/05_evaluation.ipynb").read_text())
    said = [
        cell["metadata"]["mystnb"]["image"]["alt"]
        for cell in notebook["cells"] if "mystnb" in cell["metadata"]
    ]  # fmt: skip
    assert "video: gain of joint over single-task, test rows" in said


def test_every_built_in_domain_has_a_page_and_cards(book):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())["domains"]
    assert tuple(n for n, domain in params.items() if "module" not in domain) == sources.DOMAINS
    for domain in sources.DOMAINS:
        for page in ("domains/{}.md", "cards/data_{}.md", "cards/model_{}.md"):
            assert (book / page.format(domain)).is_file()


@pytest.mark.parametrize("domain", sources.DOMAINS)
def test_cards_say_what_the_results_say(book, domain):
    metrics = json.loads((ROOT / "reports" / domain / "metrics.json").read_text())
    card = (book / "cards" / f"model_{domain}.md").read_text()
    assert f"| trained parameters | {metrics['parameters']:,} |" in card
    assert f"Training took {metrics['seconds']['training']:.0f} seconds" in card
    rows = {line.split(" | ")[0][2:]: line for line in card.splitlines() if line.startswith("| ")}
    for name, task in metrics["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        for system in ("baseline", "single", "joint", *task["peers"]):
            found = task[system][metric]
            shown = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**found)
            assert shown in rows[name], f"{name} {system}"


def test_the_data_card_counts_the_rows_of_the_executed_notebook(book):
    card = (book / "cards" / "data_video.md").read_text()
    assert "| `events` | 100,000 |" in card
    assert "| test | 10,168 |" in card


def test_a_gain_is_positive_where_less_is_better():
    gain = facts._gain({"value": -0.2, "low": -0.3, "high": -0.1}, "rmse")
    assert gain == {"value": 0.2, "low": 0.1, "high": 0.3}


def test_a_page_may_name_what_a_fusion_answers_and_its_gain(tmp_path):
    score = {"rmse": {"value": 0.5, "low": 0.4, "high": 0.6}}
    gain = {"rmse": {"value": -0.2, "low": -0.3, "high": -0.1}}
    task = {
        "type": "regression", "answer": score, "peer": score, "peer_difference": gain,
        "test": {"ease": 0.5}, "best_peer": "ease",
    }  # fmt: skip
    file = tmp_path / "fusion.json"
    file.write_text(json.dumps({"tasks": {"rating": task}}))
    known = {"fusion": facts._fusion(file)}
    text = "{{fusion.rating.answer.value}} <!-- holds: fusion.rating.peer_gain.low > 0 -->"
    assert fill("a.md", text, known) == "0.500"
    assert facts._fusion(tmp_path / "none.json") == {}


@pytest.mark.parametrize("seeds", [1, 3])
def test_joint_training_has_a_verdict_only_where_there_are_several_trainings(
    monkeypatch, tmp_path, seeds
):
    row = {"task": "rating", "metric": "rmse", "system": "difference", "value": -0.2,
           "low": -0.25, "high": -0.15}  # fmt: skip
    rows = pd.DataFrame([{**row, "seed": n, "key": str(n)} for n in range(seeds)])
    rows.to_csv(tmp_path / "shop_controls.csv", index=False)
    plan = SimpleNamespace(
        file=lambda run: tmp_path / "shop_controls.csv", keys=lambda run: {},
        results=lambda run, keys: rows,
    )  # fmt: skip
    monkeypatch.setattr(cards.controls_plan, "PLAN", plan)
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    known = {"rating": {"type": "regression", "metric": "rmse", "single": score, "joint": score}}
    said = cards.together(SimpleNamespace(name="shop"), known)
    verdict = "Joint training helps 1 of 1 task (rating) and hurts none."
    assert (verdict in said) == (seeds > 1)
    assert ("no verdict" in said and "`rating` 0.500 alone and 0.500 together" in said) == (
        seeds == 1
    )


def test_a_page_that_names_an_unknown_figure_is_refused():
    with pytest.raises(BookError, match=r"a\.md: 'x\.z' is unknown: no 'z' among y"):
        fill("a.md", "{{x.z}}", {"x": {"y": 1.0}})


def test_a_sentence_that_is_no_longer_true_is_refused_by_its_words():
    known = {"x": {"value": 0.1, "low": 0.0, "high": 0.2}}
    assert fill("a.md", "Good. <!-- holds: x > 0 -->", known) == "Good."
    with pytest.raises(BookError, match=r"no longer true: x > 0\.5 .*'It is good\.'"):
        fill("a.md", "It is good. <!-- holds: x > 0.5 -->", known)


def test_what_stands_in_code_is_not_filled():
    assert fill("a.md", "`{{x}} <!-- holds: x > 1 -->`", {}) == "`{{x}} <!-- holds: x > 1 -->`"


def test_a_domain_without_several_trainings_gets_no_verdict():
    class Run:
        name = "shop"

    assert "allows no verdict" in cards.verdicts(Run, {"said": {}})
    assert cards.verdicts(Run, {"said": {"12_controls": ["a", "b"]}}) == "- a\n- b"


def test_a_link_to_a_file_that_is_not_in_the_book_stays_as_words():
    places = {PurePosixPath("docs/a.md"): PurePosixPath("a.md")}
    places[PurePosixPath("docs/c/b.md")] = PurePosixPath("c/b.md")
    text = "[b](c/b.md#x) and [code](../src/x.py)\n```\n[b](c/b.md)\n```\n"
    found = links.relink(ROOT, PurePosixPath("docs/a.md"), text, places)
    assert found == "[b](c/b.md#x) and code\n```\n[b](c/b.md)\n```\n"


def test_a_diagram_becomes_a_list_of_its_edges():
    edges = sources._edges("flowchart LR\n  raw[(data/)] --> domains\n  a.b-->|four tables| b\n")
    assert edges == "- `raw` → `domains`\n- `a.b` → `b`: four tables"


def test_the_lock_pins_what_the_book_names_and_its_theme_is_one_of_them():
    lock = read("requirements-book.lock")
    asked = [line for line in read("requirements-book.in").splitlines() if line[:1] != "#"]
    assert all(re.search(rf"^{name}==", lock, re.MULTILINE) for name in asked)
    theme = re.search(r'html_theme = "(\w+)"', read("docs/conf.py"))[1]
    assert theme in asked


def extension(name):
    """A module beside the settings of the book."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_built_site_is_searched_for_dead_links_silent_pictures_and_what_is_elsewhere(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y"></a><a href="c.html"></a><a href="#x"></a>'
        '<img src="b.html"><img alt="two" src="b.html"><script src="https://cdn.org/s.js"></script>'
    )
    (tmp_path / "b.html").write_text('<a href="a.html#x"></a><a href="https://a.org/b"></a>')
    assert extension("check_site").faults(tmp_path) == [
        "a.html: the picture b.html has no words",
        "a.html: https://cdn.org/s.js is loaded from elsewhere",
        "a.html: b.html#y names nothing on that page",
        "a.html: c.html is no file",
    ]


@pytest.mark.parametrize(
    ("formula", "found"),
    [(r"\frac12 \alpha", r"\frac{1}{2} \alpha"), (r"\tfrac1T", r"\tfrac{1}{T}"),
     (r"\frac{a}{b}", r"\frac{a}{b}"), (r"x_1 \dots \big(x", r"x_1 \ldots (x")],
)  # fmt: skip
def test_a_formula_is_spelt_as_its_converter_reads_it(formula, found):
    assert extension("formulas").spelt(formula) == found


def test_the_citation_is_complete():
    found = yaml.safe_load(read("CITATION.cff"))
    needed = {"cff-version", "title", "message", "authors", "version", "license", "abstract"}
    assert needed <= set(found)
    assert f'version = "{found["version"]}"' in read("pyproject.toml")
    assert f'license = "{found["license"]}"' in read("pyproject.toml")


def test_a_cloud_editor_makes_the_environment_with_a_python_that_is_allowed():
    found = json.loads(read(".devcontainer/devcontainer.json"))
    assert found["postCreateCommand"] == "make setup"
    assert found["image"].rpartition(":")[2] in ("3.11", "3.12", "3.13")
