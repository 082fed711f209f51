"""The house: lower folders import no higher ones, and a stage depends on what it loads."""

import pytest
import yaml

from tests.stage_inputs import ROOT, expand, imported, inputs, modules, source_of

LAYERS = (  # lowest first; CONTRIBUTING.md says what lives where
    "paths", "files", "progress", "backend", "cores", "lock", "registry", "settings", "config",
    "fetch", "metrics", "tables", "tasks", "features", "text", "balancing", "models", "explain",
    "serving", "training", "peers", "evaluation", "fusion", "domains", "service", "scale",
    "search",
    "studies", "report", "pipeline", "cli",
)  # fmt: skip
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def folder(module):
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", [m for m in modules() if folder(m)])
def test_a_module_imports_nothing_from_higher_up(module):
    mine = LAYERS.index(folder(module))
    above = {
        other for other in imported(source_of(module))
        if folder(other) and LAYERS.index(folder(other)) > mine
    }  # fmt: skip
    assert not above, f"{module} imports {', '.join(sorted(above))}, which lies above it"


def test_modules_do_not_import_in_circles():
    found, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in found:
            return
        path.append(module)
        for other in sorted(imported(source_of(module)) - {"mtrec", module}):
            visit(other)
        path.pop()
        found.add(module)

    for module in modules():
        visit(module)


@pytest.mark.parametrize("stage", DVC["stages"])
def test_a_stage_depends_on_the_modules_that_it_loads_and_no_others(stage):
    content = DVC["stages"][stage]
    found = expand(content.get("do", content)["deps"])
    wanted = inputs(stage, content, PARAMS)
    assert found == wanted, "run `python -m tests.stage_inputs`, which mends dvc.yaml"


@pytest.mark.parametrize(
    "harmless",
    ["serving/recommender.py", "fetch/download.py", "studies/controls.py", "balancing/mgda.py",
     "domains/video.py", "models/shared/star.py", "registry.py", "peers/svdpp.py"],
)  # fmt: skip
def test_training_does_not_depend_on_what_cannot_change_it(harmless):
    assert f"src/mtrec/{harmless}" not in DVC["stages"]["training"]["do"]["deps"]
    module = "mtrec." + harmless.removesuffix(".py").replace("/", ".")
    assert module not in expand(DVC["stages"]["training"]["do"]["deps"])
