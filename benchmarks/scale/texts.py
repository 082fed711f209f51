"""What ``mtrec embed`` costs: a plain loop, one process, two and four, and a Ray cluster.

``python -m benchmarks.scale.texts`` measures and writes ``benchmarks/scale/texts.json``; see
:mod:`benchmarks.scale.ways`. Each way reads the same blocks of texts of a domain with tables, into
an empty cache of its own.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scale import ways
from benchmarks.scale.ways import Way
from mtrec.config import experiment
from mtrec.scale.texts import Block, blocks_of
from mtrec.tables import schema

FILE = Path(__file__).with_name("texts.json")
BLOCKS = """
import pickle, sys
from pathlib import Path
from mtrec.scale import texts
cache, raw, given = map(Path, sys.argv[1:4])
blocks = pickle.loads(given.read_bytes())
"""
LOOP = f"""{BLOCKS}
read = texts.open_reading(blocks, raw)
for number in range(len(blocks)):
    for name, content in pickle.loads(read(number)):
        (cache / name).write_bytes(content)
"""
COMMAND = f"""{BLOCKS}
workers, ray = sys.argv[4:]
texts.fill(cache, blocks, raw, int(workers) or None, ray or None)
"""


def measure(domain: str, blocks: Sequence[Block], raw: Path, way: Way) -> dict[str, Any]:
    """Seconds of one way."""
    with tempfile.TemporaryDirectory() as folder:
        cache, given = Path(folder) / "cache", Path(folder) / "blocks.pickle"
        cache.mkdir()
        given.write_bytes(pickle.dumps([*blocks]))
        took = way.run(LOOP, COMMAND, cache, raw, given)
        digest = ways.digest(cache.iterdir())
    texts = sum(len(one.texts) for one in blocks)
    return {
        "domain": domain, "way": str(way), "blocks": len(blocks), "texts": texts, **took,
        "sha256": digest,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = ways.parser(__doc__, FILE, (1, 2, 4))
    parser.add_argument("--blocks", type=int, default=6, help="at most, of 512 texts each")
    chosen = parser.parse_args(arguments)
    run = experiment(chosen.domain)
    blocks = blocks_of(run, schema.read(run.paths.tables))[: chosen.blocks]
    ways.compare(chosen, partial(measure, chosen.domain, blocks, run.paths.raw))


if __name__ == "__main__":
    main()
