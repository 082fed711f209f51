"""Figures: what is drawn, what is not, and what a cell shows of it."""

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from mtrec.config import experiment
from mtrec.domains.own.settings import EventColumns
from mtrec.domains.own.settings import Settings as OwnSettings
from mtrec.report import data_plots, describe, model_plots, plots, result_plots, training_plots

ROOT = Path(__file__).resolve().parents[2]
TASKS = ["rating", "like", "genres"]
EXAMPLES = pd.DataFrame(
    {
        "timestamp": pd.date_range("2020-01-01", periods=30),
        "split": ["train"] * 20 + ["validation"] * 5 + ["test"] * 5,
    }
)
NO_TEXT, NO_ROWS = np.full((5, 4), np.nan), pd.DataFrame(columns=["task", "value", "low", "high"])


@pytest.fixture(autouse=True)
def closed():
    """No figure of one test is open in another."""
    plt.close("all")
    yield
    plt.close("all")


def line():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.set_title("a line")
    return figure


def test_a_cell_shows_the_bytes_of_the_file_and_says_the_title(tmp_path):
    shown = plots.save(line(), tmp_path / "figures" / "line.png")
    data, metadata = shown._repr_png_()
    assert data == (tmp_path / "figures" / "line.png").read_bytes()
    assert metadata["width"] < Image.open(io.BytesIO(data)).width
    assert repr(shown) == "[figure] a line"


def test_a_saved_figure_is_closed_so_that_nothing_shows_it_again(tmp_path):
    plots.save(line(), tmp_path / "line.png")
    assert not plt.get_fignums()


def test_the_same_figure_has_the_same_bytes_without_date_or_version(tmp_path):
    plots.style()
    first = plots.save(line(), tmp_path / "a.png").png
    assert first == plots.save(line(), tmp_path / "b.png").png
    assert not set(Image.open(io.BytesIO(first)).info) - {"dpi"}


def test_figures_read_at_half_width_and_stay_small(tmp_path):
    plots.style()
    shown = plots.save(data_plots.split_timeline(EXAMPLES, "t", True), tmp_path / "t.png")
    assert 1000 <= Image.open(io.BytesIO(shown.png)).width <= 1400
    assert len(shown.png) < 50_000


def test_what_is_not_drawn_says_why_and_leaves_no_file_of_an_earlier_run(tmp_path):
    path = tmp_path / "line.png"
    plots.save(line(), path)
    shown = plots.save(plots.NotDrawn("there is nothing."), path)
    assert repr(shown) == "Not drawn: there is nothing."
    assert not path.exists()
    plots.save(plots.NotDrawn("there is nothing."), path)  # nor is a missing one an error


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (data_plots.split_timeline(EXAMPLES, "t", False), "no day is known"),
        (
            data_plots.histogram(pd.Series([1, 1, 1]), "t", "events per user"),
            "events per user are 1 for",
        ),
        (
            model_plots.label_presence({"a": np.ones(30, bool)}, EXAMPLES["split"], "t"),
            "every label",
        ),
        (data_plots.embedding_map(NO_TEXT, pd.Series(list("aabbb")), "t"), "no texts"),
        (data_plots.embedding_map(np.ones((5, 1)), pd.Series(list("aabbb")), "t"), "no texts"),
        (model_plots.gate_map(np.ones((3, 1)), TASKS, "t"), "no gates"),
        (result_plots.forest(NO_ROWS, "t", "gain"), "no such comparison"),
        (result_plots.reliability({}, "t"), "binary or multi-label"),
        (result_plots.matrix(pd.DataFrame([[np.nan]]), "t", "x", "y", "z"), "no value"),
        (result_plots.intervals(NO_ROWS, [], "t", "gain"), "make study"),
    ],
)
def test_a_figure_that_would_say_nothing_is_not_drawn(found, why):
    assert isinstance(found, plots.NotDrawn)
    assert why in repr(found)


