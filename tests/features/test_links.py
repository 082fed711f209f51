"""Evidence of links: counts as by hand, and nothing of a row's own or of held-out links."""

import numpy as np
import pytest

from mtrec.features import links

USERS = 12


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    found = np.unique(rng.integers(0, USERS, (60, 2)), axis=0)
    found = found[found[:, 0] != found[:, 1]]
    return found[:, 0] + 1, found[:, 1].astype("int32")


def test_counts_equal_those_by_hand(pairs):
    chose = links.adjacency(*pairs, USERS)
    found, there = links.tables(chose), set(zip(pairs[0] - 1, pairs[1], strict=True))
    for a in range(USERS):
        for c in set(range(USERS)) - {a}:
            middle = range(USERS)
            assert found["returned"][a + 1, c] == ((c, a) in there)
            expected = {
                "out_out": sum((a, d) in there and (d, c) in there for d in middle),
                "out_in": sum((a, d) in there and (c, d) in there for d in middle),
                "in_out": sum((d, a) in there and (d, c) in there for d in middle),
                "in_in": sum((d, a) in there and (c, d) in there for d in middle),
            }
            assert {kind: found[kind][a + 1, c] for kind in expected} == expected


def test_nobody_has_evidence_for_himself_and_the_unknown_user_has_none(pairs):
    for counts in links.tables(links.adjacency(*pairs, USERS)).values():
        assert not counts[0].any()
        assert not np.diag(counts[1:]).any()
    assert not links.adjacency(np.array([0]), np.array([3]), USERS).any()


def test_only_training_rows_name_their_own_link():
    labels, known = np.array([4, 4, 0, -1]), np.array([True, True, False, False])
    training = np.array([True, False, True, True])
    assert links.own_links(labels, known, training).tolist() == [5, 0, 0, 0]


def test_more_users_than_a_table_of_pairs_holds_are_refused():
    with pytest.raises(ValueError, match="holds 4,096 users at most"):
        links.adjacency(np.array([1]), np.array([1]), links.LARGEST + 1)
