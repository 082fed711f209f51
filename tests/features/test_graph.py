import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from mtrec.features.graph import reduce_links

LINKS = pd.Series(
    [["by x", "in us"], ["by x", "in us"], ["by y", "in uk"], ["by y", "in uk", "by z"], [],
     ["by z"]]
)  # fmt: skip
TRAINING = np.array([True, True, True, True, True, False])


def test_vectors_are_those_of_scikit_learn_over_the_training_deviation():
    weights = TfidfVectorizer(analyzer=list, vocabulary=["by x", "by y", "in uk", "in us"],
                              sublinear_tf=True)  # fmt: skip
    weights.fit(LINKS[TRAINING])
    matrix = weights.transform(LINKS[:4])
    expected = TruncatedSVD(2, random_state=0).fit_transform(matrix)
    found = reduce_links(LINKS, TRAINING, 2)
    np.testing.assert_allclose(found[:4], expected / expected.std(axis=0), rtol=1e-5, atol=1e-6)


def test_what_training_links_once_or_never_is_not_learnt():
    found = reduce_links(LINKS, TRAINING, 2)
    assert np.isnan(found[4]).all()  # no link
    assert np.isnan(found[5]).all()  # 'by z' occurs once in training: it joins nothing


def test_links_of_held_out_entities_change_no_vector():
    other = LINKS.copy()
    other[5] = ["by x", "in uk", "by y"]
    np.testing.assert_array_equal(
        reduce_links(LINKS, TRAINING, 2)[:5], reduce_links(other, TRAINING, 2)[:5]
    )


def test_entities_with_the_same_links_have_the_same_vector():
    found = reduce_links(LINKS, TRAINING, 2)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_nothing_shared_gives_no_components():
    assert reduce_links(pd.Series([["a"], ["b"]]), np.array([True, True])).shape == (2, 0)
