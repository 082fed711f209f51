"""Next basket: the split, the published methods, and what our ranking network sees."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.models import basket_features, baskets, next_basket, topk
from benchmarks.models.baskets import Baskets
from benchmarks.protocols import next_basket as protocol


def written(*households, items=6):
    """Baskets as lists of lists; one a week."""
    lines = [
        (h, b, i, 7 * b)
        for h, found in enumerate(households)
        for b, basket in enumerate(found)
        for i in sorted(basket)
    ]
    household, basket, item, day = np.array(lines).T
    return Baskets(household, basket, item, day, len(households), items)


def drawn(households=40, items=30, seed=0):
    draws = np.random.default_rng(seed)
    return written(
        *([list(draws.permutation(items)[: draws.integers(1, 6)]) for _ in range(8)]
          for _ in range(households)),
        items=items,
    )  # fmt: skip


SOME = written([[0, 1], [0], [2]], [[3], [0, 3]])


def test_personal_top_counts_and_popularity_breaks_ties():
    scores = baskets.personal_top(SOME)
    assert (np.floor(scores) == SOME.matrix().toarray()).all()
    assert scores[0].argsort()[::-1][:2].tolist() == [0, 1] or scores[0, 2] == scores[0, 1]
    assert scores[1, 0] > scores[1, 1]


def test_block_vectors_are_the_mean_of_blocks_of_decayed_means():
    found = baskets.block_vectors(SOME, within=0.5, between=0.1, size=2).toarray()
    first = 0.1 * np.array([1, 1, 0, 0, 0, 0])  # the oldest basket, a block of its own
    second = (0.5 * np.array([1, 0, 0, 0, 0, 0]) + np.array([0, 0, 1, 0, 0, 0])) / 2
    np.testing.assert_allclose(found[0], (first + second) / 2)
    np.testing.assert_allclose(found[1], [0.5, 0, 0, 0.75, 0, 0])


def groups_of(history, groups):
    """Baskets of a history by group: the later groups take one more where they cannot be equal."""
    if len(history) < groups:
        return [[basket] for basket in history]
    small, larger = divmod(len(history), groups)
    sizes = [small] * (groups - larger) + [small + 1] * larger
    ends = np.cumsum(sizes)
    return [history[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def tifu_by_hand(history, items, within, between, groups, decay):
    """The vector of one history, basket by basket."""
    total, seen, found = np.zeros(items), 0, groups_of(history, groups)
    for number, group in enumerate(found):
        vector = np.zeros(items)
        for place, basket in enumerate(group):
            seen += 1
            back = len(group) - 1 - place if decay == "group" else len(history) - seen
            vector[basket] += within**back
        total += between ** (groups - 1 - number) * vector / len(group)
    return total / len(found)


@pytest.mark.parametrize("decay", ["group", "history"])
@pytest.mark.parametrize("groups", [1, 2, 3, 5, 7, 9])
def test_tifu_vectors_divide_each_history_into_so_many_groups(groups, decay):
    draws = np.random.default_rng(groups)
    histories = [
        [sorted(draws.permutation(12)[: draws.integers(1, 5)]) for _ in range(length)]
        for length in (1, 2, 3, 4, 6, 7, 8, 15, 20)
    ]
    settings = {"within": 0.9, "between": 0.6, "groups": groups, "decay": decay}
    found = baskets.tifu_vectors(written(*histories, items=12), **settings).toarray()
    by_hand = [tifu_by_hand(history, 12, **settings) for history in histories]
    np.testing.assert_allclose(found, by_hand, atol=1e-12)


def test_the_last_number_of_a_published_tifu_setting_is_that_of_groups_not_of_their_baskets():
    some = written([[0], [1], [2], [3], [4], [5]])  # three groups of two
    found = baskets.tifu_vectors(some, within=1.0, between=0.5, groups=3, decay="history")
    np.testing.assert_allclose(
        found.toarray()[0] * 3, [0.125, 0.125, 0.25, 0.25, 0.5, 0.5], atol=1e-12
    )
    assert protocol.PUBLISHED["groups"] == 3
    assert protocol.ELSEWHERE["groups"] == 7


@pytest.mark.parametrize("decay", ["group", "history"])
def test_tifu_knn_blends_own_vector_and_the_nearest_neighbours(decay):
    some = drawn()
    own = baskets.tifu_vectors(some, 0.9, 0.7, 3, decay).toarray()
    found = baskets.tifu_knn(some, 5, 0.9, 0.7, 0.6, 3, decay)
    for household in range(some.households):
        distance = ((own - own[household]) ** 2).sum(axis=1)
        distance[household] = np.inf
        mean = own[np.argsort(distance)[:5]].mean(axis=0)
        np.testing.assert_allclose(found[household], 0.6 * own[household] + 0.4 * mean, atol=1e-6)


def test_up_cf_is_the_formula_of_its_paper():
    some = drawn(households=7)
    found = baskets.up_cf(some, recency=3, locality=2, asymmetry=0.25)
    sets = [set(some.item[some.household == u]) for u in range(7)]
    share = np.zeros((7, some.items))
    for u, i, age in zip(some.household, some.item, some.age, strict=True):
        share[u, i] += (age < 3) / 3
    for u in range(7):
        weight = [
            (len(sets[u] & sets[v]) / (len(sets[u]) ** 0.25 * len(sets[v]) ** 0.75)) ** 2
            for v in range(7)
        ]
        np.testing.assert_allclose(found[u], weight @ share, rtol=1e-5)


@pytest.fixture(scope="module")
def cornac():
    """Drawn baskets, and what cornac says of them; made by the script beside the file."""
    found = np.load(Path(__file__).parent / "reference" / "baskets_cornac.npz")
    household, basket, item = found["lines"][np.lexsort(found["lines"].T[::-1])].T
    return Baskets(household, basket, item, 7 * basket, 12, 20), found


@pytest.mark.parametrize("place, settings", enumerate([(0.9, 0.6, 3), (0.9, 0.7, 7)]))
def test_tifu_vectors_are_those_of_cornac(cornac, place, settings):
    some, known = cornac
    found = baskets.tifu_vectors(some, *settings, "history").toarray()
    np.testing.assert_allclose(found, known[f"tifu_{place}"], atol=1e-6)


@pytest.mark.parametrize("place, settings", enumerate([(0, 1, 0.25), (3, 2, 0.5)]))
def test_up_cf_is_that_of_cornac_fitted_without_the_household_that_asks(cornac, place, settings):
    some, known = cornac
    np.testing.assert_allclose(baskets.up_cf(some, *settings), known[f"up_cf_{place}"], atol=1e-5)


def test_personal_top_has_the_order_of_cornac(cornac):
    some, known = cornac
    orders = [
        np.argsort(-s, axis=1, kind="stable") for s in (baskets.personal_top(some), known["top"])
    ]
    np.testing.assert_array_equal(*orders)


def test_pairs_know_count_and_recency():
    some = written([[0, 1], [0], [2]], [[3], [0, 3]])
    found = basket_features.pairs(some, day=np.array([21, 14]))
    assert list(zip(found.household, found.item, strict=True)) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 3),
    ]  # fmt: skip
    np.testing.assert_allclose(np.exp(found.columns["count"]), [2, 1, 1, 1, 2])
    np.testing.assert_allclose(np.expm1(found.columns["since_days"]), [14, 21, 7, 7, 7])
    np.testing.assert_allclose(np.expm1(found.columns["since_baskets"]), [1, 2, 0, 0, 0])
    np.testing.assert_allclose(found.columns["last_1"], [0, 0, 1, 1, 1])
    np.testing.assert_allclose(found.columns["last_5"], [2 / 3, 1 / 3, 1 / 3, 1 / 2, 1])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(basket_features, "BOUGHT", 12)
    monkeypatch.setattr(basket_features, "NEW", 6)
    scopes = {"all": slice(None), "repeat": slice(None, 12), "explore": slice(12, None)}
    monkeypatch.setattr(next_basket, "SCOPES", scopes)


def test_candidates_are_first_bought_before_then_never_bought(small):
    some = drawn()
    found = basket_features.candidates(some, np.full(40, 60), np.arange(30) % 4)
    bought = some.matrix().toarray() > 0
    for household in range(40):
        first, last = found.items[household, :12], found.items[household, 12:]
        assert bought[household, first[first >= 0]].all()
        assert not bought[household, last].any()
        assert len(set(last)) == 6
    assert np.isfinite(found.features).all()


def test_a_fold_knows_nothing_of_its_basket_and_what_follows(small):
    some = drawn()
    group = np.arange(30) % 4
    fold = next_basket.fold(some, 1, group)
    changed = np.where(some.age <= 1, (some.item + 7) % 30, some.item)
    other = next_basket.fold(
        Baskets(some.household, some.basket, changed, some.day, 40, 30), 1, group
    )
    np.testing.assert_array_equal(fold.found.items, other.found.items)
    np.testing.assert_array_equal(fold.found.features, other.found.features)
    assert (fold.wanted != other.wanted).any()


def test_what_is_wanted_is_what_the_basket_held(small):
    some = drawn()
    fold = next_basket.fold(some, 0, np.arange(30) % 4)
    target = some.take(some.age == 0)
    pairs = set(zip(target.household, target.item, strict=True))
    for household, column in np.ndindex(fold.wanted.shape):
        item = fold.found.items[household, column]
        assert fold.wanted[household, column] == ((household, item) in pairs)


def test_lists_give_ranks_and_fills_stand_for_nothing():
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    out = np.array([[False, False, True], [True, True, True]])
    lists = topk.best(scores, out, 2)
    assert lists.tolist() == [[1, 0], [-1, -1]]
    ranks = topk.listed_ranks(lists, np.array([0, 0, 1]), np.array([0, 2, 1]))
    assert ranks.tolist() == [[2, 2], [np.inf, np.inf], [np.inf, np.inf]]
    assert topk.per_user(ranks, np.array([0, 0, 1]))["recall@10"].tolist() == [0.5, 0.0]


@pytest.fixture
def lines():
    """Eight baskets of household 7 (product 1 always; 5 first in the last), two of household 8."""
    rows = [(7, 100 + b, 1, b) for b in range(8)] + [(7, 107, 5, 7), (8, 300, 1, 0), (8, 301, 1, 1)]
    rows += [(9, 400 + b, item, b) for b in range(12) for item in (1, 5)]
    frame = pd.DataFrame(rows, columns=["household_id", "basket_id", "product_id", "number"])
    time = pd.Timestamp("2017-01-01") + pd.to_timedelta(frame.pop("number"), unit="D")
    return frame.assign(transaction_timestamp=time)


@pytest.fixture
def split(lines, tmp_path):
    folder = tmp_path / "data" / "completejourney"
    folder.mkdir(parents=True)
    lines.to_parquet(folder / "transactions.parquet")
    found = protocol.transactions(tmp_path)
    parts = protocol.last_two(found)
    return found, protocol.Split("next_basket", "", parts)


def test_last_basket_is_the_test_and_short_households_are_left_out(split):
    found, parts = split
    assert found.loc[parts.rows["test"], "basket_id"].unique().tolist() == [107, 411]
    assert found.loc[parts.rows["validation"], "basket_id"].unique().tolist() == [106, 410]
    arrays = protocol.arrays(found, parts)
    assert arrays["household"].max() == 1  # 7 and 9
    assert arrays["basket"].max() == 11


def test_repeat_and_explore_part_what_was_bought_before(split):
    arrays = protocol.arrays(*split)
    lists = np.array([[0, 1], [0, 1]])  # products 1 and 5
    everything = protocol.measure(lists, "all", arrays, 2)
    repeat = protocol.measure(lists, "repeat", arrays, 2)
    explore = protocol.measure(lists, "explore", arrays, 2)
    assert everything["recall@10"].tolist() == [1.0, 1.0]
    assert len(repeat["recall@10"]) == 2
    assert explore["ndcg@10"].tolist() == [pytest.approx(1 / np.log2(3))]  # 7 met product 5 anew


def test_rarity_is_counted_on_training_baskets_alone(split):
    found, parts = split
    extra = found.iloc[parts.rows["test"][:1]].assign(product_id=99)
    more = pd.concat([found, *[extra] * 12], ignore_index=True)
    rows = dict(parts.rows)
    rows["test"] = np.r_[rows["test"], np.arange(len(found), len(more))]
    arrays = protocol.arrays(more, protocol.Split("next_basket", "", rows))
    assert 99 not in arrays["product_id"]


def test_systems_never_see_the_test_baskets(split):
    arrays = protocol.arrays(*split)
    for parts in (1, 2):
        seen = protocol.known(arrays, parts)
        assert len(seen["item"]) == (arrays["part"] < parts).sum()
        assert "part" not in seen


def test_a_tuned_peer_has_at_least_our_trials_and_its_published_setting_among_them():
    _, tuned = protocol.PEERS["tifu_knn_tuned"]
    assert protocol.PUBLISHED in tuned
    assert protocol.ELSEWHERE in tuned
    assert min(len(tuned), len(protocol.PEERS["up_cf"][1])) >= len(protocol.OURS)
