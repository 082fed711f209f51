"""A model folder is whole, or refused in one sentence that names the file."""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import yaml

from mtrec.files import SUMS
from mtrec.paths import Paths
from mtrec.serving import manifest
from mtrec.serving.archive import HostileError, check_folder
from mtrec.serving.manifest import DamagedError

LIMIT = 512 << 20


def weights(fill=None):
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file["layers/dense/vars/0"] = np.arange(64.0)
        if fill:
            fill(file)
    return held.getvalue()


def keras(path, config=None, members=None, h5=None):
    config = config or {"class_name": "Functional", "module": "keras.src.models.functional"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", h5 or weights())
        for name, content in (members or {}).items():
            archive.writestr(name, content)


@pytest.fixture
def paths(tmp_path):
    """A folder as training leaves it, with the list of its files."""
    found = Paths(tmp_path, "tiny")
    found.trained.mkdir(parents=True)
    keras(found.trained / "joint.keras")
    np.savez(found.trained / "encoder.npz", a=np.arange(9))
    (found.trained / "encoder.json").write_text(json.dumps({"history_length": 4}))
    (found.trained / "tasks.json").write_text(json.dumps({"rating": {"scale": 1.25}}))
    lock(found)
    return found


def lock(paths):
    """Write the list of the folder and ``dvc.lock``, independently of what reads them."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(paths.trained.iterdir())
        if file.name != SUMS
    ]
    (paths.trained / SUMS).write_text("".join(lines))
    stage = {"deps": [{"path": "artifacts/tiny/tables", "md5": "abc.dir"}]}
    (paths.root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"training@tiny": stage}}))


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("sealed", [True, False], ids=["manifest", "list alone"])
def test_a_single_flipped_bit_in_any_file_is_found_and_its_file_named(paths, sealed):
    if sealed:
        manifest.seal(paths)
        (paths.trained / SUMS).unlink()
    draw = random.Random(0)
    for file in sorted(paths.trained.iterdir()):
        whole = file.read_bytes()
        said = "" if file.name == SUMS else f"{file.name}: .*differs. "  # a list may name any file
        for _ in range(12):
            flip(file, draw.randrange(8 * len(whole)))
            with pytest.raises(DamagedError, match=f"{said}Restore the folder:"):
                manifest.check(paths)
            file.write_bytes(whole)
    manifest.check(paths)


@pytest.mark.parametrize("sealed", [True, False], ids=["manifest", "list alone"])
def test_a_file_too_many_or_too_few_is_named(paths, sealed):
    if sealed:
        manifest.seal(paths)
    (paths.trained / "extra.npz").write_bytes(b"1")
    with pytest.raises(DamagedError, match="extra.npz"):
        manifest.check(paths)
    (paths.trained / "extra.npz").unlink()
    (paths.trained / "tasks.json").unlink()
    with pytest.raises(
        DamagedError, match="tasks.json.*`dvc checkout models/tiny`, or `make repro"
    ):
        manifest.check(paths)


def test_a_manifest_says_what_it_is_a_manifest_of(paths):
    subprocess.run(["git", "init", "-q"], cwd=paths.root, check=True)
    made = manifest.seal(paths)
    assert made.files.keys() == {file.name for file in paths.trained.iterdir()} - {SUMS}
    tasks = (paths.trained / "tasks.json").read_bytes()
    assert made.files["tasks.json"] == hashlib.sha256(tasks).hexdigest()
    assert made.data == "abc.dir"
    assert manifest.read(paths) == made
    assert manifest.check(paths).version == made.version
    written = manifest.manifest_path(paths).read_bytes()
    manifest.seal(paths)
    assert manifest.manifest_path(paths).read_bytes() == written  # nothing of the moment


def test_a_manifest_of_an_earlier_training_is_not_held_against_the_next(paths):
    first = manifest.seal(paths)
    (paths.trained / "tasks.json").write_text(json.dumps({"rating": {"scale": 2.5}}))
    with pytest.raises(DamagedError, match="tasks.json"):
        manifest.check(paths)
    lock(paths)
    assert manifest.check(paths).version != first.version


def test_a_damaged_manifest_is_named(paths):
    manifest.manifest_path(paths).write_text("{")
    with pytest.raises(DamagedError, match="Delete it, and `mtrec seal tiny` makes it anew"):
        manifest.check(paths)


def test_a_model_that_nothing_is_known_of_is_taken_as_it_is(paths):
    (paths.trained / SUMS).unlink()
    (paths.root / "dvc.lock").unlink()
    assert len(manifest.check(paths).version) == 12


def bomb(path):
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed, packed.open("a.npy", "w", force_zip64=True) as member:
        for _ in range(64):
            member.write(bytes(16 << 20))


def lying(path):
    """An array that says that it is larger than it is."""
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        held, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", held.getvalue())


def object_array(path):
    np.savez(path, a=np.array([{}], dtype=object))


def lambda_layer(folder):
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "4wAA"}}
    keras(folder / "joint.keras", {"class_name": "Functional", "config": {"layers": [layer]}})


def foreign(folder):
    layer = {"class_name": "system", "module": "os", "registered_name": None}
    keras(folder / "joint.keras", {"class_name": "Functional", "config": {"layers": [layer]}})


def big_weights(file):
    file.create_dataset("big", shape=(1 << 34,), dtype="f8", compression="gzip", chunks=(1 << 10,))


def outside(file):
    file.create_dataset("big", shape=(8,), dtype="f8", external=[("/etc/passwd", 0, 64)])


HOSTILE = {
    "a path out of the folder": lambda f: keras(f / "joint.keras", members={"../evil.py": "x"}),
    "an absolute path": lambda f: keras(f / "joint.keras", members={"/tmp/evil.py": "x"}),
    "a member more": lambda f: keras(f / "joint.keras", members={"evil.py": "x"}),
    "a Lambda layer": lambda_layer,
    "an object of another module": foreign,
    "weights that link to another file": lambda f: keras(
        f / "joint.keras",
        h5=weights(lambda file: file.__setitem__("evil", h5py.ExternalLink("/etc/passwd", "/"))),
    ),
    "weights that lie in another file": lambda f: keras(f / "joint.keras", h5=weights(outside)),
    "weights larger than their file": lambda f: keras(f / "joint.keras", h5=weights(big_weights)),
    "an archive that unpacks to far more": lambda f: bomb(f / "state.npz"),
    "an array larger than its member": lambda f: lying(f / "state.npz"),
    "an array of pickled objects": lambda f: object_array(f / "state.npz"),
    "a file of another kind": lambda f: (f / "evil.pkl").write_bytes(b"cos\nsystem\n"),
    "a link to another file": lambda f: os.symlink("/etc/passwd", f / "state.json"),
    "a folder within": lambda f: (f / "more").mkdir(),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_model_holds_is_refused(paths, what):
    check_folder(paths.trained)
    HOSTILE[what](paths.trained)
    with pytest.raises(HostileError) as refused:
        check_folder(paths.trained)
    assert str(paths.trained) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_hostile_files_are_refused_within_little_memory(paths):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from mtrec.serving.archive import HostileError, check_folder\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))\n"
        "try: check_folder(Path(sys.argv[1]))\n"
        "except HostileError: print('refused')\n"
    )
    HOSTILE["an archive that unpacks to far more"](paths.trained)
    done = subprocess.run(
        [sys.executable, "-c", code, paths.trained], capture_output=True, text=True
    )
    assert done.stdout == "refused\n", done.stderr


@pytest.mark.parametrize("name", ["joint.keras", "encoder.npz", "encoder.json"])
def test_a_file_cut_short_is_damaged_and_says_how_to_restore_it(paths, name):
    file = paths.trained / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf"{name}: damaged .*`dvc checkout`"):
        check_folder(paths.trained)


def test_bits_flipped_in_archives_without_a_manifest_raise_nothing_raw(paths):
    draw = random.Random(1)
    for name in ("joint.keras", "encoder.npz"):
        file = paths.trained / name
        whole = file.read_bytes()
        for _ in range(60):
            flip(file, draw.randrange(8 * len(whole)))
            try:
                check_folder(paths.trained)
            except ValueError as error:
                assert str(file) in str(error)
            file.write_bytes(whole)
