"""The package stands without the benchmarks."""

import ast

import pytest

from tests.conftest import ROOT


def imported(file):
    """Names of modules that a file imports, at the top or later."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("folder", ["src/mtrec", "tools", "benchmarks/report"])
def test_who_must_not_import_the_benchmarks_or_their_models_does_not(folder):
    barred = "benchmarks.models" if folder.startswith("benchmarks") else "benchmarks"
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(file)
        if f"{name}.".startswith(f"{barred}.")
    }
    assert not found
