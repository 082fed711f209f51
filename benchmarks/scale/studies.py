"""What ``mtrec study --workers`` costs: plain processes one by one, the engine with one, two, four.

``python -m benchmarks.scale.studies`` measures and writes ``benchmarks/scale/studies.json``; see
:mod:`benchmarks.scale.ways`. The pieces are a study of sparse data, made short, of every domain
that it is meant for; all of them have the tables and text vectors of one, so that they take like
times. Each way works in a repository of its own, without results.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scale import ways
from benchmarks.scale.ways import Way
from mtrec.paths import find_root
from mtrec.registry import STUDIES

FILE = Path(__file__).with_name("studies.json")
PART, SETTINGS = "sparse_data", "sparse"  # the study, and its block of params.yaml
NAMES = STUDIES.domains[PART]
COMMANDS = f"""
import subprocess, sys
from pathlib import Path
root = Path(sys.argv[1])
commands = [["study", name, "--part", "{PART}", "--as-is"] for name in {NAMES}]
"""
LOOP = f"""{COMMANDS}
for command in commands:
    subprocess.run([sys.executable, "-m", "mtrec.cli", *command], cwd=root, check=True)
"""
COMMAND = f"""{COMMANDS}
from mtrec.scale import commands as side_by_side
workers, ray = sys.argv[2:]
sys.exit(max(side_by_side.run(commands, root, ray or None, int(workers) or None)))
"""


def measure(root: Path, domain: str, epochs: int, way: Way) -> dict[str, Any]:
    """Seconds of one way."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _repository(root, place, domain, epochs)
        took = way.run(LOOP, COMMAND, place)
        found = [*(place / "reports" / "study").iterdir()]
        if len(found) != len(NAMES):
            raise OSError(f"{way}: {len(found)} of {len(NAMES)} studies have results.")
        digest = ways.digest(found)
    return {
        "domain": domain, "part": PART, "epochs": epochs, "way": str(way), "pieces": len(NAMES),
        **took, "sha256": digest,
    }  # fmt: skip


def _repository(root: Path, place: Path, domain: str, epochs: int) -> None:
    """A repository whose domains are copies of one, with a short study of few rows."""
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params[SETTINGS] |= {"levels": [0.2], "seeds": 2, "epochs": epochs, "share": 0.1}
    own = {"module": domain} | params["domains"][domain]
    params["domains"] = dict.fromkeys(NAMES, own)
    (place / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copy(root / "dvc.yaml", place)
    (place / "data").symlink_to(root / "data")
    for name in NAMES:
        for part in ("tables", "embeddings"):
            shutil.copytree(root / "artifacts" / domain / part, place / "artifacts" / name / part)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = ways.parser(__doc__, FILE, (1, 2, 4))
    parser.add_argument("--epochs", type=int, default=4, help="at most, of each training")
    chosen = parser.parse_args(arguments)
    ways.compare(chosen, partial(measure, find_root(), chosen.domain, chosen.epochs))


if __name__ == "__main__":
    main()
