import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from benchmarks.harness import machine, results
from benchmarks.harness.results import Row
from benchmarks.protocols import profile
from benchmarks.report import charts, figures, page, standing, tables, words
from benchmarks.report.targets import TARGETS, Target, higher_is_better, judge
from tests.conftest import ROOT


def row(protocol, system, metric, value, low=None, high=None, **more):
    fields = {"version": "1", "seeds": 1, "seconds": 2.0, "peak_mb": 300.0, "note": "a note"}
    return Row(protocol, "abcdef", system, metric=metric, value=value, low=low, high=high,
               **{**fields, **more})  # fmt: skip


def frame(*rows):
    return pd.DataFrame([vars(one) for one in rows], columns=list(results.COLUMNS))


ROWS = frame(
    row("rating_u1", "mtrec joint network", "rmse", 0.895, 0.89, 0.90),
    row("rating_u1", "mtrec fused", "rmse", 0.880, 0.87, 0.89),
    row("rating_u1", "myFM", "rmse", 0.884, 0.87, 0.90),
    row("topn_811", "mtrec", "ndcg@10", 0.33, 0.32, 0.34),
    row("topn_811", "ease", "ndcg@10", 0.31, 0.30, 0.32),
    row("topn_811", "mtrec", "recall@10", 0.20),
    row("topn_811", "ease", "recall@10", 0.25),
    row("joint_video", "mtrec joint - single", "rating rmse", -0.02, -0.03, -0.01),
    row("joint_video", "mtrec joint - single", "like auc", -0.01, -0.02, 0.01),
    row("scaling_tasks", "mtrec", "seconds@1", 1.0),
    row("scaling_tasks", "mtrec", "seconds@32", 4.0),
    row("scaling_tasks", "mtrec", "peak_mb@1", 700.0),
    row("scaling_tasks", "mtrec", "peak_mb@32", 800.0),
    row("scaling_tasks", "mtrec", "exponent_seconds", 0.4),
    row("scaling_tasks", "mtrec", "exponent_seconds_end", 0.4),
    row("scaling_tasks", "mtrec", "exponent_peak_mb", 0.04),
)


def verdicts(rows, *targets):
    found = judge(rows, targets)
    return dict(zip(found["metric"], found["verdict"], strict=True))


def test_a_limit_is_met_by_the_best_of_the_systems_that_may_meet_it():
    limit = Target("rating_u1", "rmse", "limit", 0.889)
    assert verdicts(ROWS, limit) == {"rmse": "met"}
    network = Target("rating_u1", "rmse", "limit", 0.889, ours="mtrec joint network")
    assert verdicts(ROWS, network) == {"rmse": "missed"}


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "met"), (1.05, "met"), (1.1, "missed")])
def test_the_best_peer_times_a_factor_must_be_reached(factor, verdict):
    found = judge(ROWS, [Target("topn_811", "ndcg@10", "peers", factor)])
    assert found["verdict"].tolist() == [verdict]
    assert found["bound"].item() == pytest.approx(0.31 * factor)
    assert found["peer"].item() == "ease"


def test_a_row_that_knows_the_second_of_a_rating_meets_no_target_and_is_no_bar():
    rows = frame(
        row("rating_u1", "mtrec fused", "rmse", 0.89),
        row("rating_u1", "myFM", "rmse", 0.88),
        row("rating_u1", "mtrec fused, to the second", "rmse", 0.87),
        row("rating_u1", "myFM, to the second", "rmse", 0.86),
    )
    found = judge(rows, [Target("rating_u1", "rmse", "peers")])
    assert found[["system", "bound", "verdict"]].values.tolist() == [
        ["mtrec fused", 0.88, "missed"]
    ]


def test_a_tie_with_the_best_peer_is_not_ahead():
    tie = frame(row("p", "mtrec", "auc", 0.7), row("p", "peer", "auc", 0.7))
    assert verdicts(tie, Target("p", "auc", "peers")) == {"auc": "missed"}


