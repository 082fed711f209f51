"""``.keras`` files whose bytes depend on the model alone."""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from pathlib import Path

import keras

import mtrec.models.below  # noqa: F401  (registers the layers that a file may name)
from mtrec.files import EPOCH, whole
from mtrec.models.model import MultiTaskModel
from mtrec.registry import HEADS, SHARED_LAYERS


def save_model(model: MultiTaskModel, path: Path) -> None:
    """Write a model; the file appears whole or not at all, and holds no time of saving.

    Keras notes the date in ``metadata.json``, memory addresses in ``config.json``, and the archive
    dates its members; any of these would make DVC see a change where there is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_suffix(".raw.keras")
    keras.Model(model.input, model.output, name=model.name).save(raw)  # the graph alone
    with (
        whole(path) as temporary,
        zipfile.ZipFile(raw) as source,
        zipfile.ZipFile(temporary, "w") as target,
    ):
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                version = json.loads(data)["keras_version"]
                data = json.dumps({"keras_version": version, "date_saved": "undated"}).encode()
            if name == "config.json":
                data = re.sub(rb', "shared_object_id": \d+', b"", data)
            target.writestr(zipfile.ZipInfo(name, EPOCH), data)
    raw.unlink()


def load_model(path: Path) -> MultiTaskModel:
    """Read a model in safe mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such model. Run `make repro`, or `dvc pull` from a remote that has it."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: damaged, not a .keras archive. Delete it and run `make repro` again."
        )
    _register_layers(path)
    graph = keras.models.load_model(path, safe_mode=True)
    return MultiTaskModel(graph.input, graph.output, name=graph.name)


def _register_layers(path: Path) -> None:
    """Import the layers that a file names, since Keras knows only classes it has seen."""
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    places = {
        place.partition(":")[0] for kind in (SHARED_LAYERS, HEADS) for place in kind.places.values()
    }
    for module in places & set(re.findall(r'"module": "([\w.]+)"', config)):
        importlib.import_module(module)
