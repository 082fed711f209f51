"""Figures of executed notebooks: there, once, small, and no business of nbval."""

import base64
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mtrec.report.plots import NOT_DRAWN
from tests.run_nbval import run

ROOT = Path(__file__).resolve().parents[1]
EXECUTED = sorted((ROOT / "reports").glob("*/*.ipynb"))
DRAWS = re.compile(r"\b(plots|figures)\.save\(")
CELLS = (
    "from pathlib import Path\n"
    "import matplotlib.pyplot as plt\n"
    "from mtrec.report import notebooks\n"
    "from mtrec.report import plots\n\n"
    "notebooks.setup(tensorflow=False)",
    "figure, axes = plt.subplots()\n"
    "axes.set_title('two points')\n"
    "axes.plot([1, 2])\n"
    "print('2 points')\n"
    "plots.save(figure, Path('line.png'))",
    "plots.save(plots.NotDrawn('nobody came.'), Path('line.png'))",
    "_ = plt.plot([1, 2])",
)


def pictures(cell):
    """PNG images that a cell shows."""
    return [
        base64.b64decode("".join(output["data"]["image/png"]))
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]


def refusals(cell):
    """Sentences of a cell that say why nothing is drawn."""
    texts = ["".join(output.get("data", {}).get("text/plain", "")) for output in cell["outputs"]]
    return [text for text in texts if text.startswith(NOT_DRAWN)]


def drawing(path):
    """Cells of an executed notebook that save a figure."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [c for c in cells if c["cell_type"] == "code" and DRAWS.search("".join(c["source"]))]


@pytest.mark.parametrize("path", EXECUTED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_cell_that_saves_a_figure_shows_it_once_or_says_why_not(path):
    for cell in drawing(path):
        source = "".join(cell["source"])
        shown = len(pictures(cell)) + len(refusals(cell))
        assert shown >= 1 if "for " in source else shown == 1, source
    assert path.stat().st_size <= 1.5e6


@pytest.mark.parametrize("folder", sorted((ROOT / "reports").glob("*/figures")), ids=str)
def test_files_of_figures_are_those_that_the_notebooks_show(folder):
    if folder.parent.name == "benchmarks":
        return  # its page is no notebook
    notebooks = sorted(folder.parent.glob("*.ipynb"))
    shown = {png for path in notebooks for cell in drawing(path) for png in pictures(cell)}
    strangers = [f.name for f in sorted(folder.glob("*.png")) if f.read_bytes() not in shown]
    assert not strangers, "no notebook shows these; run it again, or delete what it no longer draws"
    assert len(shown) == len(list(folder.glob("*.png")))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook of a few figures, run in a shell that asks for no pictures."""
    folder = tmp_path_factory.mktemp("figures")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        NotebookClient(
            notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return notebook


def test_figures_show_once_even_where_the_shell_asks_for_none(executed):
    ours, none, plain = executed.cells[1:]
    assert len(pictures(ours)) == 1
    assert len(refusals(none)) == 1
    assert len(pictures(plain)) == 1  # by the inline backend


def altered(executed, path, name, value):
    """Write the notebook with one output of its second cell replaced; the name of its file."""
    notebook = nbformat.from_dict(json.loads(nbformat.writes(executed)))
    for output in notebook.cells[1].outputs:
        if name in output:
            output[name] = value
        if name in output.get("data", {}):
            output["data"][name] = value
    nbformat.write(notebook, path)
    return path.name


def test_nbval_compares_what_a_cell_with_a_figure_prints_and_no_images(executed, tmp_path, capfd):
    names = [
        altered(executed, tmp_path / "image.ipynb", "image/png", "AAAA"),
        altered(executed, tmp_path / "text.ipynb", "text", "3 points\n"),
    ]
    assert run(tmp_path, names) == 1
    said = capfd.readouterr().out
    assert "text.ipynb::Cell 1" in said
    assert "1 failed, 7 passed" in said