def test_few_different_counts_have_a_bar_each_and_many_share_bars_without_gaps():
    few = data_plots.histogram(pd.Series([1, 1, 2, 4]), "t", "events")
    assert [label.get_text() for label in few.axes[0].get_xticklabels()] == ["1", "2", "4"]
    many = data_plots.histogram(pd.Series(range(1, 500)), "t", "events")
    assert all(bar.get_height() for bar in many.axes[0].patches)
    assert sum(bar.get_height() for bar in many.axes[0].patches) == 499


def test_one_outlier_does_not_press_a_map_together():
    vectors = np.random.default_rng(0).normal(size=(500, 2))
    vectors[0] = 1000
    figure = data_plots.embedding_map(vectors, pd.Series(["a", "b"] * 250, name="kind"), "t")
    assert figure.axes[0].get_xlim()[1] < 5


def test_neighbours_of_a_group_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    groups = rng.choice(["a", "b", "c"], size=300, p=[0.6, 0.3, 0.1])
    vectors = rng.normal(size=(300, 5)) + 2 * (groups == "b")[:, None]
    nearest = NearestNeighbors(n_neighbors=11, metric="cosine").fit(vectors)
    own = nearest.kneighbors(vectors, return_distance=False)[:, 1:]
    same = (groups[own] == groups[:, None]).mean(axis=1)
    twice = np.concatenate([vectors, vectors])  # equal texts count once
    found = data_plots.alike(twice, np.concatenate([groups, groups])).set_index("group")
    assert list(found.index) == ["a", "b", "c"]
    for group, row in found.iterrows():
        assert row["neighbours"] == pytest.approx(same[groups == group].mean())
        assert row["share"] == pytest.approx((groups == group).mean())


@pytest.mark.parametrize("vectors", [np.ones((4, 3)), np.zeros((1, 2))])
def test_a_map_of_one_distinct_text_is_drawn(vectors):
    figure = data_plots.embedding_map(vectors, pd.Series(["a"] * len(vectors), name="kind"), "t")
    assert figure.axes[0].get_title() == "a: 100% of texts"


def test_every_group_of_a_large_map_is_asked_and_equal_texts_of_two_groups_count_in_both():
    vectors = np.random.default_rng(0).normal(size=(2 * data_plots.MANY, 3))
    groups = np.array(["a"] * (len(vectors) - 2) + ["b"] * 2)
    vectors[-1] = vectors[-2] + 1e-9
    assert data_plots.alike(vectors, groups, 1).set_index("group")["neighbours"]["b"] == 1
    twice = np.concatenate([vectors[:50], vectors[:50]])
    found = data_plots.alike(twice, np.repeat(["x", "y"], 50), 1)
    assert list(found["share"]) == [0.5, 0.5]
    assert list(found["neighbours"]) == [0, 0]


def test_every_column_of_a_map_has_its_numbers():
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    figure = data_plots.embedding_map(vectors, pd.Series(list("abcd") * 10, name="kind"), "t")
    figure.canvas.draw()
    shown = [any(label.get_visible() for label in axes.get_xticklabels()) for axes in figure.axes]
    assert shown == [False, True, True, True]


def test_a_tasks_value_with_itself_does_not_stretch_the_colours_of_a_matrix():
    values = pd.DataFrame(0.1, TASKS, TASKS).mask(np.eye(3, dtype=bool), 1.0)
    mesh = result_plots.matrix(values, "t", "cosine", "task", "task").axes[0].collections[0]
    assert mesh.get_clim() == (0, 0.1)


def test_no_value_of_a_matrix_reads_minus_zero():
    values = pd.DataFrame([[-0.001, 0.5]], ["a"], ["b", "c"])
    texts = [
        text.get_text() for text in result_plots.matrix(values, "t", "x", "y", "z").axes[0].texts
    ]
    assert texts == ["0.00", "0.50"]


