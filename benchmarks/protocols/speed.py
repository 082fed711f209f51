"""Speed on this machine: ``train_speed``, ``embed_speed`` and ``serve_latency``.

Every system runs ``TURNS`` times in a process of its own, in turns; figures are medians, intervals
a bootstrap of the median over the turns. Ratios are of the same turn, then their median.

``train_speed``: one epoch of the same MMoE on the same rows, after a warm-up that is not timed:
8 fields of 10,000 categories x 16, 4 experts 128-64, 3 towers of 32, batches of 4,096, plain Adam.
``mtrec`` is the pipeline's own trainer; it gives each core an operation of its own, where
TensorFlow's default gives all cores to each. Rows in bfloat16 are mixed precision, and compared
among themselves. torch-rechub's MMoE has batch normalisation behind every linear layer; as the
network of all others it runs without, and as published beside. Validation is not timed, for nobody.

``embed_speed``: mean-pooled states of the same SmolLM2-135M in bfloat16 for a sample of the
distinct texts of all domains; tokens are real ones, after truncation, padding not counted.

``serve_latency``: the ten best of 100,000 items for one user, one request after the other.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness.ask import Answer
from benchmarks.harness.results import Row
from benchmarks.harness.timing import Contender, in_turns, median, ours, torch
from mtrec.llm.backbone import GGUF_PRESETS

Array = np.ndarray
TURNS = 5
THREADS = os.cpu_count() or 1
ROWS, FIELDS, TASKS, SEED = 400_000, 8, 3, 42
NETWORK: dict[str, Any] = {
    "seed": SEED, "threads": THREADS, "vocabulary": 10_000, "width": 16, "experts": 4,
    "expert": [128, 64], "tower": 32, "batch": 4096, "learning_rate": 0.001, "warm_up": 40_960,
}  # fmt: skip
TRAINERS: dict[str, Contender] = {
    "torch-rechub trainer": torch("train_torch", how="trainer", normalise=False),
    "torch loop": torch("train_torch", how="loop", normalise=False),
    "keras fit": ours("train_keras"),
    "mtrec": ours("train_mtrec"),
    "torch-rechub trainer, batch norm": torch("train_torch", how="trainer", normalise=True),
    "torch loop, bfloat16": torch("train_torch", how="loop", normalise=False, precision="bfloat16"),
    "mtrec, bfloat16": ours("train_mtrec", precision="mixed_bfloat16"),
}
TEXTS, MAX_TOKENS, LAYERS, DEFAULT_LAYER = 300, 64, 30, 16
SERVERS: dict[str, Contender] = {
    "mtrec": ours("serve_mtrec", how="recommend", requests=500, warm_up=20),
    "product alone (NumPy)": ours("serve_mtrec", how="product", requests=500, warm_up=20),
}
SHOP = {"events": 100_000, "users": 5_000, "items": 100_000, "width": 32}


def index_data(rows: int, fields: int, vocabulary: int, tasks: int, seed: int) -> dict[str, Array]:
    """Categories with popular ones among them, and labels that depend on them.

    Returns:
        ``fields`` ``(rows, fields)`` int32 and ``labels`` ``(rows, tasks)`` float32 of 0 and 1.
    """
    draw = np.random.default_rng(seed)
    found = (vocabulary * draw.random((rows, fields)) ** 2).astype("int32")
    effects = 0.5 * draw.normal(size=(fields, vocabulary, tasks))
    logits = sum(effects[field][found[:, field]] for field in range(fields))
    labels = draw.random((rows, tasks)) < 1.0 / (1.0 + np.exp(-np.asarray(logits)))
    return {"fields": found, "labels": labels.astype("float32")}


def train_speed(root: Path, rows: int = ROWS, turns: int = TURNS) -> list[Row]:
    """Training rows per second, and how many times those of the peers."""
    data = index_data(rows, FIELDS, NETWORK["vocabulary"], TASKS, SEED)
    contenders = {
        name: (environment, script, {**NETWORK, **options})
        for name, (environment, script, options) in TRAINERS.items()
    }
    found = in_turns(root, data, contenders, turns)
    speeds = {
        name: [float(one.arrays["rows_per_second"]) for one in answers]
        for name, answers in found.items()
    }
    result = []
    for name, answers in found.items():
        last = answers[-1].arrays
        note = (
            f"{int(last['parameters']):,} parameters; mean loss of the epoch "
            f"{np.mean(last['losses']):.4f}; {THREADS} threads"
        )
        result.append(_row("train_speed", name, "rows_per_second", speeds[name], answers, note))
    peers = {
        "torch_rechub": "torch-rechub trainer",
        "torch_loop": "torch loop",
        "keras_fit": "keras fit",
        "torch_rechub_as_published": "torch-rechub trainer, batch norm",
    }
    result += _ratios("train_speed", "mtrec", peers, speeds, found)
    half = {"torch_loop_bfloat16": "torch loop, bfloat16"}
    return result + _ratios("train_speed", "mtrec, bfloat16", half, speeds, found)


def all_texts(root: Path) -> list[str]:
    """Distinct texts of users and items of all domains that the pipeline made, sorted.

    Raises:
        FileNotFoundError: the pipeline has not run.
    """
    files = sorted((root / "artifacts").glob("*/tables/[ui]*s.parquet"))
    if not files:
        raise FileNotFoundError(f"{root / 'artifacts'}: no tables; run `make repro` first.")
    found: set[str] = set()
    for file in files:
        frame = pd.read_parquet(file)
        if "text" in frame:
            found |= {text for text in frame["text"].dropna() if text.strip()}
    return sorted(found)


def sample(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Texts drawn without replacement, in the order drawn: ragged, as they come."""
    rows = np.random.default_rng(seed).permutation(len(texts))[:count]
    return [texts[row] for row in rows]


