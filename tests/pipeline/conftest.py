"""A tiny project with the real DVC: three domains, two stages each, stubs for the notebooks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STUB = """
import json, os, pathlib, subprocess, sys, time
stage, domain = sys.argv[1:]
name = f"{stage}@{domain}"
number = {"preprocessing": "01", "training": "04"}[stage]
report = pathlib.Path(f"reports/{domain}/{number}_{stage}.ipynb")
report.parent.mkdir(parents=True, exist_ok=True)
with open("ran.txt", "a") as file:
    file.write(f"{name} {os.environ['MTREC_WORKERS']} {os.environ['OMP_NUM_THREADS']}\\n")
wish = pathlib.Path("wish") / name
wish = wish.read_text() if wish.exists() else ""
if wish == "hang":  # as papermill does: what computes is a process in a session of its own
    kernel = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                              start_new_session=True)
    pathlib.Path("kernel.pid").write_text(str(kernel.pid))
    kernel.wait()
elif wish:
    error = {"output_type": "error", "ename": wish.split(":")[0], "evalue": wish.split(": ")[1]}
    report.write_text(json.dumps({"cells": [{"outputs": [error]}]}))
    sys.exit(f"papermill: {wish}")
report.write_text(json.dumps({"cells": []}))
"""
DOMAINS = ("video", "ecommerce", "bookshop")


def stage(name, domain):
    number = {"preprocessing": "01", "training": "04"}[name]
    out = f"reports/{domain}/{number}_{name}.ipynb"
    deps = [f"in-{domain}.txt"]
    if name == "training":
        deps.append(f"reports/{domain}/01_preprocessing.ipynb")
    command = f'"{sys.executable}" stub.py {name} {domain}'
    return {"cmd": command, "deps": deps, "outs": [{out: {"cache": False}}]}


class Project:
    """The folder and what its stubs did."""

    def __init__(self, folder):
        self.folder = folder

    def ran(self):
        """The stages that ran since the last call, with their workers and threads."""
        file = self.folder / "ran.txt"
        found = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        file.unlink(missing_ok=True)
        return [(name, int(workers), int(threads)) for name, workers, threads in found]

    def wish(self, name, what):
        (self.folder / "wish").mkdir(exist_ok=True)
        (self.folder / "wish" / name).write_text(what)

    def grant(self):
        shutil.rmtree(self.folder / "wish")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "stub.py").write_text(STUB)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    renamed = params.replace("  social_trust:", "  bookshop:\n    module: social_trust")
    (folder / "params.yaml").write_text(renamed, encoding="utf-8")
    stages = {}
    for name in ("preprocessing", "training"):
        for domain in DOMAINS:
            (folder / f"in-{domain}.txt").write_text("1")
            one = json.dumps(stage(name, domain)).replace(domain, "${item.domain}")
            stages[name] = {"matrix": {"domain": list(DOMAINS)}, **json.loads(one)}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (folder / "README.md").write_text("results")
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=False,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    assert done.returncode == 0
    return folder


@pytest.fixture
def project(template, tmp_path):
    return Project(shutil.copytree(template, tmp_path / "a clone"))  # a path with a space
