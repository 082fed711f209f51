from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mtrec.paths import Paths
from mtrec.report import text_cost as report
from mtrec.settings import EmbedSettings, Evaluation
from mtrec.studies import ledger, probe, text_cost, text_cost_plan
from mtrec.studies.text_cost import Round
from mtrec.studies.text_cost_plan import PLAN, Setting, fingerprint, settings
from mtrec.tables.schema import Tables
from mtrec.text import embed
from mtrec.text.embed import bucketed

POSTS = 120


class Data(Evaluation):
    """Stands for a domain's settings."""


@pytest.fixture
def run(tmp_path):
    domain = SimpleNamespace(data=Data())
    return SimpleNamespace(
        name="tiny", paths=Paths(tmp_path, "tiny"), seed=0, domain=domain,
        task_embedding=EmbedSettings(components=4), evaluation=Evaluation(resamples=50),
    )  # fmt: skip


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    good = rng.random(POSTS) < 0.6
    good[3] = good[5]
    ids = [f"p{n}" for n in range(POSTS)]
    text = [f"{'good' if g else 'bad'} dress {n}" for n, g in enumerate(good)]
    text[3] = text[5]
    items = pd.DataFrame({"item_id": ids, "text": text})
    items.loc[7, "text"] = None
    split = np.repeat(["train", "validation", "test"], [100, 10, 10])
    examples = pd.DataFrame({"item_id": ids, "split": split, "recommended": good.astype(float)})
    empty = pd.DataFrame()
    return Tables(empty, items, empty, examples, empty)


@pytest.fixture
def embedded(monkeypatch):
    """Vectors that tell good from bad, worse for fewer layers; what was embedded, with what."""
    calls = []

    def fake_runner(settings, raw, batches=bucketed):
        def run(part):
            calls.append((settings, batches, tuple(part)))
            rng = np.random.default_rng(len(part))
            noise = rng.normal(size=(len(part), 8)) * 8 / settings.layer
            return (noise + np.array([[t.startswith("good")] for t in part])).astype("float32")

        return run

    def quick_probe(vectors, *_):
        return 1 / (1 + np.exp(4 - 8 * vectors.mean(axis=1)))

    monkeypatch.setattr(text_cost.embed, "runner", fake_runner)
    monkeypatch.setattr(text_cost_plan, "SIZE", 90)
    monkeypatch.setattr(text_cost, "held_out", quick_probe)
    monkeypatch.setattr(
        text_cost, "token_counts", lambda part, *_: np.array([len(t) for t in part])
    )
    return calls