def embed_speed(root: Path, texts: int = TEXTS, turns: int = TURNS) -> list[Row]:
    """Tokens per second, and how many times those of the peer with as many layers."""
    folder, file = GGUF_PRESETS["smollm2-135m"].split("/")
    chosen = sample(all_texts(root), texts, SEED)
    common = {"threads": THREADS, "max_tokens": MAX_TOKENS}
    peer = {**common, "folder": str(root / "data" / folder), "file": file, "start": None,
            "texts_per_batch": 32}  # fmt: skip
    own = {**common, "raw": str(root / "data"), "batch_tokens": 2048}
    contenders: dict[str, Contender] = {}
    for layer, tail in ((LAYERS, ""), (DEFAULT_LAYER, f", {DEFAULT_LAYER} layers")):
        contenders |= {
            f"transformers{tail}": torch("embed_transformers", **peer, sort=False, layer=layer),
            f"transformers, by length{tail}": torch(
                "embed_transformers", **peer, sort=True, layer=layer
            ),
            f"mtrec{tail}": ours("embed_mtrec", **own, layer=layer),
        }
    found = in_turns(root, {"texts": np.array(chosen)}, contenders, turns)
    tokens = int(found["transformers"][0].arrays["tokens"].sum())
    sha256 = hashlib.sha256("\n".join(chosen).encode()).hexdigest()
    speeds = {name: [tokens / one.seconds for one in answers] for name, answers in found.items()}
    result = []
    for name, answers in found.items():
        layers = DEFAULT_LAYER if "layers" in name else LAYERS
        like = found["transformers" + (f", {layers} layers" if layers != LAYERS else "")]
        same = _cosine(answers[0].arrays["vectors"], like[0].arrays["vectors"])
        note = (
            f"{len(chosen)} texts, {tokens:,} tokens, at most {MAX_TOKENS} each, {layers} layers, "
            f"bfloat16; mean cosine with transformers' vectors {same:.4f}"
        )
        result.append(_row("embed_speed", name, "tokens_per_second", speeds[name], answers, note,
                           sha256))  # fmt: skip
    for tail in ("", f", {DEFAULT_LAYER} layers"):
        peers = {"transformers": f"transformers{tail}",
                 "transformers_by_length": f"transformers, by length{tail}"}  # fmt: skip
        result += _ratios("embed_speed", f"mtrec{tail}", peers, speeds, found, sha256)
    return result


def serve_latency(root: Path, turns: int = TURNS) -> list[Row]:
    """Requests per second, and 50 % and 99 % of the latencies in milliseconds."""
    contenders = {
        name: (environment, script, {"seed": SEED, "threads": THREADS, **SHOP, **options})
        for name, (environment, script, options) in SERVERS.items()
    }
    found = in_turns(root, {}, contenders, turns)
    result = []
    for name, answers in found.items():
        times = [one.arrays["latencies"] for one in answers]
        note = f"{SHOP['items']:,} items, ten best, {len(times[0])} requests a turn"
        figures = {
            "requests_per_second": [len(part) / part.sum() for part in times],
            "p50_ms": [1000 * np.quantile(part, 0.5) for part in times],
            "p99_ms": [1000 * np.quantile(part, 0.99) for part in times],
        }
        result += [
            _row("serve_latency", name, metric, values, answers, note)
            for metric, values in figures.items()
        ]
    return result


def _ratios(
    protocol: str,
    system: str,
    peers: Mapping[str, str],
    speeds: Mapping[str, Sequence[float]],
    found: Mapping[str, Sequence[Answer]],
    sha256: str = "",
) -> list[Row]:
    """Our speed in units of a peer's, turn by turn."""
    return [
        _row(protocol, system, f"ratio_to_{key}",
             [a / b for a, b in zip(speeds[system], speeds[peer], strict=True)], found[system],
             f"{system} / {peer}, median of the turns' ratios", sha256)
        for key, peer in peers.items()
    ]  # fmt: skip


def _row(
    protocol: str,
    system: str,
    metric: str,
    values: Sequence[float],
    answers: Sequence[Answer],
    note: str,
    sha256: str = "",
) -> Row:
    middle, low, high = median(values)
    return Row(
        protocol, sha256, system, answers[0].version, metric, middle, low, high, 1,
        float(np.median([one.seconds for one in answers])),
        max(one.peak_mb for one in answers), f"median of {len(answers)}; {note}",
    )  # fmt: skip


def _cosine(one: Array, other: Array) -> float:
    top = (one * other).sum(axis=1)
    return float(np.mean(top / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)))


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "train_speed": train_speed,
    "embed_speed": embed_speed,
    "serve_latency": serve_latency,
}
