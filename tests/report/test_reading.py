"""What tasks read in many texts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.report import model_plots, plots, reading
from mtrec.report.attention import Passage
from tests.report.test_legible import faults

LONG = " ".join(["word"] * 20)


def tables(texts, stars, splits):
    ids = [str(number) for number in range(len(texts))]
    items = pd.DataFrame({"item_id": ids, "text": texts})
    examples = pd.DataFrame({"item_id": ids, "split": splits, "stars": stars})
    return SimpleNamespace(items=items, examples=examples)


def test_three_texts_are_one_of_the_lowest_the_middle_and_the_highest_label():
    found = tables([LONG] * 6, [1, 2, 3, 3, 5, 5], ["validation"] * 4 + ["train", "validation"])
    low, middle, high = reading.pick(found, "stars", "validation", seed=0)
    assert (low, high) == (0, 5)
    assert middle in (2, 3)


def test_a_split_without_a_readable_text_is_refused_by_name():
    found = tables(["short", None], [1, 2], ["validation"] * 2)
    with pytest.raises(ValueError, match="validation split: no item has both a text of 15"):
        reading.pick(found, "stars", "validation", seed=0)


def test_items_of_a_split_are_those_with_a_text_and_readable_ones_can_be_kept():
    found = tables([LONG, "short", None, LONG], [1] * 4, ["train", "train", "train", "test"])
    assert reading.of_split(found, "train") == [0, 1]
    assert reading.of_length(found, [0, 1, 3]) == [0, 3]


def test_a_favourite_word_has_many_times_an_even_share_and_stands_in_many_texts():
    usual = Passage(("A", "fine", "dress."), np.array([[0.1, 0.1, 0.8]]), ("tags",))
    once = Passage(("zebra", "dress"), np.array([[0.99, 0.01]]), ("tags",))
    found = reading.favourites([*[usual] * reading.OFTEN, once], count=2)
    weight = (reading.OFTEN * 3 * 0.8 + 2 * 0.01) / (reading.OFTEN + 1)
    assert found["words"].tolist() == [f"dress {weight:.1f}, a 0.3"]


def test_neighbours_are_by_direction_and_never_outside_those_that_compete():
    vectors = np.array([[1.0, 0.0], [9.0, 0.1], [0.0, 1.0], [1.0, 0.0]])
    assert reading.nearest(vectors, [0, 2], [1, 2]).tolist() == [1, 2]
    items = pd.DataFrame({"text": ["zero", "one", "two", "x " * 200]})
    found = reading.neighbours({"a": vectors, "b": vectors[[0, 2, 1, 3]]}, items, [0], [1, 2])
    assert found["nearest"].tolist() == ["one", "two"]
    assert found["text"].tolist() == ["zero", ""]


def test_agreement_is_that_of_known_labels_beside_chance():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    labels = pd.DataFrame({"x": [1, 2, 1, 1], "y": [None, "b", "a", "b"]})
    found = reading.agreement({"task": vectors}, labels, [0, 1], [2, 3])
    assert found["read by"].tolist() == ["task", "nobody: any item"]
    assert found["x"].tolist() == [0.5, 0.5]
    assert found["y"].tolist() == [1.0, 0.5]


def test_the_figure_of_one_text_reads_at_half_width():
    plots.style()
    words = ("unflattering", "comfortable,") * 20
    shares = np.random.default_rng(0).dirichlet(np.ones(len(words)), size=4)
    passage = Passage(words, shares, ("sentiment", "recommended", "tags", "engagement"))
    title = "social_reviews: where each task looks in a review (fewest stars)"
    figure = model_plots.attention([passage], title)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])  # of axes that are off, which are not seen
    assert not faults(figure)
