import time
from types import SimpleNamespace

import pytest

from mtrec import cores
from mtrec.training import together

BAR = SimpleNamespace(advance=lambda *given, **more: None)


def test_results_come_back_by_name_in_the_order_of_the_names():
    def train(name, watch):
        time.sleep(0.01 * (3 - len(name)))
        return name.upper()

    assert list(together.run(train, ("a", "bb", "ccc"), BAR, 3).items()) == [
        ("a", "A"), ("bb", "BB"), ("ccc", "CCC"),
    ]  # fmt: skip


def test_an_error_of_one_stops_the_others_after_their_epoch_and_begins_no_more():
    seen = []

    def train(name, watch):
        seen.append(name)
        if name == "bad":
            raise ValueError("the loss became NaN")
        for epoch in range(1, 1000):
            time.sleep(0.005)
            watch(epoch)

    with pytest.raises(ValueError, match="NaN"):
        together.run(train, ("bad", "good", "later", "last"), BAR, 2)
    assert len(seen) < 4


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("2", 3), ("4", 5)])
def test_models_at_a_time_follow_the_cores_that_the_pipeline_gives(monkeypatch, given, expected):
    monkeypatch.setenv("MTREC_WORKERS", given)
    assert cores.at_a_time() == expected


def test_a_gpu_has_one_training_at_a_time(monkeypatch):
    monkeypatch.setattr(cores, "device", lambda: "NVIDIA H200")
    assert cores.at_a_time() == 1