def test_classes_that_are_numbers_are_in_their_order():
    labels = np.array([0, 1, 2])
    axes = result_plots.confusion(labels, labels, ["10", "2", "1"], "t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "10"]
    axes = result_plots.confusion(labels, labels, ["K", "2", "1"], "t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["K", "1", "2"]
    axes = result_plots.confusion(labels, labels, ["no", "2", "1"], "t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no", "2", "1"]


def test_a_confusion_matrix_says_which_class_is_mistaken_most():
    labels, chosen = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0, 1])
    axes = result_plots.confusion(labels, chosen, ["no", "yes"], "t").axes[0]
    assert axes.get_title() == "67% right; 50 % of yes\nsaid to be no"
    assert result_plots.confusion(labels, labels, ["no", "yes"], "t").axes[0].get_title() == (
        "100% right"
    )


def test_bins_of_few_predictions_are_no_part_of_a_reliability_diagram():
    rows = pd.DataFrame({"predicted": [0.1, 0.7], "observed": [0.2, 0.0], "rows": [30, 29]})
    axes = result_plots.reliability({"like": rows}, "t").axes[0]
    assert axes.get_title() == "furthest off: like, 0.10 came true 0.20"
    assert list(axes.lines[1].get_xdata()) == [0.1]
    assert isinstance(result_plots.reliability({"like": rows[1:]}, "t"), plots.NotDrawn)


def test_noise_does_not_fill_a_panel_of_losses():
    noise = 0.9 + 1e-5 * np.arange(6) % 2
    frame = pd.DataFrame({"model": "joint", "task": "a", "epoch": range(6), "val_loss": noise})
    low, high = training_plots.curves(frame, "t").axes[0].get_ylim()
    assert high - low >= 0.9 * training_plots.FLATTEST


def test_the_largest_cell_of_a_table_is_named():
    table = pd.DataFrame([[np.nan, 0.2], [0.5, 0.1]], ["a", "b"], ["x", "y"])
    assert plots.largest(table) == ("b and x", 0.5)
    assert plots.largest(table * np.nan) == ("none", 0.0)


def test_domains_say_whether_their_times_are_real():
    found = {
        name: experiment(name, ROOT).domain.data.has_clock
        for name in ("video", "ecommerce", "social_reviews", "social_trust", "education_courses",
                     "education_mastery")
    }  # fmt: skip
    assert [name for name, clock in found.items() if clock] == ["video", "ecommerce"]
    mastery = experiment("education_mastery", ROOT).domain.data
    assert describe.known_time(mastery) == "school year"
    dated = EventColumns(user_id="u", item_id="i", timestamp="t")
    assert OwnSettings(events=dated).has_clock
    undated = EventColumns(user_id="u", item_id="i")
    assert not OwnSettings(events=undated, split="random").has_clock


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(10**7, "week"), (10**6, "day"), (10**5, "hour"), (10**3, "minute"), (10, None), (0, None)],
)
def test_bars_over_time_are_as_wide_as_the_time_allows(seconds, unit):
    times = pd.to_datetime(1_600_000_000 + np.linspace(0, seconds, 30), unit="s")
    splits = np.repeat(["train", "validation", "test"], 10)
    figure = data_plots.split_timeline(
        pd.DataFrame({"timestamp": times, "split": splits}), "rows", True
    )
    if unit is None:
        assert repr(figure) == "Not drawn: all rows lie within 4 minutes."
    else:
        assert figure.axes[0].get_xlabel() == unit
        plots.plt.close(figure)


def test_cosines_that_stay_near_zero_are_one_line_of_the_legend():
    rows = [
        {"epoch": epoch, "task": task, "other": other, "cosine": size * epoch}
        for one, two, size in (("a", "b", 0.2), ("a", "c", -0.01), ("b", "c", 0.02))
        for task, other in ((one, two), (two, one))
        for epoch in (1, 2)
    ]
    for part, others in ((3, "2 other pairs, within ±0.04"), (2, "1 other pair, within ±0.02")):
        drawn = result_plots.cosines(pd.DataFrame(rows[: 4 * part]), "t")
        names = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
        assert names == [others, "a · b"]
        assert drawn.axes[0].get_title() == "t\nfurthest from zero: a · b, +0.40"
