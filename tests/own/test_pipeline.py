"""What `mtrec check` calls fine runs through the cells of notebooks 01 to 05."""

import json
import os
import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mtrec import notebooks
from mtrec.own.check import check
from mtrec.own.new import new
from mtrec.own.table import FileError
from tests import language_model

ROOT = Path(__file__).resolve().parents[2]
SMALL = {  # what params.yaml says -> for a model that trains in a second
    r"resamples: 200": "resamples: 20", r"(?m)^  epochs: 40 ": "  epochs: 1 ",
    r"batch_size: 1024": "batch_size: 64", r"layer: 8 ": "layer: 2 ",
    r"components: 64": "components: 4", r"width: 32": "width: 4", r"units: (32|64) ": "units: 4 ",
    r"experts: 4": "experts: 2", r"length: 16 ": "length: 3 ",
}  # fmt: skip
SPANS = (0, 1, 60, 3_600, 90_000, 1_000_000, 100_000_000)  # seconds, first to last event


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A repository with small settings and a tiny language model."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "dvc.yaml", root)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for found, wanted in SMALL.items():
        params, count = re.subn(found, wanted, params)
        assert count, found
    (root / "params.yaml").write_text(params, encoding="utf-8")
    language_model.write(root / "data")
    return root


@pytest.fixture
def outside(monkeypatch, eagerly):
    """Cells run outside of a notebook, and as Python."""
    monkeypatch.setattr(notebooks, "setup", lambda *given, **named: None)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")


def make(root, tables):
    """Files of a domain and what `check` finds wrong with it."""
    for folder in ("artifacts", "models", "build"):
        shutil.rmtree(root / folder, ignore_errors=True)
    paths = {}
    for name, table in tables.items():
        paths[name] = root / f"{name}.csv"
        table.to_csv(paths[name], index=False)
    new("tiny", paths, {}, True, root)
    return [finding.line() for finding in check("tiny", root) if finding.level == "error"]


def run(root):
    """The cells of notebooks 01 to 05, in a repository at ``root``."""
    before = Path.cwd()
    os.chdir(root)
    try:
        for notebook in sorted((ROOT / "notebooks").glob("0[1-5]_*.ipynb")):
            found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
            cells = ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]
            names = {"display": lambda *shown: None}
            for cell in [cells[0], 'domain = "tiny"', *cells[1:]]:
                exec(compile(cell, notebook.name, "exec"), names)
    finally:
        os.chdir(before)
        plt.close("all")


@st.composite
def domains(draw):
    """Events, perhaps with items: few users, items and rows, odd columns, any span of time."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    users, items, rows = (draw(st.integers(1, most)) for most in (50, 50, 60))
    events = pd.DataFrame({
        "user_id": [f"u{n}" for n in rng.integers(0, users, rows)],
        "item_id": [f"i{n}" for n in rng.integers(0, items, rows)],
    })  # fmt: skip
    if draw(st.booleans()):
        seconds = np.sort(rng.random(rows)) * draw(st.sampled_from(SPANS))
        events["timestamp"] = (1_600_000_000 + seconds).astype(int)
    levels = draw(st.sampled_from([(), (3,), (0, 1), (1, 1, 1, 1, 1, 1, 1, 5), (1, 2, 3, 4, 5)]))
    if levels:
        events["rating"] = rng.choice(levels, rows)
    if draw(st.booleans()):
        events["bought"] = np.where(rng.random(rows) < draw(st.sampled_from([0.05, 0.5])), "y", "n")
    if draw(st.booleans()):
        return {"events": events}
    ids = pd.DataFrame({"item_id": [f"i{n}" for n in range(items)]})
    return {"events": events, "items": ids.assign(genre=rng.choice(["a", "b"], items), year=1990)}


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(tables=domains())
def test_what_check_calls_fine_can_be_trained_and_what_cannot_is_named(clone, outside, tables):
    try:
        errors = make(clone, tables)
    except FileError as error:
        errors = [str(error)]
    if errors:
        assert all(len(line) > 40 and line.endswith(".") for line in errors)
    else:
        run(clone)


def log(users, items, rows, span):
    """Events that are evenly spread over users, items and time."""
    number = np.arange(rows)
    return pd.DataFrame({
        "user_id": [f"u{n % users}" for n in number], "item_id": [f"i{n % items}" for n in number],
        "timestamp": 1_600_000_000 + number * span // rows, "liked": number % 3 == 0,
    })  # fmt: skip


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(log(1, 30, 60, 10**7), id="one user"),
        pytest.param(log(3, 3, 60, 3_600), id="three users and items within an hour"),
        pytest.param(log(60, 7, 60, 10**5).drop(columns="timestamp"), id="no times"),
    ],
)
def test_a_tiny_domain_runs_to_the_end(clone, outside, events):
    assert make(clone, {"events": events}) == []
    run(clone)
    assert (clone / "artifacts" / "tiny" / "evaluation" / "metrics.json").is_file()
