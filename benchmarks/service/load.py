"""An open-loop load on `/recommend` over the loopback, with and without events beside it.

``python -m benchmarks.service.load`` makes a synthetic domain, starts two services in processes of
their own (ours, and a plain endpoint that calls ``Recommender.recommend``) and sends each the same
requests. A request is sent when its time has come, whatever became of the ones before it, and its
latency counts from that time: a service that stalls is not spared the requests it would have got.

``--serve asked.har`` sends nothing, and writes a thousand requests for a tool of one's own, such as
``npx autocannon --har asked.har --overallRate 200 --duration 60 http://127.0.0.1:8311``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request

TIMER = 2e-3  # seconds that a timer of the loop may be late


def served(plain: bool, items: int, users: int, port: int) -> None:
    """Serve a synthetic domain until killed."""
    import uvicorn

    from benchmarks.models import synthetic
    from mtrec import cores
    from mtrec.domains.online import Online, Running
    from mtrec.service.answer import Answers
    from mtrec.service.app import make_app
    from mtrec.service.bundle import Bundle
    from mtrec.service.live import Live
    from mtrec.service.log import EventLog
    from mtrec.service.metrics import Metrics
    from mtrec.service.run import collect_once
    from mtrec.service.schemas import Recommend
    from mtrec.service.state import State

    cores.keep_to_one_core()
    made = synthetic.tables(events=items // 5, users=users, items=items, tasks=1, seed=5)
    domain = synthetic.domain(1, ranking=True)
    found = synthetic.recommender(made, domain, seed=5)
    if plain:
        app = plain_app(found)
        found.recommend(found.assembly.encoder.user.ids[0])
    else:
        state = State(found, made, domain.tasks, Online((Running("user", "", "x"),)))
        answers = Answers(found, state, made, domain.tasks, "synthetic")
        answers.lists.recommend(Recommend())
        log = EventLog(Path(tempfile.mkdtemp()))
        app = make_app(Live(Bundle(answers, "data", {}), log, Metrics()))
    collect_once()
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def plain_app(recommender: Any) -> Any:
    """What one would write first."""
    app = FastAPI()

    @app.post("/recommend")
    async def recommend(request: Request) -> list:
        asked = await request.json()
        found = recommender.recommend(asked["user_id"], asked["k"])
        return found.to_dict("records")

    @app.get("/health")
    def health() -> str:
        return "ok"

    return app


async def request(port: int, path: str, body: bytes, pool: list) -> int:
    """Status of one request, over a connection that is kept if the service has not closed it."""
    asked = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (
        path.encode(), len(body),
    )  # fmt: skip
    head = b""
    while not head:
        kept = bool(pool)
        reader, writer = pool.pop() if kept else await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked + body)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            if not kept:
                raise
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if b"content-length" in line
    )
    await reader.readexactly(length)
    pool.append((reader, writer))
    return int(head.split(b" ", 2)[1])


async def until(moment: float) -> None:
    """Wait for a moment more closely than the loop's timers, which are a millisecond late."""
    await asyncio.sleep(max(0.0, moment - time.perf_counter() - TIMER))
    while time.perf_counter() < moment:
        await asyncio.sleep(0)


async def load(
    port: int, rate: float, seconds: float, users: int, events: float = 0.0
) -> dict[str, float]:
    """Latencies of an open loop, in milliseconds."""
    draw = np.random.default_rng(1)
    late: list[float] = []
    seen: list[float] = []
    failed, accepted, pool = 0, 0, []  # type: ignore[var-annotated]
    start = time.perf_counter() + 0.5

    async def one(at: float) -> None:
        nonlocal failed
        await until(start + at)
        body = json.dumps({"user_id": f"u{draw.integers(users):08d}", "k": 10}).encode()
        status = await request(port, "/recommend", body, pool)
        late.append((time.perf_counter() - start - at) * 1e3)
        failed += status != 200

    async def tell(number: int, at: float, size: int) -> None:
        nonlocal accepted
        await until(start + at)
        body = json.dumps({"events": [
            {"event_id": f"{number}-{n}", "user_id": f"u{draw.integers(users):08d}",
             "item_id": f"i{draw.integers(1000):08d}"} for n in range(size)
        ]}).encode()  # fmt: skip
        began = time.perf_counter()
        status = await request(port, "/events", body, pool)
        if status != 200 and not number:
            print(status, body[:200])
        accepted += size * (status == 200)
        seen.append((time.perf_counter() - began) * 1e3)

    arrivals = np.cumsum(draw.exponential(1 / rate, int(rate * seconds)))
    jobs = [one(float(at)) for at in arrivals]
    size = 100
    if events:
        count = int(events * seconds / size)
        jobs += [tell(n, n * size / events, size) for n in range(count)]
    await asyncio.gather(*jobs)
    took = time.perf_counter() - start
    found = {f"p{q:g}": float(np.percentile(late, q)) for q in (50, 90, 99, 99.9)}
    found |= {"requests/s": len(late) / took, "failed": failed}
    if seen:
        found |= {"events/s": accepted / took, "accepted p99": float(np.percentile(seen, 99))}
    return {name: round(value, 2) for name, value in found.items()}


