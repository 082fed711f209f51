import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from mtrec.report import notebooks, readme

SOURCES = Path(__file__).resolve().parents[1] / "notebooks"


def executed(path, start, end):
    cell = nbformat.v4.new_code_cell("1", metadata={"papermill": {"duration": 1}, "tags": ["x"]})
    times = {"start_time": start, "end_time": end}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": times})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def test_two_runs_leave_the_same_bytes_and_the_time_goes_to_metrics(tmp_path):
    path = tmp_path / "reports" / "video" / "04_training.ipynb"
    executed(path, "2026-01-01T00:00:00", "2026-01-01T00:00:07")
    notebooks.tidy(path)
    first = path.read_bytes()
    executed(path, "2026-02-02T00:00:00", "2026-02-02T00:00:09")
    notebooks.tidy(path)
    assert path.read_bytes() == first
    assert b"papermill" not in first
    metrics = json.loads((path.parent / "metrics.json").read_text())
    assert metrics["seconds"] == {"training": 9.0}


def test_results_are_merged_and_times_of_other_stages_kept(tmp_path):
    folder = tmp_path / "artifacts" / "video" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"domain": "video", "tasks": {}}')
    path = tmp_path / "reports" / "video" / "05_evaluation.ipynb"
    path.parent.mkdir(parents=True)
    (path.parent / "metrics.json").write_text('{"seconds": {"training": 3}}')
    executed(path, "2026-01-01T00:00:00", "2026-01-01T00:00:07")
    notebooks.tidy(path)
    metrics = json.loads((path.parent / "metrics.json").read_text())
    assert metrics == {
        "seconds": {"training": 3, "evaluation": 7.0}, "domain": "video", "tasks": {},
    }  # fmt: skip


def test_tables_have_rounded_numbers_and_stable_bytes():
    frame = pd.DataFrame({"x": [1234.5678, None], "n": [12345, 1], "s": ["a", None]})
    html = notebooks.show(frame).data
    assert "1,234.568" in html
    assert "12,345" in html
    assert "NaN" not in html
    assert html == notebooks.show(frame).data


def test_section_between_markers_is_replaced_and_missing_markers_are_named():
    text = "a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb"
    found = readme.insert(text, "results", "new")
    assert found == "a\n<!-- results:begin -->\nnew\n<!-- results:end -->\nb"
    with pytest.raises(ValueError, match="markers <!-- graph:begin -->"):
        readme.insert(text, "graph", "new")


def test_pieces_of_one_stream_are_joined_and_others_stay_apart(tmp_path):
    pieces = [("stdout", "a"), ("stdout", "b\n"), ("stderr", "c"), ("stdout", "d")]
    cell = nbformat.v4.new_code_cell(
        "", outputs=[nbformat.v4.new_output("stream", name=n, text=t) for n, t in pieces]
    )
    file = tmp_path / "01_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), file)
    notebooks.tidy(file)
    outputs = nbformat.read(file, 4).cells[0].outputs
    assert [(o.name, o.text) for o in outputs] == [
        ("stdout", "ab\n"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


def test_notebooks_that_say_that_they_need_no_tensorflow_import_none():
    imports = set()
    for path in SOURCES.glob("*.ipynb"):
        lines = [
            line.strip()
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            for line in cell["source"]
        ]
        if "notebooks.setup(tensorflow=False)" in lines:
            imports |= {line for line in lines if line.startswith("from mtrec")}
    code = [
        *sorted(imports),
        "import sys",
        "sys.exit(len({'keras', 'tensorflow'} & {*sys.modules}))",
    ]
    assert len(imports) > 5
    subprocess.run([sys.executable, "-c", "\n".join(code)], check=True, stderr=subprocess.DEVNULL)
