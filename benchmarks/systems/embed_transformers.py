"""Peer: mean-pooled states of the same weights by ``transformers`` on torch in bfloat16.

Batches hold a fixed number of texts and are padded to their longest, by the tokenizer's own
``padding=True``; ``sort: true`` puts texts of like length together first.
"""

from __future__ import annotations

import time

import exchange
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@torch.inference_mode()
def main() -> None:
    """Answer."""
    arrays, options = exchange.given()
    torch.set_num_threads(options["threads"])
    texts, file = arrays["texts"].tolist(), options["file"]
    tokenizer = AutoTokenizer.from_pretrained(options["folder"], gguf_file=file)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(
        options["folder"], gguf_file=file, dtype=torch.bfloat16
    ).model.eval()
    start = tokenizer.bos_token if options["start"] is None else options["start"]
    model.layers = model.layers[: options["layer"]]
    model.norm = torch.nn.Identity()  # states after the last block, before the final norm
    run(texts[:16], tokenizer, model, start, options)
    started, used = time.monotonic(), time.process_time()
    vectors, tokens = run(texts, tokenizer, model, start, options)
    used = time.process_time() - used
    exchange.answer(
        "transformers", started, vectors=vectors, tokens=tokens, cpu_seconds=np.float64(used)
    )


def run(texts: list[str], tokenizer, model, start: str, options: dict):
    """Vectors ``(texts, width)`` and real tokens per text, the start token included."""
    order = np.arange(len(texts))
    if options["sort"]:
        order = np.argsort([len(text) for text in texts], kind="stable")
    vectors: np.ndarray | None = None
    tokens = np.zeros(len(texts), dtype="int32")
    for first in range(0, len(texts), options["texts_per_batch"]):
        rows = order[first : first + options["texts_per_batch"]]
        batch = tokenizer(
            [start + texts[row] for row in rows], padding=True, truncation=True,
            max_length=options["max_tokens"] + 1, return_tensors="pt", add_special_tokens=False,
        )  # fmt: skip
        mask = batch["attention_mask"]
        states = model(input_ids=batch["input_ids"], attention_mask=mask, use_cache=False)
        words = mask[:, 1:, None].float()
        part = (states.last_hidden_state[:, 1:].float() * words).sum(1) / words.sum(1)
        if vectors is None:
            vectors = np.zeros((len(texts), part.shape[1]), dtype="float32")
        vectors[rows] = part.numpy()
        tokens[rows] = mask.sum(1).numpy()
    return vectors, tokens


if __name__ == "__main__":
    main()
