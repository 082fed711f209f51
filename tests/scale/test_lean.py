"""What a worker leaves out before its first piece of work."""

import gc
import subprocess
import sys

import pytest

from mtrec.scale import lean

KERAS = """
import sys
from mtrec.scale import lean
lean.import_keras()
assert "keras" in sys.modules
for name in lean.UNUSED:
    assert not [one for one in sys.modules if one.partition(".")[0] == name], name
import sklearn.base, matplotlib.figure
"""


def test_keras_comes_without_what_it_can_do_without_and_that_can_still_be_had():
    subprocess.run([sys.executable, "-c", KERAS], check=True)


def test_a_package_that_is_there_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", sys)
    monkeypatch.setitem(sys.modules, "sklearn", sys)
    lean.import_keras()
    assert sys.modules["sklearn"] is sys


@pytest.fixture
def thawed():
    yield
    gc.unfreeze()


def test_garbage_is_not_looked_for_while_something_loads_and_then_again(thawed):
    assert lean.loaded(gc.isenabled) is False
    assert gc.isenabled() and gc.get_freeze_count() > 1000


def test_after_an_error_garbage_is_looked_for_again(thawed):
    with pytest.raises(ZeroDivisionError):
        lean.loaded(lambda: 1 // 0)
    assert gc.isenabled()
