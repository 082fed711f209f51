"""Words that tasks attend to."""

import numpy as np
import pandas as pd

from mtrec.models.twins import build_some
from mtrec.report import model_plots, plots
from mtrec.report.attention import in_words, passages
from mtrec.settings import Reader
from mtrec.text.states import Shard, States, Texts
from tests.conftest import SIZES

LONG = "a film that is as long as a passage has to be so that it is shown here"


class Tokenizer:
    """A token for each half of a word."""

    def __init__(self):
        self.pieces = []

    def __call__(self, texts):
        halves = [
            piece
            for number, word in enumerate(texts[0].split())
            for piece in ((" " if number else "") + word[: len(word) // 2], word[len(word) // 2 :])
            if piece
        ]
        self.pieces = halves
        return [list(range(len(halves)))]

    def detokenize(self, tokens):
        return self.pieces[tokens[0]]


def reading(few):
    sizes = SIZES.model_copy(update={"reader": Reader(units=8, heads=2, width=6)})
    return build_some(few.assembly, tuple(few.assembly.types), few.vectors["tasks"], sizes, seed=3)


def shown(few, tokens):
    lengths = np.full(20, tokens)
    values = np.random.default_rng(0).normal(size=(lengths.sum(), 6)).astype("float16")
    texts = Texts(np.arange(20, dtype="int32"), States([Shard(values, np.cumsum([0, *lengths]))]))
    items = pd.DataFrame({"text": [LONG] * 10 + ["too short"] * 9 + [None]})
    return passages(reading(few), few.assembly, items, texts, Tokenizer, seed=0)


def test_a_word_has_the_attention_of_its_tokens_and_all_words_have_all_of_it(few):
    for passage in shown(few, tokens=len(Tokenizer()([LONG])[0])):
        assert passage.words == tuple(LONG.split())
        assert passage.shares.shape == (len(passage.tasks), len(passage.words))
        np.testing.assert_allclose(passage.shares.sum(axis=1), 1, rtol=1e-5)


def test_a_text_that_was_cut_shows_the_words_that_were_read(few):
    (first, _) = shown(few, tokens=5)
    assert first.words == ("a", "film", "that")  # the last one by half
    np.testing.assert_allclose(first.shares.sum(axis=1), 1, rtol=1e-5)


def test_an_encoders_tokens_at_either_end_are_words_of_their_own(few):
    (first, _) = shown(few, tokens=len(Tokenizer()([LONG])[0]) + 2)
    assert first.words == ("[begin]", *LONG.split(), "[end]")


def test_shares_of_tokens_are_added_up():
    words, shares = in_words(["Ver", "y", " good", " "], np.array([[0.1, 0.2, 0.6, 0.1]]))
    assert words == ("Very", "good", "␣")
    np.testing.assert_allclose(shares, [[0.3, 0.6, 0.1]])


def test_without_a_reader_there_is_nothing_to_see(few):
    model = few.model()
    found = passages(model, few.assembly, pd.DataFrame({"text": [LONG]}), None, Tokenizer, seed=0)
    assert isinstance(model_plots.attention(found, "title"), plots.NotDrawn)


def test_the_figure_has_a_line_of_words_per_task_and_text(few):
    found = shown(few, tokens=len(Tokenizer()([LONG])[0]))
    figure = model_plots.attention(found, "tiny: where each task looks")
    assert len(figure.axes) == sum(len(passage.tasks) for passage in found)
    assert [text.get_text() for text in figure.axes[0].texts] == LONG.split()
