"""What ``mtrec score`` costs: a plain loop, one process, two, and a Ray cluster of two cores.

``python -m benchmarks.scale.scoring`` measures and writes ``benchmarks/scale/scoring.json``; see
:mod:`benchmarks.scale.ways`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.scale import ways
from benchmarks.scale.ways import Way

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


def measure(domain: str, way: Way) -> dict[str, Any]:
    """Seconds of one way."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lists.parquet"
        took = way.run(LOOP, COMMAND, domain, out)
        digest = "" if way.workers is None else sha256(out.read_bytes()).hexdigest()[:16]
        users = pq.read_table(out, columns=["user_id"])["user_id"].unique()
    return {"domain": domain, "way": str(way), "users": len(users), **took, "sha256": digest}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    chosen = ways.parser(__doc__, FILE).parse_args(arguments)
    ways.compare(chosen, partial(measure, chosen.domain))


if __name__ == "__main__":
    main()
