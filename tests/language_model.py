"""A language model in a file of the real one's format and name, small enough to load at once."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel

from mtrec.llm.backbone import GGUF_PRESETS

PRESET = "smollm2-135m"
LAYERS, HEADS, KV_HEADS, WIDTH, HIDDEN = 3, 4, 2, 16, 32
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["o n", "e r", "Ġ ("]


def write(raw: Path, seed: int = 0) -> Path:
    """Write random weights to where raw data in ``raw`` have SmolLM2's; returns the file."""
    file = raw / GGUF_PRESETS[PRESET]
    file.parent.mkdir(parents=True)
    tokens = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(m.replace(" ", "") for m in MERGES)]
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bos_token_id(tokens.index("<|im_start|>"))
    writer.add_token_list(tokens)
    writer.add_token_merges(MERGES)
    for name, values in _weights(np.random.default_rng(seed), len(tokens)).items():
        writer.add_tensor(f"{name}.weight", values.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _weights(rng: np.random.Generator, words: int) -> dict[str, np.ndarray]:
    """Random tensors ``(out, in)`` by GGUF name."""
    keys = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (words, WIDTH), "output_norm": (WIDTH,)}
    for block in range(LAYERS):
        shapes |= {
            f"blk.{block}.{name}": shape
            for name, shape in {
                "attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (keys, WIDTH),
                "attn_v": (keys, WIDTH), "attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,),
                "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH),
                "ffn_down": (WIDTH, HIDDEN),
            }.items()
        }  # fmt: skip
    return {name: rng.normal(size=shape) * shape[-1] ** -0.5 for name, shape in shapes.items()}
