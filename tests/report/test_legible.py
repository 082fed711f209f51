"""Figures of committed results: no text on another, none cut off, all readable at half width."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from mtrec.config import experiment, read_params
from mtrec.report import (
    cold_start,
    comparison,
    controls,
    headline,
    plots,
    readme,
    result_plots,
    training_plots,
)
from mtrec.report import search as searched
from mtrec.report.tables import difference_table, peer_table, percent_table
from mtrec.studies import cold_start_plan, comparison_plan, search_plan
from mtrec.studies.controls_plan import PLAN
from tests.conftest import ROOT

HALF = 600  # pixels: half of a page, or a phone turned
SMALLEST = 6.0  # pixels of a letter's body there
DOMAINS = list(readme.read_metrics(ROOT))
SLACK = 1.0  # pixels that two boxes may share


def texts(figure):
    """Texts that a reader sees, with their boxes in pixels."""
    figure.set_dpi(plots.DPI)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text.get_alpha() != 0:
            box = text.get_window_extent(renderer)
            if box.width and box.height:
                found.append((text, box))
    return found


def faults(figure):
    """What a reader would stumble over, in words."""
    found, said = texts(figure), []
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        for label in (tick.label1, tick.label2)
        if not _within(axis, tick)
    }
    found = [(text, box) for text, box in found if id(text) not in ticks]
    whole = figure.get_tightbbox(figure.canvas.get_renderer()).width * figure.dpi
    for text, _ in found:
        if text.get_fontsize() / 72 * figure.dpi * HALF / max(whole, HALF) < SMALLEST:
            said.append(f"'{text.get_text()}' is too small")
    for (one, a), (other, b) in combinations(found, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > SLACK and down > SLACK and not one.get_rotation() and not other.get_rotation():
            said.append(f"'{one.get_text()}' lies on '{other.get_text()}'")
    plt.close(figure)
    return said


def _within(axis, tick):
    low, high = sorted(axis.get_view_interval())
    return low <= tick.get_loc() <= high


@pytest.fixture(autouse=True)
def look():
    with plt.rc_context():
        plots.style()
        yield


def drawn(figure):
    return [] if isinstance(figure, plots.NotDrawn) else faults(figure)


def test_texts_on_each_other_cut_or_small_are_found():
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.text(0.5, 0.5, "one word")
    axes.text(0.52, 0.5, "another")
    assert any("lies on" in said for said in faults(figure))
    figure, axes = plt.subplots(figsize=(20, 3))
    axes.set_title("wide", fontsize=8)
    assert any("too small" in said for said in faults(figure))


def test_the_headline():
    metrics = readme.read_metrics(ROOT)
    own = read_params(ROOT / "params.yaml").domains
    metrics = {name: part for name, part in metrics.items() if own[name].module != "own"}
    trained = {name: readme._trained(experiment(name, ROOT)) for name in metrics}
    trained = {name: part for name, part in trained.items() if part is not None}
    fused = readme.read_metrics(ROOT, "fusion.json")
    tasks = {name: list(part["tasks"]) for name, part in metrics.items()}
    assert not drawn(
        headline.figure(headline.gains(metrics, fused, trained), tasks, headline.unserved(fused))
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_differences_of_a_domain(domain):
    metrics = readme.read_metrics(ROOT)[domain]
    for table in (difference_table(metrics), peer_table(metrics)):
        assert not drawn(result_plots.forest(table, f"{domain}: joint minus", "gain"))
    alone, title = percent_table(metrics), f"{domain}: gain of joint over single-task, test rows"
    assert not drawn(result_plots.forest(alone, title, "gain [%]", one_training=True))
    run = experiment(domain, ROOT)
    if PLAN.file(run).is_file():
        found = controls.combined(PLAN.results(run, {}))
        for name in controls.QUESTIONS:
            figure = result_plots.forest(controls.difference(found, name), name, "gain")
            assert not drawn(figure), name


@pytest.mark.parametrize("domain", ["video", "ecommerce"])
def test_layers_and_balancers(domain):
    results = comparison_plan.PLAN.results(experiment(domain, ROOT), {})
    found = comparison.summary(results)
    names = found["layer"] + " + " + found["balancing"]
    title = f"{domain}: joint models against single-task models"
    assert not drawn(result_plots.intervals(found, names, title, "mean test gain over tasks [%]"))


@pytest.mark.parametrize("domain", ["video"])
def test_a_search(domain):
    run = experiment(domain, ROOT)
    trials = search_plan.PLAN.results(run)
    said = searched.importances(run, trials)
    for figure in (
        searched.curves(trials, f"{domain}: {searched.best_gains(trials)}"),
        searched.importance_figure(said, f"{domain}: {searched.most_important(said)}"),
        searched.parallel(run, trials, f"{domain}: the settings of every trial"),
    ):
        assert not drawn(figure)


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
def test_learning_curves(tasks):
    frame = pd.DataFrame(
        [{"model": model, "task": f"a_task_{task}", "epoch": epoch, "val_loss": 1 / epoch}
         for model in ("joint", "single") for task in range(tasks) for epoch in range(1, 30)]
    )  # fmt: skip
    assert not drawn(training_plots.curves(frame, "domain: validation loss of joint and single"))


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_the_method_of_training(momentum):
    assert not drawn(training_plots.method(momentum, 42, "what moves the shared layers"))


@pytest.mark.parametrize("classes", [2, 5, 14])
def test_confused_classes(classes):
    labels = np.arange(900) % classes
    names = [f"A LONG CLASS {n}" for n in range(classes)]
    chosen = np.where(np.arange(900) % 7 == 0, (labels + 1) % classes, labels)
    title = "education_mastery: progress, actual against predicted class"
    assert not drawn(result_plots.confusion(labels, chosen, names, title))


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
@pytest.mark.parametrize("domain", [name for name in DOMAINS if name != "bookshop"])
def test_cold_starts(domain, split):
    results = cold_start_plan.PLAN.results(experiment(domain, ROOT), {})
    found = cold_start.differences(results, split)
    titles, name = cold_start.questions(results), f"{domain}: {split}"
    assert not drawn(cold_start.differences_figure(found, titles, name))
