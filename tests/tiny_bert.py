"""A BERT of random weights in its publisher's layout, small enough to load at once."""

import json
from pathlib import Path

import numpy as np

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "toy", "story", "##s", "a", "film", "."]
LAYERS, HEADS, WIDTH, HIDDEN, POSITIONS = 3, 2, 8, 16, 12


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors by their names in the file."""
    rng = np.random.default_rng(seed)
    shapes = {
        "word_embeddings": (len(WORDS), WIDTH), "position_embeddings": (POSITIONS, WIDTH),
        "token_type_embeddings": (2, WIDTH),
    }  # fmt: skip
    found = {f"embeddings.{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    norms = ["embeddings.LayerNorm"]
    for block in range(LAYERS):
        where = f"encoder.layer.{block}"
        norms += [f"{where}.attention.output.LayerNorm", f"{where}.output.LayerNorm"]
        sizes = {f"attention.self.{n}": (WIDTH, WIDTH) for n in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (HIDDEN, WIDTH),
                  "output.dense": (WIDTH, HIDDEN)}  # fmt: skip
        for name, shape in sizes.items():
            found[f"{where}.{name}.weight"] = rng.normal(size=shape)
            found[f"{where}.{name}.bias"] = rng.normal(size=shape[0])
    for norm in norms:
        found[f"{norm}.weight"] = 1 + 0.1 * rng.normal(size=WIDTH)
        found[f"{norm}.bias"] = 0.1 * rng.normal(size=WIDTH)
    return {name: values.astype("float32") for name, values in found.items()}


def write_safetensors(path: Path, found: dict[str, np.ndarray]) -> None:
    """Write float32 arrays as the format's description says."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, values in found.items():
        start, body = len(body), body + values.tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [start, len(body)]}  # fmt: skip
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def write(folder: Path, seed: int = 0, words: list[str] | None = None) -> Path:
    """Write a model's folder; returns it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert", "vocab_size": len(WORDS), "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "hidden_size": WIDTH, "intermediate_size": HIDDEN,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "hidden_act": "gelu",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", arrays(seed))
    vocabulary = {word: number for number, word in enumerate(words or WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
