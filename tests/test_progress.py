import io
import sys

import pytest

from mtrec import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "progress" / "video.json"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    monkeypatch.setattr(progress, "WRITE_EVERY", 0.0)
    return path


def test_a_loop_keeps_its_file_up_to_date_and_takes_it_away_at_the_end(file):
    with progress.task("training", 3, unit="model") as bar:
        assert progress.read(file).done == 0
        bar.advance(note="like")
        assert progress.read(file).text() == "1 of 3 models (like)"
        bar.advance(2)
        assert progress.read(file).done == 3
        assert list(file.parent.iterdir()) == [file]  # nothing half-written beside it
    assert progress.read(file) is None


def test_the_file_is_not_written_more_often_than_twice_a_second(file, monkeypatch):
    monkeypatch.setattr(progress, "WRITE_EVERY", 60.0)
    with progress.task("embedding", 100, unit="text") as bar:
        for _ in range(100):
            bar.advance()
        assert progress.read(file).done == 0


def test_a_loop_goes_on_when_its_progress_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "file" / "video.json"))
    with progress.task("training", 2) as bar:
        bar.advance()


def test_a_loop_that_fails_takes_its_file_away(file):
    with pytest.raises(RuntimeError), progress.task("training", 2):
        raise RuntimeError
    assert progress.read(file) is None


def test_a_terminal_gets_a_bar_and_a_notebook_nothing(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.task("embedding", 2, unit="text") as bar:
            bar.advance(2)
        assert ("embedding: 100%" in stream.getvalue()) == shown


def test_a_log_gets_a_line_every_half_minute(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.task("a.whl", 10e6, unit="B", lines=True) as bar:
        for _ in range(4):
            bar.advance(1e6)
    said = stream.getvalue().splitlines()
    assert said == ["a.whl: 2 of 10 MB", "a.whl: 4 of 10 MB"]


def test_a_damaged_progress_file_is_no_progress(tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"other": 1}')
    assert progress.read(tmp_path / "a.json") is None
    assert progress.read(tmp_path / "b.json") is None


def test_a_loop_over_items_names_the_one_at_work(file):
    said = [progress.read(file).text() for _ in progress.over(("a", "b"), "training", "model")]
    assert said == ["0 of 2 models (a)", "1 of 2 models (b)"]
    assert progress.read(file) is None
