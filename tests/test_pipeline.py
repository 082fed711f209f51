"""The pipeline as DVC sees it, and the files that must agree with each other."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tests.run_nbval import run

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = (
    "preprocessing", "task_embedding", "model_building", "training", "evaluation", "fusion",
    "task_analysis", "comparison",
)  # fmt: skip
DOMAINS = ("video", "ecommerce")  # of the pipeline of stubs
STUB = """
import hashlib, pathlib, sys
outs, deps = sys.argv[1].split(","), sys.argv[2:]
digest = hashlib.sha256()
for dep in deps:
    path = pathlib.Path(dep)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.read_bytes())
for out in outs:
    file = pathlib.Path(out)
    file = file if file.suffix else file / "out.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(digest.hexdigest())
pathlib.Path("ran.txt").open("a").write(sys.argv[1] + chr(10))
"""


def keys(params, wanted):
    """The part of params.yaml that a stage declares."""
    found = {}
    for key in wanted:
        value = params
        for part in key.split("."):
            value = value[part]
        found[key] = value
    return found


def stage_of(name, domain, params):
    """A stage of one domain with everything filled in."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][name]
    stage = stage.get("do", stage)
    stage.pop("matrix", None)
    raw = params["domains"].get(domain, {}).get("raw", "")
    values = {"${key}": domain, "${item.domain}": domain, "${item.raw}": raw}
    text = json.dumps(stage)
    for variable, value in values.items():
        text = text.replace(variable, value)
    return json.loads(text)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A project of stubs per domain; no stage of one depends on a stage of another."""
    return [stubs(tmp_path_factory.mktemp(domain), domain) for domain in DOMAINS]


def stubs(folder, domain):
    """dvc.yaml with its real deps, params and outs, and a stub in place of each notebook.

    The stub's outputs depend on its inputs and declared parameters, as a real stage's do. Params
    are JSON here: DVC reads the file anew for every stage, and takes half a second for the YAML.
    """
    (folder / "stub.py").write_text(STUB)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (folder / "params.json").write_text(json.dumps(params))
    stages = {}
    for name in STAGES:
        one = stage_of(name, domain, params)
        outs = [next(iter(o)) if isinstance(o, dict) else o for o in one["outs"]]
        values = f"values/{name}-{domain}.json"
        deps = [d for d in one["deps"] if not d.startswith("reports/")]
        one["cmd"] = f"python -S -E stub.py {','.join(outs)} {' '.join(deps)} {values}"
        stages[f"{name}-{domain}"] = one
    written = {
        name: stage | {"params": [{"params.json": stage["params"]}] if "params" in stage else []}
        for name, stage in stages.items()
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": written}))
    for stage in stages.values():
        for dep in stage["deps"]:
            target = folder / dep
            if dep.startswith(("artifacts/", "models/")) or target.exists():
                continue
            is_file = bool(Path(dep).suffix)
            (target.parent if is_file else target).mkdir(parents=True, exist_ok=True)
            (target if is_file else target / "file.py").write_text(dep)
    Repo.init(str(folder), no_scm=True)
    shutil.copy(ROOT / ".dvcignore", folder)
    return folder, stages


def repro(pipeline, change=None):
    """Change a parameter and return the stages that ran."""
    return {name for project in pipeline for name in repro_one(*project, change)}


def repro_one(folder, stages, change):
    params = json.loads((folder / "params.json").read_text())
    if change:
        *path, last = change[0].split(".")
        block = params
        for part in path:
            block = block[part]
        block[last] = change[1]
        (folder / "params.json").write_text(json.dumps(params))
    for name, stage in stages.items():
        file = folder / "values" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(keys(params, stage.get("params", []))))
    (folder / "ran.txt").write_text("")
    with contextlib.chdir(folder), Repo(str(folder)) as repo:  # in-process: no start of Python each
        repo.reproduce(run_cache=False)
    ran = (folder / "ran.txt").read_text()
    return {name for name in stages if f"reports/{name.split('-')[1]}" in ran
            and any(line.endswith(notebook(stages[name])) for line in ran.split())}  # fmt: skip


def notebook(stage):
    kept = [next(iter(out)) for out in stage["outs"] if isinstance(out, dict)]
    return next(name for name in kept if name.endswith(".ipynb"))


def first(*stages):
    return {f"{stage}-{DOMAINS[0]}" for stage in stages}


def both(*stages):
    return {f"{stage}-{domain}" for stage in stages for domain in DOMAINS}


def test_a_changed_parameter_reruns_exactly_the_stages_that_depend_on_it(pipeline):
    assert repro(pipeline) == both(*STAGES)
    assert repro(pipeline) == set()
    one = pipeline[:1]  # what is of all domains changes each of them by the same lines of dvc.yaml
    assert repro(one, ("evaluation.resamples", 100)) == first("evaluation", "fusion")
    assert repro(one, ("analysis.seeds", 2)) == first("task_analysis")
    assert repro(one, ("study.seeds", 2)) == first("comparison")
    expected = first("training", "evaluation", "fusion", "task_analysis", "comparison")
    assert repro(one, ("training.epochs", 1)) == expected
    expected |= first("model_building")
    assert repro(one, ("model_building.width", 16)) == expected
    expected |= first("task_embedding")
    assert repro(one, ("task_embedding.layer", 3)) == expected
    mine = first(*STAGES)
    assert repro(pipeline, ("domains.video.data.test_share", 0.2)) == mine
    stages = ("model_building", "training", "evaluation", "fusion", "task_analysis", "comparison")
    mine = {f"{stage}-ecommerce" for stage in stages}
    assert repro(pipeline, ("domains.ecommerce.features.event", ["log_spend"])) == mine
    assert repro(pipeline, ("domains.ecommerce.model_building.width", 8)) == mine
    assert repro(pipeline, ("seed", 1)) == both(*STAGES)


def test_what_python_caches_beside_the_sources_reruns_nothing(pipeline):
    repro(pipeline)
    for folder, _ in pipeline:
        cache = folder / "src" / "mtrec" / "text" / "__pycache__"
        cache.mkdir()
        (cache / "file.cpython-311.pyc").write_bytes(b"compiled")
    assert repro(pipeline) == set()


def test_an_addition_or_a_word_about_what_trains_nothing_retrains_no_model(pipeline):
    repro(pipeline)
    added = ("balancing/mine", "domains/mine", "studies/mine", "peers/mine", "models/shared/mine")
    changed = ("registry", "serving/recommender", "fetch/download", "report/result_plots", "cli")
    for folder, _ in pipeline:
        for module in (*added, *changed):
            file = folder / "src" / "mtrec" / f"{module}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("more words")
    assert not repro(pipeline) & both("task_embedding", "model_building", "training")


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    """A folder with what the git filter makes of the notebooks."""
    folder = tmp_path_factory.mktemp("stripped")
    copies = [str(shutil.copy(path, folder)) for path in NOTEBOOKS]
    subprocess.run([sys.executable, "-m", "nbstripout", *copies], check=True)
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_sources_are_clean_and_parameterised(path, stripped):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert [c for c in code if "parameters" in c["metadata"].get("tags", [])] == [code[0]]
    assert all(len("".join(cell["source"]).splitlines()) <= 25 for cell in code)
    assert 12 <= len(cells) <= 40
    assert (stripped / path.name).read_text() == path.read_text()  # the git filter changes nothing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_executed_notebooks_are_of_the_current_sources(path):
    source = [
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if "parameters" not in cell["metadata"].get("tags", [])
    ]
    copies = sorted((ROOT / "reports").glob(f"*/{path.name}"))
    assert copies
    for copy in copies:
        executed = json.loads(copy.read_text())
        found = [
            "".join(cell["source"])
            for cell in executed["cells"]
            if not {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", []))
        ]
        assert found == source
        outputs = [o for cell in executed["cells"] for o in cell.get("outputs", [])]
        assert not [o for o in outputs if o.get("name") == "stderr"]


def pins(lock):
    """Name and version of the packages of a lock."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\;]+)", (ROOT / lock).read_text(), re.M))