def test_a_difference_is_worse_only_if_its_interval_excludes_zero():
    target = Target("joint_*", "*", "not worse", ours="mtrec joint - single")
    assert verdicts(ROWS, target) == {"rating rmse": "missed", "like auc": "met"}


def test_the_reason_of_a_miss_is_told_only_while_it_is_one():
    texts = {"rating_* rmse": "too few rows"}
    missed = pd.DataFrame({"protocol": ["rating_u1", "rating_u2"], "metric": ["rmse", "rmse"]})
    assert words.reasons(missed, texts) == ["rating_* rmse: too few rows"]
    assert words.reasons(missed.assign(metric="auc"), texts) == []


def test_every_miss_of_the_committed_results_has_a_reason():
    judged = judge(results.read(ROOT / "benchmarks" / "results.json"))
    missed = judged[judged["verdict"] == "missed"]
    without = [line for _, line in missed.iterrows() if not words.reasons(line.to_frame().T)]
    assert not without


def test_what_no_row_speaks_of_is_not_measured():
    assert verdicts(ROWS, Target("nowhere", "auc", "limit", 0.8)) == {"auc": "not measured"}
    alone = frame(row("p", "mtrec", "auc", 0.7))
    assert verdicts(alone, Target("p", "auc", "peers")) == {"auc": "not measured"}


def test_directions_follow_the_last_word_of_a_metric():
    assert higher_is_better("video next_item ndcg@10") is True
    assert higher_is_better("spend log_loss") is False
    assert higher_is_better("ratio_to_torch_loop") is True
    assert higher_is_better("seconds@100") is False
    assert higher_is_better("colour") is None


def test_every_target_has_words_and_a_direction_or_a_pattern():
    for target in TARGETS:
        assert target.metric == "*" or higher_is_better(target.metric) is not None, target


def test_the_table_marks_the_best_in_each_metrics_direction():
    found = tables.table(ROWS[ROWS["protocol"] == "rating_u1"])
    assert found["system"].tolist() == ["mtrec fused", "myFM", "mtrec joint network"]
    assert found["rmse"].tolist()[0] == "**0.8800** [0.8700, 0.8900]"
    assert "**" not in "".join(found["rmse"].tolist()[1:])
    found = tables.table(ROWS[ROWS["protocol"] == "topn_811"]).set_index("system")
    assert found.loc["ease", "recall@10"] == "**0.2500**"
    assert found.loc["mtrec", "recall@10"] == "0.2000"


def test_the_page_shows_misses_in_plain_sight(tmp_path):
    folder = tmp_path / "reports" / "benchmarks"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "gone.png").write_bytes(b"")
    page.write(tmp_path, ROWS)
    text = (folder / "README.md").read_text()
    missed = text.split("### Missed")[1].split("### Met")[0]
    assert "0.8950 (mtrec joint network)" in missed
    assert "rating rmse" in missed and "like auc" not in missed
    assert "of 2 differences" in text and "0 are above zero" in text
    assert "1 below, and 1 undecided" in text
    lead = "| rating_u1 | rmse | 0.8800 (mtrec fused) | 0.8840 (myFM) | ahead, undecided |"
    assert lead in text
    assert "-0.0200 [-0.0300, -0.0100] (mtrec joint - single)" in missed
    assert "**behind**" not in text and "more is better" not in missed
    assert "Exponents: 0.40 over all sizes" in text
    made = {file.stem for file in (folder / "figures").glob("*.png")}
    assert made == {"targets", "rating_u1", "topn_811", "scaling"}
    for name in made:
        assert f"figures/{name}.png" in text


def test_notes_name_the_metric_where_a_systems_notes_differ():
    rows = frame(
        row("joint_video", "mtrec joint", "rating rmse", 0.9, note="by seed: 0.9"),
        row("joint_video", "mtrec joint", "like auc", 0.7, note="by seed: 0.7"),
        row("joint_video", "peer", "rating rmse", 0.9),
        row("joint_video", "peer", "like auc", 0.7),
    )
    assert tables.notes(rows).splitlines() == [
        "- mtrec joint 1, rating rmse: 1 run, 2 s, 300 MB; by seed: 0.9",
        "- mtrec joint 1, like auc: 1 run, 2 s, 300 MB; by seed: 0.7",
        "- peer 1: 1 run, 2 s, 300 MB; a note",
    ]


