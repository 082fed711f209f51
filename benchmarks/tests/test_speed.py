from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from benchmarks.harness import timing
from benchmarks.harness.ask import Answer
from benchmarks.models import stacked
from benchmarks.protocols import scaling, speed

SIZES = {"vocabulary": 30, "width": 4, "experts": 3, "expert": [8, 5], "tower": 6}


def reference(model, fields):
    """The MMoE in NumPy, with one dense layer at a time."""
    weights = {variable.path: np.asarray(variable) for variable in model.variables}

    def affine(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    tables = np.concatenate([weights["fields/table0"], weights["fields/table2"]])
    offsets = np.arange(fields.shape[1]) * SIZES["vocabulary"]
    state = tables[fields + offsets].reshape(len(fields), -1)
    experts = []
    for expert in range(SIZES["experts"]):
        hidden = state
        for layer in range(len(SIZES["expert"])):
            hidden = np.maximum(affine(f"shared/expert{expert}_{layer}", hidden), 0)
        experts.append(hidden)
    gates = affine("shared/gates", state).reshape(len(fields), 2, -1)
    gates = np.exp(gates) / np.exp(gates).sum(axis=-1, keepdims=True)
    found = {}
    for task in range(2):
        mixed = sum(gates[:, task, [e]] * experts[e] for e in range(SIZES["experts"]))
        tower = np.maximum(affine(f"task{task}_tower", mixed), 0)
        found[f"task{task}"] = affine(f"task{task}_head", tower)
    return found


def test_the_network_of_the_speed_benchmark_is_an_mmoe():
    keras.utils.set_random_seed(3)
    model = stacked.network(fields=5, tasks=2, **SIZES)
    draw = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(draw.normal(scale=0.3, size=variable.shape))
    fields = draw.integers(0, SIZES["vocabulary"], (7, 5)).astype("int32")
    found = model({stacked.USER: fields})
    for name, logits in reference(model, fields).items():
        np.testing.assert_allclose(np.asarray(found[name]), logits, rtol=1e-4, atol=1e-5)


def test_mtrecs_trainer_learns_what_the_labels_depend_on():
    data = speed.index_data(30_000, 5, SIZES["vocabulary"], 2, seed=1)
    options = {**SIZES, "seed": 1, "batch": 256, "learning_rate": 0.02}
    trainer = stacked.trainer(data["fields"], data["labels"], options)
    outcome = trainer.run(1)
    assert outcome.rows_per_second > 0
    rate = data["labels"][:256].mean(axis=0)  # the validation rows
    constant = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert (outcome.curve["val_loss"] < constant - 0.01).all()


def test_index_data_repeat_and_stay_in_range():
    one, other = (speed.index_data(1000, 3, 50, 2, seed=4) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert one["fields"].min() >= 0 and one["fields"].max() < 50
    assert set(np.unique(one["labels"])) == {0.0, 1.0}


def answer(name, seconds=1.0, **arrays):
    found = {name: np.asarray(value) for name, value in arrays.items()}
    return Answer(found, "1", seconds, 100.0)


def test_systems_take_turns_each_in_its_own_process(monkeypatch):
    asked = []

    def ask(root, environment, script, arrays, **options):
        asked.append((environment, script, options))
        return answer(script)

    monkeypatch.setattr(timing, "ask", ask)
    contenders = {"a": timing.ours("one", x=1), "b": timing.torch("two")}
    found = timing.in_turns(Path("."), {}, contenders, 2)
    assert asked == [("mtrec", "one", {"x": 1}), ("torch", "two", {})] * 2
    assert [len(part) for part in found.values()] == [2, 2]


def test_ratios_are_taken_within_a_turn(monkeypatch):
    turns = iter([1.0, 10.0, 1000.0])  # the machine gets quicker; every ratio stays 2
    speeds = {"loop": [], "ours": []}
    for scale in turns:
        speeds["loop"].append(3.0 * scale)
        speeds["ours"].append(6.0 * scale)
    found = {name: [answer(name) for _ in range(3)] for name in speeds}
    rows = speed._ratios("train_speed", "ours", {"loop": "loop"}, speeds, found)
    assert [(row.metric, row.value, row.low, row.high) for row in rows] == [
        ("ratio_to_loop", 2.0, 2.0, 2.0)
    ]


def test_the_median_lies_in_its_interval_and_an_outlier_does_not_move_it():
    middle, low, high = timing.median([10.0, 11.0, 12.0, 13.0, 500.0])
    assert middle == 12.0 and low <= middle <= high


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponents_are_those_of_a_power_law(power):
    sizes = np.array([1e3, 1e4, 1e5])
    assert timing.exponent(sizes, 3.0 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_scaling_rows_hold_points_and_exponents():
    found = {n: Answer({}, "1", 2.0, 100.0 * n**0.5) for n in (1, 4, 16)}
    rows = {r.metric: r for r in scaling.rows("scaling_x", found, {1: 5, 4: 5, 16: 20}, "note")}
    assert rows["exponent_seconds_end"].value == pytest.approx(1.0)
    assert rows["exponent_seconds"].value == pytest.approx(0.5)
    assert rows["exponent_peak_mb"].value == pytest.approx(0.5)
    assert rows["seconds@16"].value == 20 and rows["peak_mb@4"].value == 200.0


def test_texts_of_all_domains_are_distinct_and_the_sample_ragged(tmp_path):
    for domain, texts in {"a": ["one", "two", None, " "], "b": ["two", "three"]}.items():
        folder = tmp_path / "artifacts" / domain / "tables"
        folder.mkdir(parents=True)
        pd.DataFrame({"text": texts}).to_parquet(folder / "items.parquet")
        pd.DataFrame({"user_id": ["u"]}).to_parquet(folder / "users.parquet")
        pd.DataFrame({"text": ["an event is nobody's text"]}).to_parquet(folder / "events.parquet")
    found = speed.all_texts(tmp_path)
    assert found == ["one", "three", "two"]
    assert sorted(speed.sample(found, 3, 0)) == found
    with pytest.raises(FileNotFoundError, match="make repro"):
        speed.all_texts(tmp_path / "elsewhere")