def test_environment_project_and_lock_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        "tensorflow-cpu==2.21.*",  # TensorFlow without CUDA kernels
    ]
    pinned = pins("requirements.lock")
    for requirement in wanted:
        name, _, version = requirement.partition(";")[0].partition("==")
        assert name in pinned, f"{name} is not in requirements.lock; run `make lock`"
        assert pinned[name].startswith(version.rstrip("*")), requirement
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert f"python{project['requires-python']}" in conda


def test_every_python_gets_the_same_version_of_a_package():
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)
    assert len(names) == len(set(names))


def test_gpu_and_peers_add_to_the_lock_and_change_nothing_in_it():
    cpu, gpu, peers = (pins(f"requirements{kind}.lock") for kind in ("", "-gpu", "-peers"))
    assert {name for name in cpu if gpu.get(name) != cpu[name]} == {"tensorflow-cpu"}
    assert any("cudnn" in name for name in gpu)
    assert "catboost" in peers
    assert not {name for name in peers if name in cpu and peers[name] != cpu[name]}


def test_every_pinned_package_has_hashes_and_no_registry_is_named():
    peers = sorted((ROOT / "benchmarks" / "environments").glob("*.lock"))
    assert [path.stem for path in peers] == [
        "boosting", "factorization", "ranking", "recbole", "retrieval", "torch"
    ]  # fmt: skip
    for path in (*sorted(ROOT.glob("requirements*.lock")), *peers):
        text = path.read_text()
        packages = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
        assert all("--hash=sha256:" in package for package in packages)
        assert "index-url" not in text


def test_nbval_fails_when_a_printed_count_is_altered(tmp_path):
    from tests import run_nbval

    run_nbval.copy_tracked(tmp_path / "tree")
    path = tmp_path / "tree" / "reports" / "video" / "01_preprocessing.ipynb"
    text = path.read_text()
    assert "<td>100,000</td>" in text  # ratings in the raw file
    notebook = json.loads(text.replace("<td>100,000</td>", "<td>100,001</td>"))
    cells = notebook["cells"]
    altered = next(n for n, cell in enumerate(cells) if "<td>100,001</td>" in json.dumps(cell))
    path.write_text(json.dumps({**notebook, "cells": cells[: altered + 1]}))
    assert run(tmp_path / "tree", ["reports/video/01_preprocessing.ipynb"]) == 1
