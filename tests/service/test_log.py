"""The log of events: what is accepted is there after any end, and damage is told from an end."""

import errno
import json
import os
import random
import signal
import subprocess
import sys

import pytest

from mtrec.service.log import HEAD, MAGIC, EventLog, LogError, NotStored

WRITER = """
import sys
from pathlib import Path
from mtrec.service.log import EventLog
log = EventLog(Path(sys.argv[1]), rotate=4000, compact=3)
first = sum(1 for _ in log.replay())
for at in range(first, 10**9):
    log.append([{"event_id": f"{at}-{part}", "n": at} for part in "ab"])
    print(at, flush=True)
"""


def stored(folder, **settings):
    log = EventLog(folder, **settings)
    found = [event["event_id"] for event in log.replay()]
    log.close()
    return found


def write(folder, count, **settings):
    log = EventLog(folder, **settings)
    assert not [*log.replay()]
    for at in range(count):
        log.append([{"event_id": str(at), "text": "ä" * (at % 50)}])
    log.close()
    return [str(at) for at in range(count)]


def test_events_come_back_in_their_order_from_segments_and_snapshot(tmp_path):
    wanted = write(tmp_path, 300, rotate=1000, compact=3)
    names = {path.name for path in tmp_path.iterdir()}
    assert "snapshot.log" in names
    assert len(names) < 8  # old segments are gone
    assert stored(tmp_path) == wanted


def test_every_acknowledged_pair_survives_kill_9_and_none_is_there_twice(tmp_path):
    draw, acknowledged = random.Random(0), []
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
        )
        for _ in range(draw.randint(1, 60)):
            acknowledged.append(int(writer.stdout.readline()))
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        found = stored(tmp_path)
        assert len(set(found)) == len(found)
        assert {f"{at}-{part}" for at in acknowledged for part in "ab"} <= set(found)


@pytest.mark.parametrize("kept", [1, 7, 8, 20])
def test_a_torn_end_is_cut_off_with_a_sentence(tmp_path, kept):
    wanted = write(tmp_path, 5)
    file = tmp_path / "events-00000001.log"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[len(MAGIC) : len(MAGIC) + kept])
    said = []
    assert stored(tmp_path, say=said.append) == wanted
    assert "was not finished" in said[0] and f"{kept} bytes were cut off" in said[0]
    assert file.read_bytes() == whole


def test_a_flipped_bit_within_is_damage_and_not_an_end(tmp_path):
    write(tmp_path, 5)
    file = tmp_path / "events-00000001.log"
    data = bytearray(file.read_bytes())
    data[len(MAGIC) + HEAD.size + 5] ^= 4
    file.write_bytes(data)
    with pytest.raises(LogError, match="damaged, and others follow. Restore the file from a copy"):
        stored(tmp_path)
    assert file.read_bytes() == data  # nothing was cut


def test_a_file_of_another_kind_is_no_log(tmp_path):
    (tmp_path / "events-00000001.log").write_text("user,item\n" * 9)
    with pytest.raises(LogError, match="no log of events; move it away"):
        stored(tmp_path)


def test_a_second_service_on_one_log_is_refused(tmp_path):
    log = EventLog(tmp_path)
    with pytest.raises(LogError, match="another service writes to this log; stop it"):
        EventLog(tmp_path)
    log.close()
    EventLog(tmp_path).close()


@pytest.mark.parametrize("code, full", [(errno.ENOSPC, True), (errno.EROFS, False)])
def test_what_a_disk_refuses_is_not_accepted_and_does_not_come_back(
    tmp_path, monkeypatch, code, full
):
    log = EventLog(tmp_path)
    log.append([{"event_id": "a"}])
    write = os.write

    def half(file, data):
        write(file, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(NotStored, match="could not be written") as refused:
        log.append([{"event_id": "b"}])
    assert refused.value.full == full
    monkeypatch.undo()
    log.append([{"event_id": "c"}])
    log.close()
    assert stored(tmp_path) == ["a", "c"]


def test_a_folder_that_cannot_be_written_refuses_events_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    log = EventLog(tmp_path / "file" / "log")
    assert not [*log.replay()]
    with pytest.raises(NotStored, match="events cannot be kept here"):
        log.append([{"event_id": "a"}])


def test_a_merge_that_was_cut_short_counts_no_event_twice(tmp_path):
    wanted = write(tmp_path, 40, rotate=600, compact=100)
    segments = sorted(tmp_path.glob("events-*.log"))
    copies = {path: path.read_bytes() for path in segments}
    log = EventLog(tmp_path)
    log.compact(3)
    log.close()
    for path in segments[:3]:  # as if the process had ended before it deleted them
        path.write_bytes(copies[path])
    assert stored(tmp_path) == wanted
    assert not any(path.exists() for path in segments[:3])
    first = (tmp_path / "snapshot.log").read_bytes()[len(MAGIC) + HEAD.size :]
    assert json.loads(first[: first.index(b"}") + 1]) == {"compacted": 3}
