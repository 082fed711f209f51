"""Cores: several pieces at a time, and the same sums whatever their number."""

import os
import subprocess
import sys
import time

import pytest

from mtrec import cores

SETUP = """
from mtrec.report import notebooks
notebooks.setup()
import tensorflow
print(tensorflow.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize("given", ["0", "1", "3"])
def test_pieces_come_back_in_their_order(monkeypatch, given):
    monkeypatch.setenv("MTREC_WORKERS", given)

    def make(number):
        time.sleep(0.01 * (5 - number))
        return number**2

    assert list(cores.side_by_side(make, range(5))) == [0, 1, 4, 9, 16]


def test_after_an_error_no_other_piece_begins(monkeypatch):
    monkeypatch.setenv("MTREC_WORKERS", "2")
    begun = []

    def make(number):
        begun.append(number)
        if number == 1:
            raise ValueError("no memory")
        time.sleep(0.2)

    with pytest.raises(ValueError, match="no memory"):
        list(cores.side_by_side(make, range(100)))
    assert len(begun) <= 3


def test_an_error_while_pieces_are_still_handed_out_is_the_one_that_is_raised(monkeypatch):
    monkeypatch.setenv("MTREC_WORKERS", "4")

    def make(number):
        raise ValueError("no memory")

    for _ in range(20):
        with pytest.raises(ValueError, match="no memory"):
            list(cores.side_by_side(make, range(1000)))


@pytest.mark.parametrize("threads", ["", "1", "4"])
def test_a_notebook_computes_an_operation_in_one_thread_whatever_the_machine(threads):
    """The last bits of a text's vector follow the threads, and after a training the third digit."""
    given = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", SETUP], env=given, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "1", done.stderr
