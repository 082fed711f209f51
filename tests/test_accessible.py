"""For who reads in the dark, on a small screen, or with their ears."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from mtrec.report import plots
from mtrec.report.book.links import headings, links
from tests.stage_inputs import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIGURES = sorted([*(ROOT / "docs").rglob("*.png"), *(ROOT / "reports").rglob("*.png")])
DOCS = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))
WHITE = 250  # of 255
SHOTS = {"docs/figures/page.png": 240}  # pictures of pages, whose grounds are their own


def words(path: Path) -> str:
    """The Markdown of a notebook, one cell after the other."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def ground(path: Path) -> tuple[bool, int]:
    """Whether a picture lets the page shine through, and how light its darkest corner is."""
    with Image.open(path) as image:
        through = "transparency" in image.info or image.mode in ("LA", "RGBA", "PA")
        grey = image.convert("L")
        right, bottom = image.width - 1, image.height - 1
        corners = [grey.getpixel((x, y)) for x in (0, right) for y in (0, bottom)]
    return through, min(corners)


def test_a_figure_has_a_white_ground_of_its_own_on_dark_pages_too():
    assert len(FIGURES) > 50
    grounds = {str(file.relative_to(ROOT)): ground(file) for file in FIGURES}
    faults = [
        name
        for name, (through, light) in grounds.items()
        if through or light < SHOTS.get(name, WHITE)
    ]
    assert not faults, "these would be dark on dark: save them with mtrec.report.plots.save"


def test_a_figure_that_is_drawn_without_a_ground_is_saved_with_one(tmp_path):
    figure, axes = plt.subplots()
    figure.patch.set_alpha(0.0)
    axes.set_title("clear")
    plots.save(figure, tmp_path / "clear.png")
    assert ground(tmp_path / "clear.png") == (False, 255)


def test_a_picture_that_shines_through_is_found(tmp_path):
    Image.new("RGBA", (4, 4), (255, 255, 255, 0)).save(tmp_path / "glass.png")
    assert ground(tmp_path / "glass.png")[0]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *DOCS])
def test_a_page_sets_no_colours_of_its_own(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [mark for mark in ("style=", "<font", "bgcolor", "color:") if mark in text]
    assert not found, f"{page}: {found[0]} is read on one ground only; leave colours to the theme"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_begins_with_its_one_title_and_skips_no_level_of_headings(path):
    levels = [level for level, _ in headings(words(path))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_picture_in_a_notebooks_prose_says_what_it_shows(path):
    text = words(path)
    assert "<img" not in text, "write ![what it shows](file), which has room for words"
    assert all(said != "![]" for said, _ in links(text))


def test_a_figure_is_described_by_its_title_which_is_never_empty(tmp_path):
    figure, axes = plt.subplots()
    axes.set_title("video: gain by task")
    assert repr(plots.save(figure, tmp_path / "x.png")) == "[figure] video: gain by task"
    for path in sorted((ROOT / "reports").glob("*/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                if "image/png" in output.get("data", {}):
                    title = "".join(output["data"]["text/plain"])
                    assert title.removeprefix("[figure]").strip(), path
