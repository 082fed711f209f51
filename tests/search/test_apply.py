"""Found settings in params.yaml: the right lines change, and nothing else."""

import shutil

import pytest
import yaml

from mtrec.config import read_params
from mtrec.paths import ConfigError
from mtrec.search import apply
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
FOUND = {
    "training.learning_rate": 0.00123,
    "training.balancing": "static",
    "model_building.shared.units": 128,
    "model_building.reader": None,
    "task_embedding.components": 16,
}


@pytest.mark.parametrize("domain", yaml.safe_load(TEXT)["domains"])
def test_a_domain_gets_the_settings_and_all_else_stays_byte_for_byte(domain, tmp_path):
    new = apply.proposed(TEXT, domain, FOUND)
    expected = yaml.safe_load(TEXT)
    block = expected["domains"][domain]
    block["training"] |= {"learning_rate": 0.00123, "balancing": "static"}
    block["model_building"].setdefault("shared", {})["units"] = 128
    block["model_building"]["reader"] = None
    assert yaml.safe_load(new) == expected
    gone = [line for line in TEXT.splitlines() if line not in new.splitlines()]
    assert len(gone) <= 2
    assert all("training:" in line or "model_building:" in line for line in gone)
    (tmp_path / "params.yaml").write_text(new)
    assert read_params(tmp_path / "params.yaml").domains[domain].training.learning_rate == 0.00123


def test_comments_at_the_end_of_a_changed_line_stay():
    new = apply.proposed(TEXT, "video", {"model_building.width": 64})
    assert "    model_building: {width: 64}" in new
    assert new.count("# what differs here from model_building: above") == 1


def test_a_block_on_lines_of_its_own_keeps_its_comments():
    text = (
        "domains:\n  a:\n    training:\n      # slow\n      l2: 0.1  # strong\n      epochs: 3\n"
        "\n    tasks: {}  # none\n  b: {}\n"
    )
    new = apply.proposed(text, "a", {"training.l2": 0.2, "training.patience": 4})
    assert new == (
        "domains:\n  a:\n    training:\n      # slow\n      l2: 0.2  # strong\n      epochs: 3\n"
        "      patience: 4\n\n    tasks: {}  # none\n  b: {}\n"
    )


def test_a_block_that_is_not_there_is_put_before_the_tasks():
    text = "domains:\n  a:\n    raw: x\n    tasks:\n      t: {}\n"
    new = apply.proposed(text, "a", {"training.l2": 0.2})
    assert new == "domains:\n  a:\n    raw: x\n    training: {l2: 0.2}\n    tasks:\n      t: {}\n"


def test_a_diff_shows_the_changed_lines_alone():
    new = apply.proposed(TEXT, "ecommerce", {"training.l2": 0.1})
    lines = [line for line in apply.diff(TEXT, new).splitlines() if line[0] in "+-"]
    assert lines == [
        "--- params.yaml", "+++ params.yaml (found)",
        "-    training: {balancing: static, l2: 0.002, recalibrate: true}",
        "+    training: {balancing: static, l2: 0.1, recalibrate: true}",
    ]  # fmt: skip
    assert apply.diff(TEXT, TEXT) == ""


def test_a_domain_on_one_line_is_refused():
    with pytest.raises(ConfigError, match="no block of 'b' with a key on each line"):
        apply.proposed("domains:\n  a:\n    x: 1\n  b: {}\n", "b", {"training.l2": 0.2})


def test_settings_that_are_not_valid_leave_the_file_as_it_was(tmp_path):
    file = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", file)
    with pytest.raises(ConfigError, match="learning_rate"):
        apply.write(file, apply.proposed(TEXT, "video", {"training.learning_rate": -1.0}))
    assert file.read_text(encoding="utf-8") == TEXT
    assert [one.name for one in tmp_path.iterdir()] == ["params.yaml"]
