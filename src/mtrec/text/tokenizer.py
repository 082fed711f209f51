"""SmolLM2's tokenizer, from the vocabulary and merges of a GGUF file."""

from __future__ import annotations

from collections.abc import Sequence


class BytePairTokenizer:
    """Byte-level BPE that splits digits singly, as SmolLM2 was trained with.

    KerasHub's tokenizer splits like GPT-2 and would keep runs of digits together, so the
    ``tokenizers`` library does the work.

    Args:
        tokens: vocabulary by id; tokens like ``<|im_start|>`` are matched before splitting.
        merges: merges such as ``"Ġ t"``, in order of rank.
    """

    def __init__(self, tokens: Sequence[str], merges: Sequence[str]):
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

        pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        self._tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        self._tokenizer.decoder = decoders.ByteLevel()
        special = [t for t in tokens if t.startswith("<|") and t.endswith("|>")]
        self._tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per text."""
        return [found.ids for found in self._tokenizer.encode_batch(list(texts))]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)
