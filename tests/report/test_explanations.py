import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.explain.domain import FEATURES, METHODS, PAST
from mtrec.explain.reasons import Reason
from mtrec.registry import Form
from mtrec.report import explanations as report
from mtrec.report import faithfulness

IG, OCCLUSION = METHODS
KINDS = [f"{kind}: {method} over {other}" for kind in ("deletion", "insertion")
         for method in METHODS for other in ("random", "popularity")]  # fmt: skip


def bounded(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def curves(answers):
    return {"answers": answers, **({key: bounded(0.5) for key in KINDS} if answers else {})}


def task(features=50, past=50, heads=0.1, sizes=0.2):
    return {
        "answers": 50,
        "curves": {FEATURES: curves(features), PAST: curves(past)},
        "likeness to other weights": {
            "towers and heads": bounded(heads), "towers and heads, sizes alone": bounded(sizes),
            "all weights": bounded(0.0), "all weights, sizes alone": bounded(0.0),
        },
    }  # fmt: skip


def of(**tasks):
    return {"tasks": tasks}


# -- gains and where they fail -------------------------------------------------------------------


def test_tasks_without_answers_have_no_line_of_gains():
    found = of(like=task(), tags=task(past=0))
    assert list(faithfulness.gains_table(found, PAST)["task"]) == ["like"]
    assert list(faithfulness.gains_table(found, FEATURES)["task"]) == ["like", "tags"]
    none = faithfulness.gains_table(of(tags=task(past=0)), PAST)
    assert none.empty and list(none.columns[:2]) == ["task", "answers"]


def test_a_mean_of_few_answers_has_no_interval_and_does_not_count():
    found = of(math=task(past=7), like=task(past=20))
    shown = faithfulness.gains_table(found, PAST).set_index("task")["deletion, over random"]
    assert shown["math"] == "+0.500"
    assert shown["like"] == "+0.500 [+0.400, +0.600]"
    assert "of 12 comparisons" in faithfulness.verdict(found, IG)


def test_a_likeness_of_few_answers_has_no_interval():
    few = {**task(), "answers": 19}
    shown = faithfulness.likeness_table(of(few=few, many=task())).set_index("task")[
        "towers and heads"
    ]
    assert shown["few"] == "0.100" and "[" in shown["many"]


def test_what_is_not_measured_is_said():
    found = of(math=task(past=7), tags=task(features=0, past=0), like=task())
    assert faithfulness.unmeasured(found, PAST) == [
        "Not measured, since no row asked about has 3 past events that the task sees: tags.",
        "Fewer than 20 answers of past events, so without an interval and not counted above: "
        "math (7).",
    ]
    assert faithfulness.unmeasured(found, FEATURES) == [
        "Not measured, since no row asked about has 2 features that the task sees: tags."
    ]
    assert faithfulness.unmeasured(of(like=task()), PAST) == []


def test_orders_that_are_behind_are_named_with_a_warning():
    found = of(like=task(), course=task())
    found["tasks"]["course"]["curves"][FEATURES][f"insertion: {IG} over popularity"] = bounded(-1.6)
    for kind in ("deletion", "insertion"):
        found["tasks"]["course"]["curves"][PAST][f"{kind}: {IG} over random"] = bounded(-0.2)
    assert faithfulness.behind(found, IG) == (
        "integrated gradients: behind an order that does not know the row in course (features, "
        "insertion over popularity; past events, deletion over random and insertion over random). "
        "Do not trust the order of the reasons by integrated gradients there."
    )
    assert faithfulness.behind(found, OCCLUSION) == (
        "occlusion: nowhere behind an order that does not know the row."
    )


@pytest.mark.parametrize("value", [-0.05, None])
def test_an_undecided_or_unknown_comparison_is_not_behind(value):
    found = of(like=task())
    one = {"value": None, "low": None, "high": None} if value is None else bounded(value)
    found["tasks"]["like"]["curves"][FEATURES][KINDS[0]] = one
    assert "nowhere behind" in faithfulness.behind(found, IG)


def test_of_few_answers_alone_nothing_is_claimed():
    found = of(like=task(features=0, past=19))
    found["tasks"]["like"]["curves"][PAST][KINDS[0]] = bounded(-1.0)
    assert faithfulness.behind(found, IG) == (
        "integrated gradients: no task has enough answers to compare orders."
    )
    assert faithfulness._standing_title(found, PAST, "deletion").endswith("answers in every task")


def test_findings_are_verdicts_failures_and_what_is_missing():
    found = faithfulness.findings(of(like=task(), math=task(past=7)))
    assert [line.split(":")[0] for line in found[:4]] == [IG, IG, OCCLUSION, OCCLUSION]
    assert len(found) == 5 and "math (7)" in found[4]


# -- other weights -------------------------------------------------------------------------------


def test_explanations_that_survive_shuffled_weights_are_named():
    said = faithfulness.still_alike(
        of(like=task(heads=0.8), rating=task(), category=task(sizes=0.83))
    )
    assert said.splitlines() == [
        "Still alike after the weights were shuffled (over 0.5): like (0.80). "
        "Do not trust the order of the reasons there.",
        "Of their sizes alone, still alike after the weights were shuffled (over 0.5): "
        "category (0.83). Which reasons are large there says more of the row than of what the "
        "model learnt.",
    ]


def test_no_warning_where_explanations_change_or_have_no_order():
    unknown = copy.deepcopy(task())
    for one in unknown["likeness to other weights"].values():
        one.update(value=None, low=None, high=None)
    said = faithfulness.still_alike(of(like=task(heads=0.5, sizes=-0.9), tags=unknown))
    assert said == "No explanation is still alike after the weights were shuffled (over 0.5)."


# -- similar items -------------------------------------------------------------------------------


def similar(*rows):
    named = [{"item": item, "title": title, "similarity": 1 - 0.1 * n}
             for n, (item, title) in enumerate(rows)]  # fmt: skip
    return report.similar_table(SimpleNamespace(similar={"items": named}), "items")


def test_items_of_one_text_are_one_line_that_counts_them():
    found = similar(("1", "rolls"), ("2", "rolls"), ("3", "jam"), ("4", None), ("5", ""))
    assert list(found["item"]) == ["1", "3", "4", "5"]
    assert list(found["others with this title"]) == [1, 0, 0, 0]


def test_titles_are_shown_to_sixty_characters():
    long = "A second-grade teacher with a bachelor's degree and 7 years of $"
    found = similar(("1", long), ("2", "Heat, $5"))
    assert list(found.columns) == ["item", "title", "similarity"]
    assert found["title"][0] == long[:59].rstrip() + "…" and found["title"][1] == "Heat, $5"


@pytest.mark.parametrize("titles", [(None, None), ("7", "8")])
def test_a_title_that_is_the_id_is_not_shown(titles):
    found = similar(*zip(("7", "8"), titles, strict=True))
    assert list(found.columns) == ["item", "similarity"] and len(found) == 2


def test_without_similar_items_the_table_is_empty():
    assert similar().empty


# -- experts -------------------------------------------------------------------------------------


def test_the_value_with_most_weight_beyond_its_tasks_is_named():
    usual = np.array([0.2, 0.1, -0.3, 0.0])
    values = {"genres: War": np.array([0, 1]), "genres: Musical": np.array([2, 3])}
    best, more = report._most(usual, values)
    assert best == "genres: War" and more == pytest.approx(0.15)


def test_a_value_with_less_weight_than_its_tasks_is_not_named():
    for values in ({"genres: Musical": np.array([2])}, {}):
        best, more = report._most(np.array([0.2, 0.1, -0.3]), values)
        assert best == "" and np.isnan(more)


def experts(column):
    """Twelve answers of one task, half of each of two users; the first user's take expert 1."""
    field = SimpleNamespace(name="job", kind="categorical")
    side, none = SimpleNamespace(ids=["1", "2"], fields=[field]), SimpleNamespace(ids=[], fields=[])
    rows = np.repeat([1, 2], 12)
    gates = np.where(rows[:, None] == 1, [0.9, 0.1], [0.3, 0.7])[:, None, :]
    asked = SimpleNamespace(
        at=np.arange(24),
        task=np.zeros(24, int),
        gates=gates,
        inputs={"user": rows, "item": 0 * rows},
    )
    encoder = SimpleNamespace(user=side, item=none)
    trunk = SimpleNamespace(tasks=("like",), assembly=SimpleNamespace(encoder=encoder))
    users = pd.DataFrame({"user_id": ["1", "2"], "job": column})
    items = pd.DataFrame({"item_id": []})
    return report.specialities(SimpleNamespace(asked=asked, trunk=trunk), users, items)


def test_a_single_task_has_specialities_above_its_mean():
    found = experts(["nurse", "baker"])
    assert list(found["most for"]) == ["job: nurse", "job: baker"]
    assert list(found["above its task's mean"]) == pytest.approx([0.3, 0.3])


def test_bare_numbers_name_no_speciality():
    found = experts(["6", "11"])
    assert list(found["most for"]) == ["", ""] and found["above its task's mean"].isna().all()


def test_without_gates_there_are_no_specialities():
    measured = SimpleNamespace(asked=SimpleNamespace(gates=None), trunk=None)
    found = report.specialities(measured, pd.DataFrame(), pd.DataFrame())
    assert found.empty and "above its task's mean" in found


# -- one answer ----------------------------------------------------------------------------------


def test_the_figure_of_an_answer_is_titled_against_the_reference_input():
    groups = [{"group": "price", "contribution": -5.6}]
    reason = Reason("purchase", None, 0.012, 0.77, -4.4, 1.2, groups, [])
    kind = SimpleNamespace(form=Form.BIT)
    figure = report.example_figure(
        SimpleNamespace(tasks={"purchase": reason}), "purchase", kind, ""
    )
    assert figure.axes[0].get_title() == (
        "1.2 %, against 77 % for the reference input;\nprice lowers it most"
    )
