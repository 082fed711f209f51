"""Ours: mean-pooled states of the language model by ``mtrec.text.embed``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import exchange
import numpy as np


def main() -> None:
    """Answer."""
    arrays, options = exchange.given()
    for kind in ("INTRAOP", "INTEROP"):  # read when TensorFlow loads
        os.environ[f"TF_NUM_{kind}_THREADS"] = str(options["threads"])
    from mtrec.settings import EmbedSettings
    from mtrec.text.embed import runner

    texts = arrays["texts"].tolist()
    settings = EmbedSettings(
        layer=options["layer"], max_tokens=options["max_tokens"],
        batch_tokens=options["batch_tokens"],
    )  # fmt: skip
    run = runner(settings, Path(options["raw"]))
    run(texts[:16])
    started, used = time.monotonic(), time.process_time()
    vectors = run(texts)
    used = time.process_time() - used
    exchange.answer("mtrec", started, vectors=vectors, cpu_seconds=np.float64(used))


if __name__ == "__main__":
    main()