@pytest.mark.parametrize(
    ("ours", "peer", "words"),
    [
        ((0.83, 0.82, 0.84), (0.80, 0.79, 0.81), "we lead"),
        ((0.80, 0.79, 0.81), (0.83, 0.82, 0.84), "**we do not**"),
        ((0.80, 0.78, 0.82), (0.81, 0.79, 0.83), "**behind**, undecided"),
        ((0.80, 0.79, 0.81), (0.80, 0.79, 0.81), "level"),
    ],
)
def test_a_lead_is_one_where_intervals_do_not_overlap(ours, peer, words):
    rows = frame(row("like_random", "mtrec", "auc", *ours), row("like_random", "lr", "auc", *peer))
    assert standing.standing(rows).splitlines()[-1].endswith(f"| {words} |")


def test_in_cold_start_paired_differences_from_the_best_peer_decide():
    tasks = (("a auc", 0.01, 0.03), ("b auc", -0.01, 0.03), ("c auc", -0.03, -0.01))
    rows = frame(
        *[row("cold_items", system, f"films {task}", value)
          for task, _, _ in tasks for system, value in (("mtrec joint", 0.7), ("best", 0.6),
                                                        ("other", 0.5))],
        *[row("cold_items", f"mtrec joint - {peer}", f"films {task}", 0.0, *bounds)
          for task, *found in tasks for peer, bounds in (("best", found), ("other", (1, 2)))],
    )  # fmt: skip
    line = standing.standing(rows).splitlines()[-1]
    assert "| 3 metrics | ahead in 1 | undecided in 1 | behind in 1: films c auc |" in line


def test_differences_have_a_line_among_the_notes_only_if_there_is_something_to_tell():
    rows = frame(
        row("topn_811", "mtrec fused - ease", "ndcg@10", 0.1, note=""),
        row("joint_video", "mtrec joint - single", "rating rmse", 0.1, note="by seed: 0.1"),
    )
    assert tables.notes(rows).count("\n- ") == 0 and "by seed: 0.1" in tables.notes(rows)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.005, 0.015, "we lead"), (-0.001, 0.02, "undecided"), (-0.02, -0.01, "**we do not**")],
)
def test_where_a_protocol_has_paired_differences_they_decide_for_the_system_they_are_of(
    low, high, words
):
    rows = frame(
        row("rating_u1", "mtrec fused", "rmse", 0.87, 0.85, 0.89),
        row("rating_u1", "mtrec joint network", "rmse", 0.86, 0.84, 0.88),
        row("rating_u1", "myFM", "rmse", 0.88, 0.86, 0.90),
        row("rating_u1", "bias", "rmse", 0.94, 0.92, 0.96),
        row("rating_u1", "mtrec fused - bias", "rmse", 0.07, 0.06, 0.08),
        row("rating_u1", "mtrec fused - myFM", "rmse", (low + high) / 2, low, high),
    )
    line = f"| rating_u1 | rmse | 0.8700 (mtrec fused) | 0.8800 (myFM) | {words} |"
    assert line in standing.standing(rows)
    assert list(tables.table(rows.iloc[4:])["system"]) == [
        "mtrec fused - bias",
        "mtrec fused - myFM",
    ]


def test_what_does_other_work_is_not_compared():
    rows = frame(
        row("embed_speed", "mtrec", "tokens_per_second", 10.0, 9.0, 11.0),
        row("embed_speed", "mtrec, 16 layers", "tokens_per_second", 20.0, 19.0, 21.0),
        row("embed_speed", "transformers", "tokens_per_second", 12.0, 11.5, 13.0),
    )
    assert standing.standing(rows).splitlines()[-1].endswith("| **we do not** |")
    cells = tables.table(rows).set_index("system")["tokens_per_second"]
    assert cells["transformers"].startswith("**12") and cells["mtrec, 16 layers"][0] == "2"