async def visible(port: int, times: int = 100) -> dict[str, float]:
    """Milliseconds from sending an event to the first list without its item."""
    pool: list = []
    found = []
    for n in range(times):
        body = {"user_id": f"u{n:08d}", "k": 1}
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        best = (await answer(port, body))["items"][0]["item_id"]
        began = time.perf_counter()
        told = {"events": [{"event_id": f"v{n}", "user_id": f"u{n:08d}", "item_id": best}]}
        await request(port, "/events", json.dumps(told).encode(), pool)
        while (await answer(port, body))["items"][0]["item_id"] == best:
            pass
        found.append((time.perf_counter() - began) * 1e3)
        writer.close()
    return {f"visible p{q}": round(float(np.percentile(found, q)), 2) for q in (50, 99)}


async def answer(port: int, body: dict) -> dict:
    """The answer of one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    writer.write(
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        % len(data)
        + data
    )
    found = await reader.read()
    writer.close()
    return json.loads(found.split(b"\r\n\r\n", 1)[1])


async def wait(port: int) -> None:
    """Until a service listens."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.5)


def run(coroutine: Any) -> Any:
    """As ``asyncio.run``; on uvloop, so that the client is not what is measured."""
    import uvloop

    gc.disable()  # its pauses would be the client's, not the service's
    return uvloop.run(coroutine)


def archive(users: int, port: int, count: int = 1000) -> dict:
    """Requests as an HTTP archive, which load tools read."""
    draw = np.random.default_rng(1)
    entries = []
    for user in draw.integers(users, size=count):
        text = json.dumps({"user_id": f"u{user:08d}", "k": 10})
        asked = {"method": "POST", "url": f"http://127.0.0.1:{port}/recommend", "headers": []}
        kind = {"mimeType": "application/json", "text": text}
        entries.append({"request": {**asked, "postData": kind}})
    return {"log": {"version": "1.2", "entries": entries}}


def held(users: int, items: int) -> dict[str, float]:
    """Bytes that a service holds for its users, as Python and NumPy count them."""
    import tracemalloc

    from benchmarks.models import synthetic
    from mtrec.domains.online import Online, Running
    from mtrec.features.encoder import usable_events
    from mtrec.service.state import State

    made = synthetic.tables(events=3 * users, users=users, items=items, tasks=1, seed=5)
    domain = synthetic.domain(1, ranking=True)
    found = synthetic.recommender(made, domain, seed=5)
    tracemalloc.start()
    events = usable_events(made, found.assembly.encoder)
    state = State(found, made, domain.tasks, Online((Running("user", "", "x"),)))
    gib = tracemalloc.get_traced_memory()[0] / 2**30
    per_million = round(gib / len(state.users) * 1e6, 3)
    return {"users": users, "events": len(events.user), "GiB per million users": per_million}


def main() -> None:
    """Print one line per load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--events", type=float, default=0.0, help="a second, beside the requests")
    parser.add_argument("--memory", action="store_true", help="of users alone; no load")
    parser.add_argument("--serve", type=Path, help="only serve, and write requests to this file")
    chosen = parser.parse_args()
    if chosen.serve:
        chosen.serve.write_text(json.dumps(archive(chosen.users, 8311)), encoding="utf-8")
        served(False, chosen.items, chosen.users, 8311)
        return
    if chosen.memory:
        print(held(chosen.users, chosen.items), flush=True)
        return
    for plain, port in ((False, 8311), (True, 8312)):
        process = multiprocessing.get_context("spawn").Process(
            target=served, args=(plain, chosen.items, chosen.users, port), daemon=True
        )
        process.start()
        run(wait(port))
        name = "plain endpoint" if plain else "mtrec serve"
        run(load(port, 20, 3, chosen.users))
        seconds = chosen.seconds / 6 if plain else chosen.seconds  # it only falls behind
        print(name, run(load(port, chosen.rate, seconds, chosen.users)), flush=True)
        if not plain:
            print(name, run(visible(port)), flush=True)
            if chosen.events:
                found = load(port, chosen.rate / 10, 10, chosen.users, chosen.events)
                print(name, "with events", run(found), flush=True)
        status = Path(f"/proc/{process.pid}/status").read_text()
        size = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        print(name, "memory", size.split(":")[1].strip(), "load", os.getloadavg(), flush=True)
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
