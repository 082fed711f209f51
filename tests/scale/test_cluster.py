"""Work on a Ray cluster of two machines, which are two sets of processes of this one."""

import hashlib
import os
import signal
import subprocess
import sys
from functools import partial
from hashlib import sha256

import psutil
import pytest

from mtrec.scale import commands, engine, texts
from mtrec.scale import score as scoring
from mtrec.scale.score import score
from tests.conftest import ROOT
from tests.scale.conftest import DOMAIN, files
from tests.scale.work import open_nothing, open_work


def test_an_address_that_nobody_answers_at_or_that_is_none_is_one_sentence(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed; `make scale` adds it")
    with pytest.raises(OSError, match="no Ray cluster answers at ray://127.0.0.1:1 .*refused"):
        [*engine.do(partial(open_work, tmp_path), range(3), None, "ray://127.0.0.1:1")]
    with pytest.raises(ValueError, match="--ray somewhere: no address of a cluster"):
        [*engine.do(partial(open_work, tmp_path), range(3), None, "somewhere")]


def test_without_ray_the_switch_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="not installed here: `make scale`"):
        [*engine.do(partial(open_work, tmp_path), range(3), None, "auto")]


def test_a_cluster_of_another_version_is_one_sentence(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed; `make scale` adds it")

    def other(*arguments, **more):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0")

    monkeypatch.setattr(ray, "init", other)
    with pytest.raises(ValueError, match="auto is of another version .*Ray: 2.9.0.* requirements"):
        [*engine.do(partial(open_work, tmp_path), range(3), None, "auto")]


PROBE = """
import ray
from ray.cluster_utils import Cluster
found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
ray.init(found.address)
assert ray.get(ray.remote(lambda: 7).remote()) == 7
"""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of a core each; their address."""
    pytest.importorskip("ray", reason="Ray is not installed; `make scale` adds it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        found = started()
        yield found
        found.shutdown()


def started():
    """The cluster, if Ray can start a process here at all."""
    from ray.cluster_utils import Cluster

    if " " in sys.executable:
        pytest.skip("Ray starts no process whose path has a space in it")
    for _ in range(2):  # its own processes have fifteen seconds to begin, which busy cores exceed
        try:
            subprocess.run([sys.executable, "-c", PROBE], timeout=120, check=True,
                           capture_output=True, text=True)  # fmt: skip
            break
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            why = str(error.stderr or error)[-200:]
    else:
        pytest.skip(f"Ray started no process here: {why}")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    found.wait_for_nodes()
    return found


def test_the_cluster_does_what_processes_do_though_workers_die_and_a_machine_is_late(
    cluster, tmp_path
):
    found, kills = {}, 0
    for piece, result in engine.do(partial(open_work, tmp_path), range(120), None, cluster.address):
        assert piece not in found
        found[piece] = result
        if piece == 20:
            cluster.add_node(num_cpus=1)
        workers = [
            one for one in psutil.process_iter(["cmdline"])
            if (one.info["cmdline"] or [""])[0] == "ray::_do"
        ]  # fmt: skip
        if piece in (10, 30) and workers:
            workers[0].send_signal(signal.SIGKILL)
            kills += 1
    assert found == {piece: hashlib.sha256(bytes(piece)).digest() for piece in range(120)}
    assert kills and len([*tmp_path.iterdir()]) <= 120 + kills


def test_lists_of_the_cluster_are_those_of_this_machine(cluster, root, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "LEAST", 8)
    files = [tmp_path / name for name in ("here.parquet", "there.parquet")]
    for out, ray in zip(files, (None, cluster.address), strict=True):
        score(DOMAIN, out, 3, 1 if ray is None else None, ray, root=root)
    here, there = (sha256(out.read_bytes()).hexdigest() for out in files)
    assert here == there


def test_texts_that_the_cluster_reads_have_the_files_of_one_process(cluster, run, tmp_path):
    for place, ray in {"here": None, "there": cluster.address}.items():
        run.paths.cache = tmp_path / place
        assert texts.prepare("tiny", 1 if ray is None else None, ray) > 20
    assert len(files(tmp_path / "here")) > 4
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_commands_run_at_once_on_the_cluster_and_one_that_fails_says_why(cluster, root, capfd):
    lines = [["reference", "nowhere"], ["score", DOMAIN, "--out", str(root), "--k", "1"], ["-h"]]
    statuses = commands.run(lines, root, cluster.address)
    assert statuses[0] and statuses[1] and not statuses[2]
    said = capfd.readouterr()
    assert "mtrec -h: done" in said.out and "mtrec reference nowhere: failed" in said.out
    assert "no domain 'nowhere'" in said.err and "a folder; name a file in it" in said.err


def test_what_a_worker_lacks_is_said_in_its_words(cluster, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model"):
        [*engine.do(partial(open_nothing, tmp_path), range(3), None, cluster.address)]
