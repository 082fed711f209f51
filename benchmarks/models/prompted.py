"""A chat model's answers to many questions that begin alike: what they share is read once.

What a decoder keeps of the common beginning (keys and values of every block) is computed once;
each question then costs its own tokens alone. Answers lie in files of 64 questions, so that a run
that was cut goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from mtrec.backend import compile_function
from mtrec.files import save_arrays
from mtrec.text.backbone import LanguageModel
from mtrec.text.embed import bucketed

Array = np.ndarray
METHOD = 1  # raise it with every change of how an answer comes about
SHARD = 64  # questions per file
BATCH = 1024  # tokens of questions per forward pass
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
WORDS = ("Yes", "No")
TURN = "<|im_start|>{}\n"
END = "<|im_end|>\n"


def beginning(instruction: str, shown: Sequence[tuple[str, str]] = ()) -> str:
    """What all questions share: the system's words, examples as former turns, the instruction.

    Args:
        instruction: of the task.
        shown: questions and their answers.
    """
    said = TURN.format("system") + SYSTEM + END
    first = f"{TURN.format('user')}{instruction}\n"
    for question, answer in shown:
        said += f"{first}{question}{END}{TURN.format('assistant')}{answer}{END}"
        first = TURN.format("user")  # the instruction is given once
    return said + first


def ending(question: str) -> str:
    """A question and where the answer begins."""
    return f"{question}{END}{TURN.format('assistant')}"


@dataclass(frozen=True)
class Answers:
    """What a model says to some questions.

    Attributes:
        margin: logit of Yes minus that of No, ``(n,)``.
        final: state at the last token, after all blocks, ``(n, width)``.
        lower: states of each question's tokens after a lower block, ``(tokens, width)`` float16,
            or None.
        starts: where each question's begin, ``(n + 1,)``.
        seconds: CPU time that it took, when it did.
    """

    margin: Array
    final: Array
    lower: Array | None
    starts: Array
    seconds: float

    def states(self, number: int) -> Array:
        """Lower states of one question."""
        assert self.lower is not None
        return self.lower[self.starts[number] : self.starts[number + 1]]


class Reader:
    """A decoder of the Llama family that has read a beginning.

    Args:
        model: with all its blocks.
        begun: the common beginning.
        block: after which lower states are kept.
    """

    def __init__(self, model: LanguageModel, begun: str, block: int):
        self.model, self.block = model, block
        self.blocks = list(model.backbone.transformer_layers)
        ids = np.array([model.tokenizer([begun])[0]], "int32")
        self.length = ids.shape[1]
        self.caches, self.lower = self._begin(ids)
        self.words = np.array([found[0] for found in model.tokenizer(list(WORDS))])
        shapes = (((None, None), "int32"), ((None,), "int32"))
        self.run = compile_function(self._continue, model.backbone, shapes)

    def _begin(self, ids: Array) -> tuple[list[Any], Array]:
        """Keys and values of each block, and the beginning's lower states ``(length, width)``."""
        x = lower = self.model.backbone.token_embedding(ids)
        caches = []
        for number, block in enumerate(self.blocks, 1):
            attention = block._self_attention_layer
            shape = (1, 2, self.length, attention.num_key_value_heads,
                     x.shape[-1] // attention.num_query_heads)  # fmt: skip
            x, cache = block(
                x, self_attention_cache=ops.zeros(shape, x.dtype),
                self_attention_cache_update_index=0,
            )  # fmt: skip
            caches.append(cache)
            lower = x if number == self.block else lower
        return caches, ops.convert_to_numpy(ops.cast(lower[0], "float32"))

    def _continue(self, tokens: Any, last: Any) -> tuple[Any, Any]:
        """States of questions after the lower block, and of their last tokens after all."""
        x = lower = self.model.backbone.token_embedding(tokens)
        rows, length = ops.shape(tokens)
        for number, (block, cache) in enumerate(zip(self.blocks, self.caches, strict=True), 1):
            room = ops.zeros((rows, 2, length, *cache.shape[3:]), cache.dtype)
            known = ops.broadcast_to(cache, (rows, *cache.shape[1:]))
            x, _ = block(
                x, self_attention_cache=ops.concatenate([known, room], axis=2),
                self_attention_cache_update_index=self.length,
            )  # fmt: skip
            lower = x if number == self.block else lower
        final = ops.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
        return ops.cast(lower, "float32"), ops.cast(final, "float32")

    def margins(self, final: Array) -> Array:
        """Logit of Yes minus that of No from final states ``(n, width)``."""
        return margins(self.model, ops.convert_to_tensor(final), self.words)

    def answer(self, asked: Sequence[str], keep: bool) -> Answers:
        """Answer questions, already with their endings."""
        began = time.process_time()
        found = self.model.tokenizer(list(asked))
        lengths = [len(ids) for ids in found]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        width = self.lower.shape[-1]
        final = np.zeros((len(asked), width), "float32")
        lower = np.zeros((starts[-1], width), "float16") if keep else None
        for rows, length in bucketed(lengths, BATCH):
            tokens = np.zeros((len(rows), length), "int32")
            for at, row in enumerate(rows):
                tokens[at, : lengths[row]] = found[row]
            last = np.array([lengths[row] - 1 for row in rows], "int32")
            below, final[rows] = map(
                ops.convert_to_numpy,
                self.run(ops.convert_to_tensor(tokens), ops.convert_to_tensor(last)),
            )
            if lower is not None:
                for at, row in enumerate(rows):
                    lower[starts[row] : starts[row + 1]] = below[at, : lengths[row]]
        spent = time.process_time() - began
        return Answers(self.margins(final), final, lower, starts, spent)


def margins(model: LanguageModel, final: Any, words: Array) -> Array:
    """Logit of the first word minus that of the second, for states after all blocks."""
    states = model.backbone.layer_norm(final)
    embeddings = ops.take(model.backbone.token_embedding.embeddings, words, axis=0)
    logits = ops.matmul(ops.cast(states, "float32"), ops.transpose(embeddings))
    return ops.convert_to_numpy(logits[:, 0] - logits[:, 1])


def answers(reader: Reader, begun: str, asked: Sequence[str], folder: Path, keep: bool) -> Answers:
    """Answers to questions; what ``folder`` holds of them is not computed again.

    Args:
        reader: that has read ``begun``.
        begun: the common beginning.
        asked: questions with their endings.
        folder: of the files.
        keep: also lower states.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(asked), SHARD):
        part = list(asked[start : start + SHARD])
        said = json.dumps([METHOD, begun, part, reader.block, keep, len(reader.blocks)])
        file = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.npz"
        done = _load(file)
        if done is None:
            done = reader.answer(part, keep)
            save_arrays(file, {k: np.asarray(v) for k, v in vars(done).items() if v is not None})
            print(f"{start + len(part)} of {len(asked)}: {done.seconds:.0f} s of CPU", flush=True)
        parts.append(done)
    ends = np.concatenate([[0], *(np.diff(part.starts) for part in parts)]).cumsum()
    return Answers(
        np.concatenate([part.margin for part in parts]),
        np.concatenate([part.final for part in parts]),
        np.concatenate([part.lower for part in parts if part.lower is not None]) if keep else None,
        ends,
        sum(part.seconds for part in parts),
    )


def _load(file: Path) -> Answers | None:
    """What a file holds, or None if there is none or it is damaged."""
    try:
        with np.load(file) as found:
            arrays = {name: found[name] for name in found.files}
        seconds = float(arrays.pop("seconds"))
        return Answers(**{"lower": None, **arrays}, seconds=seconds)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
