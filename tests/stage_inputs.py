"""The modules that each stage's notebook loads; ``python -m tests.stage_inputs`` writes dvc.yaml.

A stage depends on what can change its result: the modules that its notebook imports, whatever
these import, and of a registry what the settings name. A folder stands for its modules where a
stage loads every one.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from mtrec.files import write_text

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mtrec"
HARMLESS = {
    "mtrec": "loads a model only where it is asked to",
    "mtrec.registry": "says where a name is; what is used of it is an input itself",
    "mtrec.progress": "prints",
    "mtrec.explain.lazily": "explains what was answered",
    "mtrec.lock": "keeps a second run out",
}
# registry -> what a notebook or module says where it reads one, and the names that are in use
REGISTRIES = {
    "DOMAINS": r"(?<!getattr\()run\.module\b",
    "REPORTS": r"extra_report",
    "TASK_TYPES": r"TASK_TYPES\[",
    "METRICS": r"METRICS(\[|\.values)",
    "HEADS": r"HEADS\[",
    "SHARED_LAYERS": r"SHARED_LAYERS\[",
    "BALANCERS": r"BALANCERS\[",
    "OPTIMIZERS": r"OPTIMIZERS\[",
    "PEERS": r"PEERS\[",
    "MEMBERS": r"PEERS\.members",
    "PROPOSED": r"\bSEQUENTIAL\b",
    "SOURCES": r"SOURCES\[",
}


@cache
def modules() -> dict[str, Path]:
    """All modules of the package by name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(source: str) -> set[str]:
    """Modules of the package that a source text imports, wherever it does, but for types alone."""
    tree, found = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(modules())


@cache
def source_of(module: str) -> str:
    """The text of a module."""
    return modules()[module].read_text(encoding="utf-8")


def code_of(notebook: Path) -> str:
    """The code cells of a notebook."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def loaded(code: str, used: dict[str, set[str]]) -> set[str]:
    """Modules that a notebook's code loads.

    Args:
        code: the notebook's.
        used: modules that the settings name, by registry.
    """
    found: set[str] = set()
    texts, waiting = [code], imported(code)
    if "mtrec.load(" in code:
        waiting.add("mtrec.serving.recommender")
    while waiting:
        module = waiting.pop()
        found.add(module)
        text = "" if module in HARMLESS else source_of(module)
        if module != "mtrec.config":  # which checks the settings of every data set
            texts.append(text)
        waiting |= imported(text)
        for registry, pattern in REGISTRIES.items():
            if any(re.search(pattern, text) for text in texts):
                waiting |= used[registry]
        waiting -= found
    return {m for m in found if m not in HARMLESS and not only_words(m)}


def only_words(module: str) -> bool:
    """Whether a module is a docstring and nothing else, as most packages' are."""
    return len(ast.parse(source_of(module)).body) <= 1


def named(params: dict, domains: Iterable[str]) -> dict[str, set[str]]:
    """Modules that the settings of some domains name, by registry."""
    from mtrec import registry
    from mtrec.domains.own.plan import SEQUENTIAL

    some = [params["domains"][name] for name in domains]
    kinds = {task["type"] for domain in some for task in domain["tasks"].values()}
    training = [{**params["training"], **domain.get("training", {})} for domain in some]
    shared = [
        {**params["model_building"]["shared"],
         **domain.get("model_building", {}).get("shared", {})} for domain in some
    ]  # fmt: skip
    names = {
        "DOMAINS": {*domains, "own"},
        "TASK_TYPES": kinds | ({"lognormal"} if "regression" in kinds else set()),
        "METRICS": set(registry.METRICS),
        "HEADS": {head for kind in kinds for head in registry.TASK_TYPES.heads[kind]},
        "SHARED_LAYERS": {sizes["layer"] for sizes in shared},
        "BALANCERS": {settings["balancing"] for settings in training},
        "OPTIMIZERS": {settings["optimizer"] for settings in training},
        "SOURCES": {s for domain in some for s in used_sources(domain.get("features", {}))},
        "PEERS": {
            p for domain in some for task in domain["tasks"].values() for p in task.get("peers", ())
        },
    }
    names |= {"MEMBERS": set(registry.PEERS.members), "PROPOSED": {*SEQUENTIAL}}
    peers = ("MEMBERS", "PROPOSED")
    kinds_of = {kind: getattr(registry, "PEERS" if kind in peers else kind) for kind in names}
    found = {
        kind: {place.partition(":")[0] for name, place in kinds_of[kind].places.items()
               if name in names[kind]} & set(modules())
        for kind in names
    }  # fmt: skip
    return found | {"REPORTS": {m for m in found["DOMAINS"] if "def extra_report" in source_of(m)}}


def used_sources(features: dict) -> tuple[str, ...]:
    """Sources of vectors that the features of a domain ask for."""
    from mtrec.registry import SOURCES
    from mtrec.settings import Features

    return SOURCES.used(Features.model_validate(features))


def compact(found: set[str]) -> list[str]:
    """Modules as files, or as their folder where it holds no others."""
    paths = {modules()[m] for m in found}
    result = []
    for path in sorted(paths):
        folder = path.parent
        if folder == PACKAGE:
            result.append(path)
            continue
        mine = {p for m, p in modules().items() if p.is_relative_to(folder) and not only_words(m)}
        result.append(folder if mine <= paths else path)
    tops = [p for p in dict.fromkeys(result) if not any(q in p.parents for q in result)]
    return [p.relative_to(ROOT).as_posix() for p in tops]


def expand(deps: Iterable[str]) -> set[str]:
    """Modules that a stage's inputs stand for."""
    paths = [ROOT / dep for dep in deps if dep.startswith("src/mtrec")]
    return {
        m for m, p in modules().items()
        if any(p == path or p.is_relative_to(path) for path in paths) and not only_words(m)
    }  # fmt: skip


def notebook_of(stage: str) -> Path:
    """The notebook that a stage runs."""
    return next((ROOT / "notebooks").glob(f"*_{stage}.ipynb"))


def inputs(stage: str, content: dict, params: dict) -> set[str]:
    """Modules that a stage should depend on."""
    own = content.get("matrix", {}).get("domain", list(params["domains"]))
    domains = [name for name in own if name in params["domains"]] or list(params["domains"])
    return loaded(code_of(notebook_of(stage)), named(params, domains))


def main() -> None:
    """Write the inputs of all stages into dvc.yaml."""
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    file = ROOT / "dvc.yaml"
    found, params = yaml.load(file.read_text()), yaml.load((ROOT / "params.yaml").read_text())
    for stage, content in found["stages"].items():
        deps = content.get("do", content)["deps"]
        others = [dep for dep in deps if not dep.startswith("src/mtrec")]
        deps[:] = [others[0], *compact(inputs(stage, content, params)), *others[1:]]
    text = io.StringIO()
    yaml.dump(found, text)
    write_text(file, text.getvalue())


if __name__ == "__main__":
    sys.exit(main())
