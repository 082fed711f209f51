import threading

import pytest

from tests import run_nbval


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """Executed notebooks of three domains, none of which is really run."""
    for domain in ("video", "ecommerce", "bookshop"):
        for name in ("01_a.ipynb", "02_b.ipynb", "notes.ipynb"):
            (tmp_path / "reports" / domain).mkdir(parents=True, exist_ok=True)
            (tmp_path / "reports" / domain / name).write_text("{}")
    ran, together = {}, threading.Barrier(2, timeout=10)

    def run(target, paths, share, alone):
        ran[paths[0].split("/")[1]] = (paths, share, alone)
        if not alone and len(ran) < 3:
            together.wait()
        return int("ecommerce" in paths[0])

    monkeypatch.setattr(run_nbval, "ROOT", tmp_path)
    monkeypatch.setattr(run_nbval, "copy_tracked", lambda target: None)
    monkeypatch.setattr(run_nbval, "run", run)
    monkeypatch.setattr(run_nbval.os, "cpu_count", lambda: 2)
    return ran


def test_one_domain_is_checked_by_default_in_order_on_all_cores(checks):
    assert run_nbval.main([]) == 0
    paths = ["reports/video/01_a.ipynb", "reports/video/02_b.ipynb"]
    assert checks == {"video": (paths, 2, True)}


def test_with_all_every_domain_is_checked_two_at_a_time_and_one_that_differs_fails_all(checks):
    assert run_nbval.main(["all"]) == 1
    assert set(checks) == {"video", "ecommerce", "bookshop"}
    assert {(share, alone) for _, share, alone in checks.values()} == {(1, False)}


def test_a_domain_without_executed_notebooks_is_one_sentence(checks):
    with pytest.raises(ValueError, match="no executed notebooks of domain 'shop'.*has those of"):
        run_nbval.main(["shop"])
