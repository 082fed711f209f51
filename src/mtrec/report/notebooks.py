"""Executed notebooks: what is kept of them, and how long they took."""

from __future__ import annotations

import json
import os
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from IPython import get_ipython
from IPython.display import HTML
from tqdm import TqdmWarning

from mtrec import cores
from mtrec.files import write_text


def setup(tensorflow: bool = True) -> None:
    """Show figures in the notebook, in one style; every notebook's first call.

    Args:
        tensorflow: import it, too, without its banner, and let it compute the same on any number
            of cores; False saves seconds where no model is needed.

    Raises:
        RuntimeError: TensorFlow has computed something already; restart the kernel.
    """
    warnings.filterwarnings("ignore", category=TqdmWarning)  # bars are off in notebooks
    warnings.filterwarnings("ignore", ".*answered as new")  # notebook 04 asks for such on purpose
    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        shell.enable_matplotlib("inline")  # whatever MPLBACKEND says
    if tensorflow:
        _import_tensorflow()
        cores.one_thread_per_operation()
    from mtrec.report import plots

    plots.style()


def _import_tensorflow() -> None:
    """TensorFlow writes its banner to the process's standard error before any logger exists."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow

        tensorflow.config.list_physical_devices()
        tensorflow.get_logger().setLevel("ERROR")  # a model per task is traced per task
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def show(frame: pd.DataFrame, decimals: int = 3) -> HTML:
    """A small table: no index, rounded numbers, the same bytes for the same values."""
    rounded = frame.copy()
    for column in rounded.select_dtypes("float"):
        rounded[column] = rounded[column].map(lambda v: "" if pd.isna(v) else f"{v:,.{decimals}f}")
    for column in rounded.select_dtypes("integer"):
        rounded[column] = rounded[column].map("{:,}".format)
    return HTML(rounded.to_html(index=False, border=0, justify="left", na_rep=""))


def heading(text: str) -> HTML:
    """A small heading between outputs."""
    return HTML(f"<h3>{text}</h3>")


def tidy(path: Path) -> None:
    """Make an executed notebook a function of its sources, and note its wall time.

    Papermill stores times and paths in the notebook; they go. What was printed arrives in pieces
    that depend on the moment; they are joined. The duration is added to
    ``metrics.json`` beside it under ``seconds``, with the stage's results if they exist.

    Raises:
        FileNotFoundError: no such notebook.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such executed notebook; run its stage with papermill.")
    notebook = json.loads(path.read_text(encoding="utf-8"))  # nbformat takes a second to import
    seconds = _duration(notebook["metadata"].pop("papermill", {}))
    notebook["metadata"].get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{number:02d}"
        for key in ("papermill", "execution", "ExecuteTime"):
            cell["metadata"].pop(key, None)
        if cell["cell_type"] == "code":
            cell["outputs"] = _joined(cell["outputs"])
    plain = json.dumps(
        notebook, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": ")
    )
    write_text(path, plain + "\n")
    if seconds is not None:
        _record(path, seconds)


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs, neighbouring pieces of one stream as one; a text is a list of lines."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        last = found[-1] if found else {}
        if "stream" == output["output_type"] == last.get("output_type") and (
            output["name"] == last["name"]
        ):
            last["text"] = "".join([*last["text"], *output["text"]]).splitlines(keepends=True)
        else:
            found.append(output)
    return found


def _duration(papermill: dict[str, Any]) -> float | None:
    start, end = papermill.get("start_time"), papermill.get("end_time")
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _record(path: Path, seconds: float) -> None:
    """Merge the stage's time and what evaluation wrote into the report's ``metrics.json``."""
    file = path.parent / "metrics.json"
    old = _read(file)
    artifacts = path.parent.parent.parent / "artifacts" / path.parent.name
    merged = {**old, **_read(artifacts / "evaluation" / "metrics.json")}
    merged["seconds"] = {**old.get("seconds", {}), path.stem.split("_", 1)[-1]: round(seconds, 1)}
    analysis = _read(artifacts / "analysis" / "metrics.json")
    if analysis:
        merged["analysis"] = analysis
    for name in ("speed", "costs"):  # measured anew in each run, so no output of a stage
        if measured := _read(artifacts / f"{name}.json"):
            merged[name] = measured
    write_text(file, json.dumps(merged, indent=2, ensure_ascii=False) + "\n")


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
