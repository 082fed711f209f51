"""Texts read by one process or several: the same files, which the stages then find."""

import pytest

from mtrec.scale import engine, texts
from mtrec.tables import schema
from mtrec.text import embed, states
from mtrec.text.weights import WeightsError
from tests.scale.conftest import files


def stages(run, world):
    """What the stages ask."""
    own = run.task_embedding, run.paths.raw, run.paths.cache
    words = [task.text or name for name, task in run.domain.tasks.items()]
    embed.embed([*words, *world.items["text"].dropna()], *own)
    states.read_sides(world, run.model_building.reader, *own)


def test_the_files_are_those_of_the_stages_whoever_made_them(run, world, monkeypatch, tmp_path):
    stages(run, world)
    expected = files(run.paths.cache)
    assert len(expected) > 4
    for workers in (1, 2, 4):
        run.paths.cache = tmp_path / str(workers)
        assert texts.prepare("tiny", workers) > 20
        assert files(run.paths.cache) == expected
    monkeypatch.setattr(embed, "runner", None)  # would fail if called
    monkeypatch.setattr(states, "_runner", None)
    stages(run, world)
    assert texts.prepare("tiny", 1) == 0


def test_a_command_that_was_stopped_goes_on_with_what_is_missing(run, monkeypatch):
    asked = []

    def here(opens, pieces, workers, ray):
        work = opens()
        for number in pieces:
            asked.append(number)
            yield number, work(number)
            if len(asked) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(engine, "do", here)
    with pytest.raises(KeyboardInterrupt):
        texts.prepare("tiny", 1)
    kept = files(run.paths.cache)
    assert kept and not [name for name in kept if "partial" in name]
    texts.prepare("tiny", 1)
    left = len(asked) - 2
    assert left == len(texts.blocks_of(run, schema.read(run.paths.tables))) - 2
    assert kept.items() <= files(run.paths.cache).items()


def test_no_workers_are_one_sentence(run):
    with pytest.raises(ValueError, match="--workers is 0; give 1 or more"):
        texts.prepare("tiny", 0)


def test_weights_that_a_worker_lacks_are_one_sentence(run, tmp_path):
    blocks = texts.blocks_of(run, schema.read(run.paths.tables))
    with pytest.raises(WeightsError, match="smollm2"):
        texts.open_reading(blocks, tmp_path)(0)
