from dataclasses import replace

import numpy as np
import pytest

from mtrec.settings import EmbedSettings
from mtrec.studies import runner, tuning, tuning_model, tuning_plan
from mtrec.studies.tuning_plan import PLAN, Tuning
from mtrec.text import backbone
from mtrec.text.lora import Adapters
from tests import language_model

SMALL = Tuning(
    sizes=(40,), validation=60, tokens=8, below=1, blocks=2, rank=2, epochs=2, batch=40, seeds=1
)


@pytest.fixture
def small(few_run, tiny_raw, tmp_path):
    """A run whose raw data hold the tiny language model, and results of its own."""
    link = few_run.paths.root / "data"
    if not link.exists():
        link.symlink_to(tiny_raw)
    return replace(few_run, task_embedding=EmbedSettings(preset=language_model.PRESET, layer=2))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    language_model.write(raw)
    return backbone.load(language_model.PRESET, raw, "float32")


TEXTS = ["one text", "another", "and a longer one"]


def test_states_below_are_kept_and_a_damaged_file_is_made_again(model, tmp_path, monkeypatch):
    found, _ = tuning.states_below(model, TEXTS, SMALL, "p", tmp_path)
    expected = backbone.states(model, TEXTS, 1, 8)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[model.dropped :], other, atol=1e-2)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    again, _ = tuning.states_below(model, TEXTS, SMALL, "p", tmp_path)
    monkeypatch.setattr(tuning, "_compute", None)
    kept, _ = tuning.states_below(model, TEXTS, SMALL, "p", tmp_path)
    for one, two, three in zip(found, again, kept, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_a_reader_sees_no_padding_and_starts_at_the_best_constant(few_bench, model, tmp_path):
    tuner = make(few_bench, model, tmp_path)
    known = few_bench.data.labels["mood"][:40][few_bench.data.masks["mood"][:40]]
    states, lengths = tuning_model.padded(tuner.states[:2])
    start = few_bench.assembly.types["mood"].base_logits(known)
    np.testing.assert_allclose(tuner.answers(states, lengths)["mood"][0], start, atol=1e-5)
    for part in tuner.answers.out:
        part.kernel.assign(np.random.default_rng(0).normal(size=part.kernel.shape))
    longer = np.concatenate([states, np.full_like(states, 9.0)], axis=1)
    first, second = (tuner.answers(given, lengths)["mood"] for given in (states, longer))
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert np.abs(first - start).max() > 0.01


def make(bench, model, folder, adapted=True, settings=SMALL):
    texts = tuning.texts_of(bench.tables)[:60]
    lower, _ = tuning.states_below(model, list(texts), settings, "p", folder)
    adapters = Adapters(model, 1, 2, rank=2)
    upper = tuning_model.raised(adapters, lower, 8)
    data = bench.data.take(np.arange(60))
    return tuning_model.Tuner(
        bench.assembly.types, data.labels, data.masks, lower if adapted else upper,
        np.arange(40), adapters if adapted else None, np.concatenate(upper).astype("float32"),
        settings, 0,
    )  # fmt: skip


def test_a_training_that_was_cut_ends_with_the_bits_of_one_that_was_not(
    few_bench, model, tmp_path, eagerly
):
    whole = make(few_bench, model, tmp_path)
    whole.fit(tmp_path / "whole.npz", "run")
    cut, step = make(few_bench, model, tmp_path), []
    batches = cut._batches

    def fails(epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return batches(epoch)

    cut._batches = fails
    with pytest.raises(KeyboardInterrupt):
        cut.fit(tmp_path / "cut.npz", "run")
    other = make(few_bench, model, tmp_path)
    other._batches = lambda epoch: step.append(epoch) or batches(epoch)
    other.fit(tmp_path / "cut.npz", "run")
    assert step == [1]
    rows = np.arange(40, 60)
    for name, found in whole.predict(rows).items():
        np.testing.assert_array_equal(found, other.predict(rows)[name])
    assert max(abs(up).max() for name, up in whole.adapters.arrays().items() if "/up" in name) > 0


def test_a_study_trains_both_systems_once_and_compares_them(small, monkeypatch, tmp_path, eagerly):
    monkeypatch.setattr(
        type(small.paths), "study", property(lambda self: tmp_path / "study" / "tiny.csv")
    )
    plan = replace(PLAN, trainings=lambda run: tuning_plan.trainings(run, SMALL))

    def train(size, seeds):
        return tuning.train(small, size, seeds, SMALL)

    assert runner.resume(plan, small, train)
    found = plan.results(small)
    assert set(found["system"]) == {"frozen", "lora", "difference"}
    assert set(found["task"]) == set(small.domain.tasks)
    assert found["value"].notna().all()
    assert runner.resume(plan, small, lambda *given: pytest.fail("trained again"))
