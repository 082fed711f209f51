from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import NMF, PCA, TruncatedSVD

from mtrec.features.encoder import fit_encoder, load_encoder, save_encoder, without
from mtrec.features.factors import METHODS, Settings, align, factorize, interactions
from tests.conftest import DOMAIN, SIZES

COMPONENTS = 4


def asked(method):
    factors = Settings(method=method, components=COMPONENTS)
    return DOMAIN.features.model_copy(update={"factors": factors})


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1).mean()


def test_matrix_holds_the_logarithm_of_one_plus_the_number_of_events():
    events = pd.DataFrame({"user_id": list("bbab"), "item_id": list("xyxx")})
    matrix, users, items = interactions(events)
    assert (list(users), list(items)) == (["a", "b"], ["x", "y"])
    np.testing.assert_allclose(matrix.toarray(), np.log1p([[1, 0], [2, 1]]))


@pytest.mark.parametrize("method", METHODS)
def test_vectors_are_scikit_learns_up_to_their_common_length(world, method):
    found = factorize(world.events, method, COMPONENTS)
    counts = pd.crosstab(world.events["user_id"], world.events["item_id"])
    dense = np.log1p(counts.to_numpy())
    if method == "nmf":
        model = NMF(COMPONENTS, init="nndsvda", max_iter=200, random_state=0)
        users, items = model.fit_transform(dense), model.components_.T
    else:
        model = (
            PCA(COMPONENTS, svd_solver="full")
            if method == "pca"
            else TruncatedSVD(COMPONENTS, algorithm="arpack", random_state=0)
        )
        users = model.fit_transform(dense)
        items = model.components_.T * model.singular_values_
    sign = np.sign((users * found["user_id"].to_numpy()).sum(axis=0))
    np.testing.assert_allclose(found["user_id"], unit(users) * sign, atol=2e-5)
    np.testing.assert_allclose(found["item_id"], unit(items) * sign, atol=2e-5)
    assert list(found["user_id"].index) == list(counts.index)


@pytest.mark.parametrize("method", METHODS)
def test_held_out_event_does_not_change_a_vector(world, vectors, method):
    """A planted leak: held-out events are doubled and their ratings changed."""
    first = world.examples.loc[world.examples["split"] != "train", "timestamp"].min()
    late = world.events[world.events["timestamp"] >= first]
    planted = replace(world, events=pd.concat([world.events, late.assign(rating=99.0)]))
    one, other = (fit_encoder(tables, asked(method), SIZES, vectors) for tables in (world, planted))
    for side in ("user", "item"):
        before, after = (getattr(e, side).field("factors") for e in (one, other))
        np.testing.assert_array_equal(before.table, after.table)
        np.testing.assert_array_equal(before.vectors, after.vectors)
    trained = world.events[world.events["timestamp"] < first]
    changed = replace(world, events=pd.concat([world.events, trained]))
    again = fit_encoder(changed, asked(method), SIZES, vectors).user.field("factors")
    assert not np.array_equal(again.vectors, one.user.field("factors").vectors)


def test_entity_without_training_events_has_no_vector(world, vectors):
    nobody = pd.DataFrame({"user_id": ["nobody"], "age": [30.0]})
    tables = replace(world, users=pd.concat([world.users, nobody], ignore_index=True))
    field = fit_encoder(tables, asked("svd"), SIZES, {}).user.field("factors")
    assert field.table[-1] == 0
    assert (field.vectors[0] == 0).all()
    assert (field.table[1:-1] > 0).any()


def test_without_text_the_factors_stay(world, vectors):
    encoder = without(("text",), fit_encoder(world, asked("svd"), SIZES, vectors))
    assert [f.name for f in encoder.user.fields] == ["user_id", "age", "factors"]


def test_encoder_without_the_step_has_no_such_feature(world, vectors):
    encoder = fit_encoder(world, DOMAIN.features, SIZES, vectors)
    assert "factors" not in {f.name for side in encoder.sides for f in side.fields}


def test_factors_are_saved_with_the_encoder(world, vectors, tmp_path):
    encoder = fit_encoder(world, asked("nmf"), SIZES, vectors)
    save_encoder(encoder, tmp_path)
    found = load_encoder(tmp_path).item.field("factors")
    np.testing.assert_array_equal(found.vectors, encoder.item.field("factors").vectors)
    assert found.kind == "factors"


def test_too_many_components_are_as_many_as_there_can_be():
    events = pd.DataFrame({"user_id": list("aabbc"), "item_id": list("xyxzy")})
    assert factorize(events, "svd", 50)["user_id"].shape == (3, 2)
    alone = factorize(events[:1], "svd", 50)["user_id"]
    assert align(alone, pd.Series(["a"])).shape == (1, 0)


def test_unknown_method_is_named_with_the_known_ones(world):
    with pytest.raises(ValueError, match="'magic' is unknown .known: pca, svd, nmf."):
        factorize(world.events, "magic", 2)
