"""Ours: Yes or No by the language model's logits, by a probe on its last state, or by adapters.

Given are questions in words and, for few shots, others with their answers. All read the same
states, which lie in files: what a run that was cut has computed is not computed again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import exchange
import numpy as np


def main() -> None:
    """Answer a number per question, the greater the likelier yes."""
    arrays, options = exchange.given()
    for kind in ("INTRAOP", "INTEROP"):  # read when TensorFlow loads
        os.environ[f"TF_NUM_{kind}_THREADS"] = str(options["threads"])
    started = time.monotonic()
    kinds = {"logits": logits, "probe": probe, "lora": lora}
    found, spent = kinds[options["by"]](arrays, options)
    exchange.answer("mtrec", started, predictions=found, cpu_seconds=np.float64(spent))


def logits(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[np.ndarray, float]:
    """Of Yes minus No, after the examples that ``shots`` show."""
    shown = list(zip(texts(arrays, "shots"), said(arrays["labels"]), strict=True))
    found = read(texts(arrays, "questions"), options, shown)[0]
    return found.margin, found.seconds


def probe(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[np.ndarray, float]:
    """Of a logistic regression on the state at the answer, fitted on the first shots alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, asked = (read(texts(arrays, name), options)[0] for name in ("shots", "questions"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=options["strength"]))
    model.fit(known.final[: len(arrays["labels"])], arrays["labels"])
    return model.decision_function(asked.final), known.seconds + asked.seconds


def lora(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[np.ndarray, float]:
    """Of Yes minus No, with adapters that were trained on the shots."""
    from benchmarks.models import prompted_tuning

    (known, reader), (asked, _) = (
        read(texts(arrays, name), options) for name in ("shots", "questions")
    )
    began = time.process_time()
    tuned = prompted_tuning.Tuned(reader, options["seed"], **options["adapters"])
    tuned.train(known, arrays["labels"])
    margin = tuned.margins(asked)
    return margin, known.seconds + asked.seconds + time.process_time() - began


def read(asked: Sequence[str], options: dict[str, Any], shown: Sequence[tuple[str, str]] = ()):
    """Answers of the frozen model and its reader."""
    from benchmarks.models import prompted
    from mtrec.text import backbone

    model = backbone.load(options["preset"], Path(options["raw"]), "float32")
    begun = prompted.beginning(options["instruction"], shown)
    reader = prompted.Reader(model, begun, options["block"])
    endings = [prompted.ending(question) for question in asked]
    return prompted.answers(reader, begun, endings, Path(options["folder"]), not shown), reader


def texts(arrays: dict[str, np.ndarray], name: str) -> list[str]:
    """Texts among the arrays."""
    return arrays[name].tolist() if name in arrays else []


def said(labels: np.ndarray) -> list[str]:
    """Labels as answers."""
    return ["Yes." if label else "No." for label in labels]


if __name__ == "__main__":
    main()
