"""What ``mtrec score`` costs: a plain loop, one process, two, and a Ray cluster of two cores.

``python -m benchmarks.scale.scoring`` measures and writes ``benchmarks/scale/scoring.json``.
Seconds of the processor are said beside those of the clock, which other work on the machine
prolongs; both include loading TensorFlow and the model, once per process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mtrec.files import write_text
from mtrec.scale.processes import ONE_CORE

FILE = Path(__file__).with_name("scoring.json")
LOOP = """
import sys
from pathlib import Path
from mtrec.scale import score
job = score.plan(sys.argv[1], Path(sys.argv[2]), 10, 2000, None)
lists = score.open_lists(job.domain, job.paths.root, job.k, job.size, job.among)
job.folder.mkdir(parents=True)
for number in job.parts:
    job.part(number).write_bytes(lists(number))
score._join(job)
"""
COMMAND = """
import sys
from pathlib import Path
from mtrec.scale.score import score
domain, out, workers, ray = sys.argv[1:]
score(domain, Path(out), workers=int(workers) or None, ray=ray or None)
"""


def measure(domain: str, workers: int | None, ray: str | None = None) -> dict[str, Any]:
    """Seconds of one way; ``workers`` None for the loop, 0 for all of a cluster."""
    code = LOOP if workers is None else COMMAND
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lists.parquet"
        command = [sys.executable, "-c", code, domain, str(out), str(workers or 0), ray or ""]
        before, start = os.times(), time.perf_counter()
        subprocess.run(command, check=True, env=os.environ | ONE_CORE, stderr=subprocess.DEVNULL)
        seconds, after = time.perf_counter() - start, os.times()
        digest = sha256(out.read_bytes()).hexdigest() if workers is not None else ""
        users = pq.read_table(out, columns=["user_id"])["user_id"].unique()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    way = "loop" if workers is None else "ray" if ray else f"{workers} processes"
    return {
        "domain": domain, "way": way, "users": len(users), "seconds": round(seconds, 1),
        "processor_seconds": None if ray else round(used, 1), "sha256": digest[:16],
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--domain", default="video")
    parser.add_argument("--ray", help="address of a cluster to measure, too")
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args(arguments)
    rows = []
    ways: list[tuple[int | None, str | None]] = [(None, None), (1, None), (2, None)]
    if chosen.ray:
        ways.append((0, chosen.ray))
    for workers, ray in ways:
        rows.append(measure(chosen.domain, workers, ray))
        print(rows[-1], flush=True)
    write_text(chosen.out, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
