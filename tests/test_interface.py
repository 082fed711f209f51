"""What ``import mtrec`` offers, and what it costs."""

import subprocess
import sys
import tomllib

import pytest

import mtrec
from tests.conftest import ROOT


def test_public_names_are_there_and_documented():
    from mtrec.serving.recommender import Recommender

    assert set(mtrec.__all__) == {"load", "Recommender", "__version__"}
    assert mtrec.Recommender is Recommender
    for name in mtrec.__all__:
        assert name in mtrec.__doc__
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        mtrec.train  # noqa: B018


def test_importing_the_package_imports_no_backend_and_no_data_frames():
    heavy = "tensorflow", "keras", "jax", "pandas", "numpy"
    code = f"import sys, mtrec; mtrec.__version__; print(*set(sys.modules) & set({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_files_that_the_package_reads_beside_its_code_are_packed():
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folder = ROOT / "src" / "mtrec"
    others = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    patterns = packed["package-data"]["mtrec"]
    named = {found for one in patterns for found in folder.glob(one) if found.suffix != ".py"}
    assert {path.relative_to(folder).as_posix() for path in named} == others
