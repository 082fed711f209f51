"""Whether a model folder is the one that was trained: whole, or refused.

Two things say what the folder should be. ``dvc.lock``, which is committed, has the MD5 of each
model folder as DVC counts it: of the sorted list of names and MD5s of its files. And a manifest
``models/<domain>.manifest.json``, beside the folder, lists every file with its SHA-256, the commit
and the hash of the data. It is made from a folder that ``dvc.lock`` confirms, by ``mtrec seal`` and
by ``mtrec serve`` when there is none, and travels with the folder where there is no DVC.

The stage ``training`` does not write it: that would retrain six domains for a file that follows
from what is committed already, and a commit cannot be named before it is made. Loading never
writes: a stage that loads a model would otherwise leave a file that is none of its outputs.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from mtrec.files import write_text
from mtrec.paths import Paths

MEND = "Restore the folder: `dvc checkout {folder}`, or `make repro DOMAIN={domain}`."


class DamagedError(ValueError):
    """A model folder is not the one that was trained; the message names the file."""


@dataclass(frozen=True)
class Manifest:
    """What a model folder holds.

    Attributes:
        files: SHA-256 by name.
        folder: MD5 of the folder as ``dvc.lock`` has it.
        data: MD5 of the tables that it was trained on, as ``dvc.lock`` has it; empty without.
        commit: of the repository when the manifest was made; empty without.
    """

    files: dict[str, str]
    folder: str
    data: str
    commit: str

    @property
    def version(self) -> str:
        """A short name of exactly these files."""
        listed = json.dumps(sorted(self.files.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:12]


def manifest_path(paths: Paths) -> Path:
    """The manifest of a domain's model folder."""
    return paths.trained.with_name(f"{paths.domain}.manifest.json")


def check(paths: Paths) -> Manifest:
    """Compare a model folder with what is known of it.

    Returns:
        What the folder holds. Where neither ``dvc.lock`` nor a manifest knows the folder (tests,
        models made in Python), nothing is compared.

    Raises:
        FileNotFoundError: there is no such folder.
        DamagedError: a file differs, is missing, or does not belong there.
    """
    folder = paths.trained
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such model. Run `make repro`, or `dvc pull` from a remote that has it."
        )
    mend = MEND.format(folder=folder.relative_to(paths.root), domain=paths.domain)
    found = _look(folder)
    locked, data = _locked(paths)
    kept = read(paths)
    if locked and kept is not None and kept.folder != locked:
        kept = None  # of an earlier training
    if kept is not None:
        for name in sorted(found.files.keys() | kept.files.keys()):
            if found.files.get(name) != kept.files.get(name):
                said = (
                    "does not belong there" if name not in kept.files
                    else "is missing" if name not in found.files
                    else "is not the one that was trained: its SHA-256 differs"
                )  # fmt: skip
                raise DamagedError(f"{folder / name}: {said}. {mend}")
    elif locked and found.folder != locked:
        name = _differing(paths, folder, locked)
        where = folder / name if name else folder
        raise DamagedError(f"{where}: not what training wrote by dvc.lock: its MD5 differs. {mend}")
    return Manifest(found.files, found.folder, data, kept.commit if kept else "")


def read(paths: Paths) -> Manifest | None:
    """The manifest, if there is one.

    Raises:
        DamagedError: it cannot be read.
    """
    file = manifest_path(paths)
    if not file.is_file():
        return None
    try:
        return Manifest(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise DamagedError(
            f"{file}: damaged. Delete it, and `mtrec seal {paths.domain}` makes it anew."
        ) from None


def seal(paths: Paths) -> Manifest:
    """Write the manifest of a folder that is whole as far as is known.

    Raises:
        DamagedError: see :func:`check`.
    """
    found = check(paths)
    made = Manifest(found.files, found.folder, found.data, _commit(paths.root))
    write_text(manifest_path(paths), json.dumps(asdict(made), indent=1) + "\n")
    return made


def _look(folder: Path) -> Manifest:
    """Hashes of a folder's files, each read once."""
    sha, md5 = {}, []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        sha[path.name] = hashlib.sha256(data).hexdigest()
        md5.append({"md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
                    "relpath": path.name})  # fmt: skip
    listed = json.dumps(sorted(md5, key=lambda one: one["relpath"]), sort_keys=True)
    folder_md5 = hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()
    return Manifest(sha, f"{folder_md5}.dir", "", "")


def _locked(paths: Paths) -> tuple[str, str]:
    """Hashes of model folder and tables in ``dvc.lock``; empty where it has none."""
    file = paths.root / "dvc.lock"
    if not file.is_file():
        return "", ""
    stages = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader).get("stages", {})
    stage = stages.get(f"training@{paths.domain}", {})
    known = {one["path"]: one["md5"] for part in ("outs", "deps") for one in stage.get(part, ())}
    places = (paths.trained, paths.tables)
    model, data = (known.get(str(place.relative_to(paths.root)), "") for place in places)
    return model, data


def _differing(paths: Paths, folder: Path, locked: str) -> str:
    """The first file that differs, if DVC's cache still lists what the folder should hold."""
    listing = paths.root / ".dvc" / "cache" / "files" / "md5" / locked[:2] / locked[2:]
    if not listing.is_file():
        return ""
    wanted = {one["relpath"]: one["md5"] for one in json.loads(listing.read_text())}
    for name in sorted(wanted.keys() | {path.name for path in folder.iterdir()}):
        path = folder / name
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != wanted.get(name):
            return name
    return ""


def _commit(root: Path) -> str:
    """The commit of the repository, empty if it is none."""
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
