"""Run where TensorFlow is not installed: what saved models say under JAX, and a few questions.

Usage: ``jax_answers.py ROOT DOMAIN...``; writes ``answers.npz`` and prints ``said.json`` in ROOT.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def main(root: Path, domains: list[str]) -> None:
    import keras

    from mtrec import cores
    from mtrec.serving.recommender import load

    assert importlib.util.find_spec("tensorflow") is None
    pairs, answers = pd.read_json(root / "pairs.json"), {}
    for domain in domains:
        recommender = load(domain, root)
        for task, found in recommender.predict(pairs).items():
            answers[f"{domain}/{task}"] = found
    everything = load(domains[0], root)
    np.savez(root / "answers.npz", **answers)
    said = {
        "backend": keras.backend.backend(),
        "device": cores.device(),
        "scores": everything.score(pairs).to_dict("list"),
        "best": {user: everything.recommend(user, 5).to_dict("list") for user in ("u1", "nobody")},
    }
    (root / "said.json").write_text(json.dumps(said, default=lambda value: value.tolist()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
