"""Run the executed notebooks of one domain again, in a copy of the tracked files, and compare.

The copy keeps the pipeline's own outputs out of reach: a rerun must not change what is being
checked, nor find what an earlier stage left behind.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_tracked(target: Path) -> None:
    """Copy tracked files to ``target`` and link ``data/`` there."""
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "data").symlink_to(ROOT / "data")


def run(target: Path, notebooks: list[str]) -> int:
    """Run nbval on notebooks below ``target``; 0 if every compared output is the same."""
    options = ["--nbval", "--nbval-kernel-name", "python3", "--nbval-cell-timeout", "3600"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run([*command, *notebooks], cwd=target, check=False).returncode


def main(domain: str) -> int:
    """Check all notebooks of ``domain``, in order."""
    target = ROOT / "build" / "nbval"
    copy_tracked(target)
    folder = ROOT / "reports" / domain
    notebooks = sorted(f"reports/{domain}/{path.name}" for path in folder.glob("*.ipynb"))
    return run(target, notebooks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
