"""The example cluster files: their syntax and fields, since nothing here runs them."""

import re

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "tools" / "cluster"


def read(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def test_the_cloud_file_names_its_kinds_of_machines_and_what_starts_them():
    found = read("cloud.yaml")
    kinds = found["available_node_types"]
    assert found["head_node_type"] in kinds and len(kinds) == 2
    assert all({"resources", "node_config"} <= kind.keys() for kind in kinds.values())
    assert kinds["worker"]["max_workers"] <= found["max_workers"]
    for role, option in {"head": "--head", "worker": "--address=$RAY_HEAD_IP:6379"}.items():
        started = found[f"{role}_start_ray_commands"]
        assert any(f"/mtrec/.venv/bin/ray start {option}" in command for command in started)


def test_the_cloud_file_is_what_ray_takes():
    pytest.importorskip("ray", reason="Ray is not installed; `make scale` adds it")
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(read("cloud.yaml")))


def test_the_kubernetes_file_has_the_fields_of_a_ray_cluster():
    found = read("kubernetes.yaml")
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayCluster")
    lock = (ROOT / "requirements-scale.lock").read_text(encoding="utf-8")
    assert found["spec"]["rayVersion"] == re.search(r"^ray==(\S+)", lock, re.MULTILINE)[1]
    (workers,) = found["spec"]["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (found["spec"]["headGroupSpec"], workers):
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert {one["name"] for one in container["volumeMounts"]} == {
            one["name"] for one in spec["volumes"]
        }
        assert "rayStartParams" in group
