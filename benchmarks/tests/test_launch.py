"""Wall time and peak memory of a command."""

import sys

import numpy as np

from benchmarks.harness.launch import launch


def test_peak_memory_is_the_commands_own_not_its_parents(tmp_path):
    held = np.ones(60_000_000)  # 480 MB of ours
    small = launch([sys.executable, "-S", "-c", "print('hello')"], tmp_path)
    large = launch([sys.executable, "-S", "-c", "x = bytearray(300_000_000)"], tmp_path)
    assert held.sum() == 60_000_000
    assert small.status == 0 and small.said == "hello"
    assert small.peak_mb < 100 < 300 < large.peak_mb < 450


def test_status_variables_and_folder_are_the_commands(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['COLOUR']); sys.exit(3)"
    found = launch([sys.executable, "-c", code], tmp_path, COLOUR="blue")
    assert found.status == 3
    assert found.said == f"{tmp_path} blue"
