import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mtrec import cli
from mtrec.config import ConfigError, experiment, find_root, read_params

ROOT = Path(__file__).resolve().parents[1]


def changed(tmp_path, key, value):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    *path, last = key.split(".")
    block = params
    for part in path:
        block = block[part]
    block[last] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params))
    return file


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.epochs", 0, "training.epochs"),
        ("training.epoch", 3, "training.epoch: Extra inputs"),
        ("domains.video.tasks.like.type", "yesno", "domains.video.tasks.like.type"),
        ("domains.video.data.split", "magic", "domains.video.data: split"),
        ("domains.ecommerce.tasks.spend.when", "basket", "'basket' is not a binary task"),
        ("domains.mine", {"data": {}, "features": {}, "tasks": {}}, "domains.mine"),
    ],
)
def test_wrong_setting_is_named(tmp_path, key, value, message):
    with pytest.raises(ConfigError, match=message):
        read_params(changed(tmp_path, key, value))


def test_broken_yaml_and_missing_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_params(tmp_path / "params.yaml")


def test_unknown_domain_lists_the_known_ones():
    with pytest.raises(ConfigError, match="no domain 'music' .*video, ecommerce"):
        experiment("music", ROOT)


def test_root_is_found_from_below_and_missed_elsewhere(tmp_path):
    assert find_root(ROOT / "src" / "mtrec") == ROOT
    with pytest.raises(ConfigError, match="Run from inside the mtrec repository"):
        find_root(tmp_path)


def test_importing_the_package_does_not_import_tensorflow():
    code = "import sys, mtrec, mtrec.config; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command_ends_with_one_sentence_on_an_expected_error(tmp_path, capsys):
    assert cli.main(["tidy", str(tmp_path / "none.ipynb")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mtrec tidy:")
    assert error.count("\n") == 1
