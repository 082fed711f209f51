import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from mtrec.domains import teacher_gain as gain
from mtrec.tables.schema import Tables


@pytest.fixture(scope="module")
def tables():
    """Ten schools with three teachers of a grade each, whose effects are known."""
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"t{n}" for n in range(31)],
                          "school": [f"s{n // 3}" for n in range(31)], "grade": "2"})  # fmt: skip
    teacher, last = rng.integers(0, 31, 3000), rng.normal(500, 40, 3000)
    effect = rng.normal(0, 20, 31)
    examples = pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(3000)], "item_id": items["item_id"].to_numpy()[teacher],
         "timestamp": pd.Timestamp("1988-03-01"), "split": rng.choice(["train", "test"], 3000),
         "last_math": last, "math": last + 30 + effect[teacher] + rng.normal(0, 20, 3000),
         "last_reading": last, "reading": np.where(rng.random(3000) < 0.1, np.nan, last + 5)}
    )  # fmt: skip
    none = pd.DataFrame()
    return Tables(none, items, none, examples, none), effect


def oracle(tables, effect):
    known = dict(zip(tables.items["item_id"], effect, strict=True))
    return lambda pairs: pd.DataFrame(
        {"math": pairs["last_math"] + pairs["item_id"].map(known),
         "reading": pairs["last_reading"] + pairs["item_id"].map(known)}, index=pairs.index
    )  # fmt: skip


def test_candidates_are_the_teachers_of_the_same_school_and_grade(tables):
    world, _ = tables
    rows = world.examples.head(200)
    pairs = gain.candidates(rows, world.items)
    for row, part in pairs.groupby("row"):
        own = int(rows.loc[row, "item_id"][1:]) // 3
        assert set(part["item_id"]) == {f"t{3 * own + k}" for k in range(3)}
        assert part.loc[part["had"], "item_id"].tolist() == [rows.loc[row, "item_id"]]
    alone = rows.index[rows["item_id"] == "t30"]  # the only teacher of her school
    assert len(alone) and not set(alone) & set(pairs["row"])


def test_a_true_model_recommends_the_best_teacher_and_its_gain_is_observed(tables):
    world, effect = tables
    gains = gain.predicted_gains(oracle(world, effect), world.examples, world.items, "math")
    best = gain.recommend(gains)
    truth = {f"s{s}": f"t{3 * s + int(np.argmax(effect[3 * s : 3 * s + 3]))}" for s in range(10)}
    assert (best["item_id"] == best["school"].map(truth)).all()
    groups = [effect[3 * s : 3 * s + 3] for s in range(10)]
    expected = np.mean([g.max() - (g.sum() - g.max()) / 2 for g in groups])
    assert gain.advantage(best) == pytest.approx(expected, abs=3)
    assert gain.agreement(gain.teachers(gains)) > 0.9


def test_agreement_equals_ranks_of_deviations_by_hand(tables):
    world, effect = tables
    gains = gain.predicted_gains(oracle(world, effect), world.examples, world.items, "math")
    observed = (world.examples["math"] - world.examples["last_math"]).groupby(
        world.examples["item_id"]).mean()  # fmt: skip
    observed = observed[[f"t{n}" for n in range(30)]].to_numpy().reshape(10, 3)
    # a teacher's predicted gain is the mean over all children of the cell: the effect alone
    columns = [v - v.mean(axis=1, keepdims=True) for v in (effect[:30].reshape(10, 3), observed)]
    ranks = [rankdata(v.ravel()) for v in columns]
    found = gain.agreement(gain.teachers(gains))
    assert found == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_advantage_equals_least_squares_with_a_constant_per_cell(tables):
    world, effect = tables
    gains = gain.predicted_gains(oracle(world, effect), world.examples, world.items, "math")
    best = gain.recommend(gains)
    constants = pd.get_dummies(best["cell"]).to_numpy(float)
    design = np.column_stack([best["had"].astype(float), constants])
    slope = np.linalg.lstsq(design, best["observed"].to_numpy(), rcond=None)[0][0]
    assert gain.advantage(best) == pytest.approx(slope)


def test_a_model_without_knowledge_agrees_with_nothing(tables):
    world, effect = tables
    shuffled = np.random.default_rng(3).permutation(effect)
    gains = gain.predicted_gains(oracle(world, shuffled), world.examples, world.items, "math")
    low, high = gain.interval(gain.teachers(gains), gain.agreement, 200, 0)
    assert low < 0 < high


def test_the_report_judges_test_rows_with_known_scores_only(tables):
    world, effect = tables
    seen = []

    def score(pairs):
        seen.append(pairs)
        return oracle(world, effect)(pairs)

    titles = [title for title, _ in gain.report(score, world, 50, 0)]
    assert len(titles) == 2
    test = set(world.examples.index[world.examples["split"] == "test"])
    assert all(set(pairs["row"]) <= test for pairs in seen)
    assert seen[1]["reading"].notna().all()
