import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.ask import OURS, ask, interpreter, search, variables
from tests.conftest import ROOT

EXCHANGE = ROOT / "benchmarks" / "systems" / "exchange.py"
DOUBLE = """
import time
import exchange
arrays, options = exchange.given()
started = time.monotonic() - 5.0
exchange.answer("numpy", started, twice=options["factor"] * arrays["x"])
"""


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "benchmarks" / "systems"
    folder.mkdir(parents=True)
    shutil.copy(EXCHANGE, folder)
    (folder / "double.py").write_text(DOUBLE)
    (folder / "fails.py").write_text("raise SystemExit('no such option: colour')")
    return tmp_path


def test_a_system_answers_from_a_process_of_its_own(root):
    x = np.arange(6, dtype="float32").reshape(2, 3)
    found = ask(root, OURS, "double", {"x": x}, factor=2)
    np.testing.assert_array_equal(found.arrays["twice"], 2 * x)
    assert found.version == np.__version__
    assert 5.0 <= found.seconds < 60.0  # the script's own clock, not the process's
    assert found.peak_mb > 10.0
    assert set(found.arrays) == {"twice"}


def test_a_failing_system_is_named_with_its_last_words(root):
    with pytest.raises(RuntimeError, match="fails.py failed: no such option: colour"):
        ask(root, OURS, "fails", {})


def test_an_environment_that_was_not_made_is_named_with_the_mend(root):
    with pytest.raises(FileNotFoundError, match="make bench.*environments/torch.lock"):
        ask(root, "torch", "double", {})
    assert interpreter(root, OURS) == Path(sys.executable)


TRIES = """
import time
import exchange
arrays, options = exchange.given()
losses = [abs(trial["x"] - arrays["truth"]) for trial in options["trials"]]
best = losses.index(min(losses))
exchange.answer("numpy", time.monotonic() - 1.0, best=best, loss=losses[best],
                found=options["trials"][best]["x"] * options["factor"])
"""


@pytest.mark.parametrize("cores", [1, 2, 5, None])
def test_a_search_finds_the_best_of_all_trials_however_many_cores_share_them(
    root, cores, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    (root / "benchmarks" / "systems" / "tries.py").write_text(TRIES)
    trials = [{"x": x} for x in (9.0, 4.0, 2.0, 6.0, 4.0, 3.0)]
    found = search(root, OURS, "tries", {"truth": np.array(3.9)}, trials, factor=10)
    assert int(found.arrays["best"]) == 1  # the first of two equals
    assert float(found.arrays["found"]) == 40.0
    assert found.seconds >= (cores or 1)  # of all processes
    alone = search(root, OURS, "tries", {"truth": np.array(3.9)}, trials[3:4], factor=10)
    assert int(alone.arrays["best"]) == 0


def test_a_script_of_ours_finds_the_benchmarks_from_the_repositorys_root():
    lines = {"household": [0, 0, 1], "basket": [0, 1, 0], "item": [2, 2, 1], "day": [0, 7, 0]}
    arrays = {name: np.array(values) for name, values in lines.items()}
    sizes = {"households": np.int64(2), "items": np.int64(3)}
    found = ask(ROOT, OURS, "basket_peers", arrays | sizes, jobs=[("personal_top", {})])
    assert found.arrays["all_0"][:, 0].tolist() == [2, 1]


def test_what_was_on_the_path_stays_and_peers_are_not_given_ours(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "there")
    assert variables(ROOT, OURS)["PYTHONPATH"] == f"{ROOT}{os.pathsep}there"
    assert "PYTHONPATH" not in variables(ROOT, "torch")