def test_what_is_needed_says_how_it_comes_about():
    (line,) = judge(ROWS, [Target("topn_811", "ndcg@10", "peers", 1.05)]).itertuples()
    assert page._needed(line) == "0.3255 = 1.05 x 0.3100 (ease)"


def test_the_page_of_no_rows_says_that_nothing_was_measured(tmp_path):
    page.write(tmp_path, results.read(tmp_path / "absent.json"))
    text = (tmp_path / "reports" / "benchmarks" / "README.md").read_text()
    assert "0 met, 0 missed" in text and "No peer was measured." in text


def test_what_was_reached_is_above_one_exactly_where_the_target_is_met():
    judged = judge(ROWS)
    found = figures.reached(judged)
    np.testing.assert_array_equal(found["reached"] >= 1.0, found["verdict"] == "met")


def test_the_profile_is_domains_by_stages_longest_first():
    rows = frame(
        row("repro_profile", "mtrec", "small training seconds", 5.0),
        row("repro_profile", "mtrec", "large training seconds", 60.0),
        row("repro_profile", "mtrec", "large preprocessing seconds", 90.0),
    )
    wide = figures.profile(rows)
    assert list(wide.index) == ["large", "small"]
    assert list(wide.columns) == ["preprocessing", "training"]
    assert wide.loc["small"].tolist() == [0.0, 5.0]
    assert "| sum | 90 | 65 | 155 |" in page._section("repro_profile", rows, [])[-2]


def test_the_profile_reads_the_reports_and_says_what_to_run_without_any(tmp_path):
    with pytest.raises(FileNotFoundError, match="make repro"):
        profile.run(tmp_path)
    file = tmp_path / "reports" / "video" / "metrics.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"seconds": {"training": 12.5}}')
    (found,) = profile.run(tmp_path)
    assert (found.metric, found.value) == ("video training seconds", 12.5)


@pytest.mark.parametrize(("seconds", "cache"), [(15, "a warm cache"), (1165, "a cold cache")])
def test_the_profile_says_whether_texts_had_been_read_before(tmp_path, seconds, cache):
    file = tmp_path / "reports" / "social_reviews" / "metrics.json"
    file.parent.mkdir(parents=True)
    file.write_text(f'{{"seconds": {{"task_embedding": {seconds}, "training": 9}}}}')
    assert all(cache in found.note for found in profile.run(tmp_path))


def test_a_figure_says_who_leads_and_marks_what_no_target_counts():
    rows = frame(
        row("like_random", "mtrec fused, to the second", "auc", 0.9, 0.89, 0.91),
        row("like_random", "mtrec", "auc", 0.83, 0.82, 0.84),
        row("like_random", "lr", "auc", 0.80, 0.79, 0.81),
    )
    figure = figures.figures(rows, judge(rows, []))["like_random"]()
    (axes,) = figure.axes
    assert axes.get_title().startswith("We lead: 0.8300 (mtrec), 0.8000 (lr)\nMovieLens")
    assert all(len(line) <= figures.WIDTH for line in axes.get_title().splitlines())
    points = [line for line in axes.lines if len(line.get_xdata()) == 1]
    hollow = [line.get_xdata()[0] for line in points if line.get_markerfacecolor() == "white"]
    assert hollow == [0.9] and "no target counts it" in axes.get_xlabel()
    plt.close(figure)


def test_the_figure_of_targets_tells_a_miss_by_a_hair_from_one_that_is_met():
    lines = pd.DataFrame(
        {"name": ["a", "b"], "reached": [0.9996, 1.0], "verdict": ["missed", "met"]}
    )
    figure = charts.against_targets(lines, "title")
    assert {text.get_text() for text in figure.axes[0].texts} == {"99.96 %", "100 %"}
    plt.close(figure)


def test_the_machine_names_the_tensorflow_that_is_installed(monkeypatch):
    known = {"keras": "3.15.1", "tensorflow-cpu": "2.21.0"}
    monkeypatch.setattr(machine, "_version", known.get)
    assert machine.machine().endswith(", tensorflow-cpu 2.21.0, keras 3.15.1")
