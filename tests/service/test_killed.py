"""A service that is killed at random moments under load: what it acknowledged is there, once.

``MTREC_KILLS=100 pytest tests/service/test_killed.py`` kills it a hundred times.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

from mtrec.service.log import EventLog

KILLS = int(os.environ.get("MTREC_KILLS", "3"))
SERVICE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import uvicorn
from mtrec.service.app import make_app
from mtrec.service.live import Live
from mtrec.service.log import EventLog
from mtrec.service.metrics import Metrics
state = SimpleNamespace(now=0, users=[0], items=[0], check=lambda e: None)
answers = SimpleNamespace(state=state, version="none", note=lambda event: False, unread={})
bundle = SimpleNamespace(answers=answers, state=state, data="data", about={})
live = Live(bundle, EventLog(Path(sys.argv[1]), rotate=30_000, compact=3), Metrics())
uvicorn.run(make_app(live), port=int(sys.argv[2]), log_level="error")
"""


def send(port, name, told, stop):
    """Send events one request after another until the service is gone; note what it accepted."""
    number = 0
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            while not stop.is_set():
                number += 1
                ids = [f"{name}-{number}-{part}" for part in range(3)]
                events = [{"event_id": one, "user_id": "u", "item_id": "i"} for one in ids]
                connection.request("POST", "/events", json.dumps({"events": events}))
                answer = connection.getresponse()
                if answer.status == 200 and json.loads(answer.read())["accepted"] == 3:
                    told.extend(ids)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)
        finally:
            connection.close()


def test_what_was_acknowledged_before_kill_9_is_there_and_none_twice(tmp_path):
    draw, told, port = random.Random(0), [], 20_000 + os.getpid() % 20_000
    for kill in range(KILLS):
        service = subprocess.Popen([sys.executable, "-c", SERVICE, tmp_path, str(port)])
        stop, before = threading.Event(), len(told)
        senders = [
            threading.Thread(target=send, args=(port, f"{kill}-{n}", told, stop)) for n in range(3)
        ]
        for sender in senders:
            sender.start()
        while len(told) == before:
            assert service.poll() is None
            time.sleep(0.01)
        time.sleep(draw.random() * 0.4)
        service.send_signal(signal.SIGKILL)
        service.wait()
        stop.set()
        for sender in senders:
            sender.join()
        log = EventLog(tmp_path, say=lambda _: None)
        found = Counter(event["event_id"] for event in log.replay())
        log.close()
        assert set(told) <= set(found)
        assert max(found.values()) == 1
    assert len(told) > 3 * KILLS


def test_a_service_that_is_told_to_stop_lets_go_of_its_log(tmp_path):
    port = 20_000 + (os.getpid() + 7) % 20_000
    service = subprocess.Popen([sys.executable, "-c", SERVICE, tmp_path, str(port)])
    told, stop = [], threading.Event()
    sender = threading.Thread(target=send, args=(port, "a", told, stop))
    sender.start()
    while not told:
        time.sleep(0.01)
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=30) in (0, -signal.SIGTERM)
    stop.set()
    sender.join()
    log = EventLog(tmp_path)
    assert set(told) <= {event["event_id"] for event in log.replay()}
    log.close()
