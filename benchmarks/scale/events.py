"""Time and memory of preparing events from disk to disk, over how many there are.

``python -m benchmarks.scale.events`` measures and writes ``benchmarks/scale/events.json``; it needs
DuckDB (``make scale``). Events are drawn: a user for every 100, an item for every 1,000, of skewed
popularity, in the order of time, as a log has them.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtrec.files import write_text

FILE = Path(__file__).with_name("events.json")
DRAW = """
import sys, duckdb
rows, file = int(sys.argv[1]), sys.argv[2]
duckdb.sql('SET enable_progress_bar = false')
duckdb.sql(f'''COPY (
  SELECT CAST(hash(i) % {max(rows // 100, 1)} AS INT) AS user_id,
         CAST(floor({max(rows // 1000, 1)} * pow((hash(i + {rows}) % 1000003) / 1000003, 2)) AS INT)
           AS item_id,
         1500000000 + i * 0.5 AS timestamp, 1 + hash(i + 2 * {rows}) % 5 AS rating
  FROM range({rows}) AS t(i)) TO '{file}' (FORMAT parquet)''')
"""
PREPARE = """
import resource, sys
from pathlib import Path
from mtrec.scale.events import prepare
prepare(sys.argv[1], Path(sys.argv[2]), memory=sys.argv[3], threads=2, ordered=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss // 1024, used.ru_utime + used.ru_stime)
"""


def measure(rows: int, memory: str) -> dict[str, Any]:
    """One point of the curve, in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw.parquet", Path(folder) / "out"
        subprocess.run([sys.executable, "-c", DRAW, str(rows), str(raw)], check=True)
        start = time.perf_counter()
        command = [sys.executable, "-c", PREPARE, str(raw), str(out), memory]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        written = sum(file.stat().st_size for file in out.glob("*.parquet"))
    megabytes, used = map(float, done.stdout.split())
    return {
        "events": rows, "seconds": round(seconds, 2), "processor_seconds": round(used, 2),
        "memory_megabytes": round(megabytes), "limit": memory,
        "written_megabytes": round(written / 1e6),
    }  # fmt: skip


def exponent(curve: Sequence[dict[str, Any]]) -> float:
    """Slope of log processor time over log events between the last two sizes."""
    (few, short), (many, long) = [(p["events"], p["processor_seconds"]) for p in curve[-2:]]
    return math.log(long / short) / math.log(many / few)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; sizes that are not asked for keep what is known of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args(arguments)
    known = json.loads(chosen.out.read_text()) if chosen.out.is_file() else []
    curve = {point["events"]: point for point in known}
    for rows in chosen.events:
        curve[rows] = measure(rows, chosen.memory)
        print(curve[rows], flush=True)
        write_text(chosen.out, json.dumps([curve[n] for n in sorted(curve)], indent=1) + "\n")
    ordered = [curve[n] for n in sorted(curve)]
    if len(ordered) > 1:
        print(
            f"processor time grows with events to the power of {exponent(ordered):.2f}", flush=True
        )


if __name__ == "__main__":
    main()
