import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mtrec import cli
from mtrec.config import experiment, read_params
from mtrec.paths import ConfigError, find_root

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
        ("training.balancing", "nashmtll", "training.balancing: there is no balancing method 'na"),
        ("training.optimizer", "foo", "training.optimizer: there is no optimizer 'foo'"),
        ("model_building.shared.layer", "foo", "there is no shared layer 'foo' .known: shared_b"),
        ("sparse.levels", [2.0], "sparse.levels"),
        ("domains.video.tasks.like.peers", ["foo"], "there is no peer 'foo' .known: als, boosting"),
        ("domains.video.tasks.like.candidates", "users", "a binary task ranks nothing"),
        ("domains.video.tasks.like.type", "yesno", "domains.video.tasks.like.type"),
        ("domains.video.data.split", "magic", "domains.video.data: split"),
        ("domains.video.training", {"l3": 1}, "domains.video.training: l3: Extra inputs"),
        ("domains.video.training", 0.1, "domains.video.training: expected settings such as l2"),
        ("domains.video.model_building", {"shared": {"layers": 2}}, "shared.layers: Extra inputs"),
        ("domains.video.training", {"l2": 1, "optimizer": "lazy_adamw"}, "set l2: 0 or take adamw"),
        (
            "domains.video.training",
            {"l2": 0, "ema_momentum": 0.9, "optimizer": "lazy_adamw"},
            "set ema_momentum: 0 or take adamw",
        ),
        ("domains.ecommerce.tasks.spend.when", "basket", "'basket' is not a binary task"),
        ("domains.video.features.item.poster", ["a"], "'poster' is neither .*: graph, words"),
        ("domains.video.features.graph", {"a": 1}, "'graph' is neither .*: factors, words"),
        ("domains.video.features.item.words", 3, "features.item.words: Input should be a valid tu"),
        ("domains.video.features.user.hashed", {"age": 8}, "hashed: 'age' is not a categorical"),
        ("domains.video.features.user.hashed", {"user_id": 1}, "hashed.user_id: Input should be"),
        ("domains.video.features.words", {"components": 1}, "video.features.words: components"),
        ("domains.video.features.factors", {"method": "x"}, "video.features.factors: method"),
        ("domains.mine", {"data": {}, "features": {}, "tasks": {}}, "domains.mine"),
    ],
)
def test_wrong_setting_is_named(tmp_path, key, value, message):
    with pytest.raises(ConfigError, match=message):
        read_params(changed(tmp_path, key, value))


def test_a_source_without_columns_is_as_if_it_were_not_named(tmp_path):
    found = read_params(changed(tmp_path, "domains.video.features.item.graph", []))
    item = found.domains["video"].features.item
    assert "graph" not in item.model_dump()
    assert item.of_source("graph") == ()


def test_settings_of_a_source_are_checked_and_typed(tmp_path):
    found = read_params(changed(tmp_path, "domains.video.features.words", {"components": 7}))
    features = found.domains["video"].features
    assert features.of_source("words").components == 7
    assert features.of_source("factors") is None


def test_a_domain_trains_with_its_own_settings_and_the_common_ones(tmp_path):
    config = read_params(changed(tmp_path, "domains.video.training", {"l2": 0.25}))
    video, other = (config.domains[name].training for name in ("video", "social_trust"))
    assert video.l2 == 0.25
    assert video.model_copy(update={"l2": config.training.l2}) == config.training
    assert other.l2 != 0.25


def test_a_domain_builds_its_model_with_its_own_sizes_and_the_common_ones(tmp_path):
    own = {"dropout": 0.25, "shared": {"layer": "ple"}}
    config = read_params(changed(tmp_path, "domains.video.model_building", own))
    video, common = config.domains["video"].model_building, config.model_building
    assert (video.dropout, video.shared.layer) == (0.25, "ple")
    assert video.shared.model_copy(update={"layer": common.shared.layer}) == common.shared
    assert video.model_copy(update={"dropout": common.dropout, "shared": common.shared}) == common


def binary(**changes):
    return {"type": "binary", "view": "joint", "label": "like", **changes}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"a": binary(when="a")}, r"tasks.a.when: tasks wait .* in a circle .a -> a.\. Drop when:"),
        ({"a": binary(when="b"), "b": binary(when="a")}, r"a -> b -> a"),
        (
            {"a": binary(when="b"), "b": binary(when="c"), "c": binary(when="b")},
            r"tasks.a.when: .*a -> b -> c -> b",
        ),
        ({"a": binary(when="b", loss="focal"), "b": binary()}, "'a' and 'b' .found: focal."),
        ({"a": binary(when="b"), "b": binary(loss="focal")}, "needs loss logistic for 'a' and 'b'"),
        ({"a": binary(when="b"), "b": {**binary(), "type": "regression"}}, "binary tasks: a"),
        (
            {"a": binary(head="relu")},
            "tasks.a.head: task type binary has no head 'relu' .it has: d",
        ),
        ({"a": binary(loss="hinge")}, "tasks.a.loss: task type binary has no loss 'hinge'"),
    ],
)
def test_tasks_that_cannot_go_together_are_named_with_the_mend(tmp_path, tasks, message):
    with pytest.raises(ConfigError, match=message):
        read_params(changed(tmp_path, "domains.video.tasks", tasks))


@pytest.mark.parametrize(
    "tasks",
    [
        {"a": binary(), "b": binary(when="a"), "c": binary(when="b")},
        {"a": binary(loss="focal"), "b": {**binary(when="a"), "type": "regression"}},
    ],
)
def test_chains_and_numbers_after_a_focal_task_are_allowed(tmp_path, tasks):
    assert read_params(changed(tmp_path, "domains.video.tasks", tasks))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("study.share", 0), ("analysis.share", 1.5), ("analysis.seeds", 1), ("study.epochs", 0),
        ("analysis.probes", 0), ("study.layers", []), ("study.balancers", []),
        ("study.weightings", 0), ("study.history", 0), ("analysis.layers", ["mmoe"]),
    ],
)  # fmt: skip
def test_short_trainings_have_sensible_sizes(tmp_path, key, value):
    with pytest.raises(ConfigError, match=rf"{key}.*\. Mend this key in params.yaml"):
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