def study(run, tables):
    """Measure what is missing; the file of the results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_cost.schema, "read", lambda folder: tables)
        assert text_cost.study(run)
    return PLAN.file(run)


def test_settings_are_the_default_and_each_of_its_changes_once():
    default = EmbedSettings()
    found = settings(default)
    assert found[0].embed == default
    assert [s.name for s in found[1:]] == [
        "16 tokens", "32 tokens", "128 tokens", "layer 4", "layer 8", "layer 30", "float32",
        "no bucketing",
    ]  # fmt: skip
    for setting in found[1:-1]:
        pairs = zip(default.model_dump().items(), setting.embed.model_dump().items(), strict=True)
        assert sum(old != new for old, new in pairs) == 1
    assert found[-1].embed == default
    assert not found[-1].bucketing


def test_without_bucketing_texts_keep_their_order_and_all_are_as_long_as_the_longest():
    found = list(text_cost.unbucketed([3, 9, 4, 2, 5], 18))
    assert [rows.tolist() for rows, _ in found] == [[0, 1], [2, 3], [4]]
    assert {length for _, length in found} == {9}


def test_cost_counts_padding_and_takes_the_median_round():
    lengths = np.array([1, 99, 3, 3])
    rounds = [Round(np.zeros((2, 1)), 2.0, 1.0), Round(np.zeros((2, 1)), 8.0, 4.0)]
    setting = Setting("default", "d", EmbedSettings(max_tokens=7, batch_tokens=64))
    found = text_cost.cost(setting, lengths, rounds, np.array([1, 99, 3, 3, 3]))
    assert found["ms_per_text"] == 1000 * (1 + 4) / 2
    assert found["tokens_per_second"] == (10 / 2 + 8 / 8) / 2
    assert found["padding"] == round(1 - 18 / (4 + 8 + 4 + 4), 4)  # lengths become multiples of 4
    assert found["all_tokens"] == 2 + 8 + 4 + 4 + 4
    assert found["minutes"] == pytest.approx(22 * (0.2 + 1) / 2 / 60, abs=0.005)
    assert found["cpu_minutes"] == pytest.approx(22 * (0.1 + 0.5) / 2 / 60, abs=0.005)
    plain = text_cost.cost(replace(setting, bucketing=False), lengths, rounds, lengths)
    assert plain["padding"] == round(1 - 18 / (2 * 8 + 2 * 4), 4)


def test_sample_holds_distinct_texts_of_training_rows_with_their_own_labels(tables):
    found = text_cost.sample_texts(tables, 1000, 0)
    training = set(tables.items["text"][:100].dropna())
    assert set(found["text"]) == training
    assert len(found) == 98
    assert (found["label"] == found["text"].str.startswith("good")).all()
    assert len(text_cost.sample_texts(tables, 20, 0)) == 20
    with pytest.raises(ValueError, match="needs the label 'recommended'"):
        text_cost.sample_texts(
            replace(tables, examples=tables.examples.drop(columns="recommended")), 5, 0
        )


def test_study_writes_a_row_per_setting_and_a_second_run_embeds_nothing(run, tables, embedded):
    file = study(run, tables)
    found = ledger.read(file)
    assert file == run.paths.root / "reports" / "study" / "tiny_texts.csv"
    assert list(found["setting"]) == [s.name for s in settings(run.task_embedding)]
    assert found.loc[0, ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert found.set_index("setting").loc["layer 4", "difference_low"] > 0
    assert found.set_index("setting").loc["layer 30", "auc"] > 0.9
    assert (found["all_texts"] == 118).all()
    count, content = len(embedded), file.read_bytes()
    study(run, tables)
    assert len(embedded) == count
    assert file.read_bytes() == content


def test_interrupted_study_goes_on_where_it_stopped(run, tables, embedded, monkeypatch):
    saved, real = [], text_cost._save

    def save(file, done):
        if len(saved) == 13:
            raise KeyboardInterrupt
        saved.append(file)
        real(file, done)

    monkeypatch.setattr(text_cost, "_save", save)
    with pytest.raises(KeyboardInterrupt):
        study(run, tables)
    monkeypatch.setattr(text_cost, "_save", real)
    before = {file: file.read_bytes() for file in saved}
    found = ledger.read(study(run, tables))
    assert len(found) == 9
    assert {file: file.read_bytes() for file in saved} == before
    timed = [call for call in embedded if len(call[2]) == 30]
    assert len(timed) == 9 * 3 + 1  # the round that was cut off ran twice


def test_changed_setting_is_measured_anew_and_the_others_are_kept(run, monkeypatch):
    keys = [fingerprint(run, s) for s in settings(run.task_embedding)]
    assert len(set(keys)) == len(keys)
    monkeypatch.setattr(text_cost_plan, "SIZE", 91)
    assert fingerprint(run, settings(run.task_embedding)[0]) not in keys


def test_probe_finds_what_the_vectors_hold_and_cannot_learn_noise_by_heart():
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.7).astype(int)
    noise = rng.normal(size=(200, 80))
    told = noise + 3 * labels[:, None] * (np.arange(80) < 20)
    assert roc_auc_score(labels, probe.held_out(told, labels, 16, 0)) > 0.95
    rate = np.full(200, labels.mean())
    assert log_loss(labels, probe.held_out(noise, labels, 16, 0)) > log_loss(labels, rate) - 0.02


def test_components_are_fitted_without_the_held_out_fold(monkeypatch):
    fitted, real = [], probe.reduce

    def reduce(vectors, fit, components):
        fitted.append(fit)
        return real(vectors, fit, components)

    monkeypatch.setattr(probe, "reduce", reduce)
    rng = np.random.default_rng(0)
    probe.held_out(rng.normal(size=(100, 6)), np.arange(100) % 2, 3, 0)
    held = ~np.array(fitted)
    assert (held.sum(axis=0) == 1).all()
    assert (held.sum(axis=1) == 100 / probe.FOLDS).all()


def test_quality_is_the_log_loss_and_its_paired_difference():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    good = np.clip(0.7 * labels + 0.15 + rng.normal(0, 0.05, 300), 0.01, 0.99)
    flat = np.full(300, 0.5)
    found = probe.quality(labels, flat, good, 200, 0)
    assert found["log_loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert found["difference"] == pytest.approx(np.log(2) - log_loss(labels, good), abs=1e-4)
    assert 0 < found["difference_low"] < found["difference"] < found["difference_high"]
    rate = labels.mean()
    assert found["constant_log_loss"] == pytest.approx(log_loss(labels, np.full(300, rate)), 1e-4)


def test_batches_do_not_change_a_vector(tiny_raw):
    settings = EmbedSettings(layer=1, precision="float32", batch_tokens=64, max_tokens=16)
    words = ["A dress.", "It fits, and the colour is as lovely as in the picture.", "Too small"]
    found = [
        embed.runner(settings, tiny_raw, how)(words) for how in (bucketed, text_cost.unbucketed)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_reader_is_told_the_estimate_and_only_what_intervals_allow(run, tables, embedded):
    results = ledger.read(study(run, tables))
    results = results.assign(cpu_minutes=np.where(results["setting"] == "layer 4", 5.0, 20.0))
    lines = report.conclusions(results, cores=2, limit=12)
    assert "are 10.0 minutes of 2 cores that do nothing else" in lines[0]
    assert lines[1].startswith("Within 12 such minutes: ")
    lowest = results.sort_values("log_loss", kind="stable")["setting"].iloc[0]
    assert lines[2] == f"The lowest log-loss among them has: {lowest}."
    assert report.conclusions(results, 2, 4)[1:3] == [
        "Within 4 such minutes: layer 4.", "The lowest log-loss among them has: layer 4.",
    ]  # fmt: skip
    assert report.conclusions(results, 2, 1)[1] == "Within 1 such minutes: none."
    (worse,) = [line for line in lines if line.startswith("layer 4")]
    assert worse.startswith("layer 4: -75 % core time; log-loss +")
    assert worse.endswith("(worse).")
    (same,) = [line for line in lines if line.startswith("no bucketing")]
    assert same.endswith("(undecided).")
    assert report.shown(results).loc[0, "minus default"] == ""


def test_figure_names_every_setting_and_marks_the_default(run, tables, embedded):
    results = ledger.read(study(run, tables)).assign(cpu_minutes=np.arange(9) + 1.0)
    axes = report.cost_and_loss(results, "cost").axes[0]
    assert {text.get_text() for text in axes.texts} == set(results["setting"]) - {"default"}
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert stars[0].get_xdata()[0] == 1.0
