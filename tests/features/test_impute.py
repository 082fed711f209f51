from dataclasses import replace

import numpy as np
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from mtrec.features.encoder import fit_encoder, load_encoder, save_encoder, usable_events
from mtrec.features.impute import IMPUTERS, REFERENCE_ROWS, Imputer
from tests.conftest import DOMAIN, SIZES


def scaled(rows=300, seed=0):
    """Three correlated columns, a fifth of the values missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 1)) + 0.3 * rng.normal(size=(rows, 3))
    gone = rng.random(values.shape) < 0.2
    return np.stack([np.where(gone, 0.0, values), gone], axis=-1).astype("float32"), values


def asked(method):
    columns = DOMAIN.features.item.model_copy(update={"numeric": ("year", "length")})
    context = DOMAIN.features.user.model_copy(update={"context": ("user_count", "mean")})
    return DOMAIN.features.model_copy(
        update={"item": columns, "user": context, "imputation": method}
    )


@pytest.fixture
def gappy(world):
    """The tiny world with two correlated numbers per item and per row, some missing."""
    rng = np.random.default_rng(3)
    year = world.items["year"]
    items = world.items.assign(
        year=year.where(rng.random(len(year)) > 0.2), length=year / 10 + rng.normal(size=len(year))
    )
    count = world.examples["user_count"]
    examples = world.examples.assign(
        mean=(count / 3 + rng.normal(size=len(count))).where(rng.random(len(count)) > 0.3)
    )
    return replace(world, items=items, examples=examples)


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("iterative", IterativeImputer(random_state=0, max_iter=20)),
        ("knn", KNNImputer(n_neighbors=10)),
    ],
)
def test_filled_values_are_scikit_learns_and_flags_stay(method, reference):
    training, _ = scaled()
    held, _ = scaled(seed=1)
    found = Imputer.fit(method, training)(held)
    gaps = [np.where(part[..., 1] > 0, np.nan, part[..., 0]).astype(float)
            for part in (training, held)]  # fmt: skip
    expected = reference.fit(gaps[0]).transform(gaps[1])
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)
    np.testing.assert_array_equal(found[..., 1], held[..., 1])
    known = held[..., 1] == 0
    np.testing.assert_array_equal(found[known], held[known])


@pytest.mark.parametrize("method", ["iterative", "knn", "mean"])
def test_what_is_filled_in_does_not_depend_on_the_rows_beside_it(method):
    training, _ = scaled()
    fill = Imputer.fit(method, training)
    rows, _ = scaled(seed=1)
    rows[:2, :, 0], rows[:2, :, 1] = 0.0, 1.0  # nothing is known of these
    together = fill(rows)
    for at in range(8):
        np.testing.assert_allclose(fill(rows[at : at + 1]), together[at : at + 1], atol=1e-6)


def test_mean_is_that_of_the_known_training_values():
    training, _ = scaled()
    found = Imputer.fit("mean", training)(training)
    for column in range(3):
        gone = training[:, column, 1] > 0
        mean = training[~gone, column, 0].mean()
        np.testing.assert_allclose(found[gone, column, 0], mean, atol=1e-6)


def test_correlated_columns_tell_more_than_the_mean():
    training, _ = scaled()
    held, truth = scaled(seed=1)
    gone = held[..., 1] > 0
    error = {
        method: np.square(Imputer.fit(method, training)(held)[..., 0] - truth)[gone].mean()
        for method in IMPUTERS
    }
    assert error["iterative"] < 0.3 * error["mean"]
    assert error["knn"] < 0.3 * error["mean"]


@pytest.mark.parametrize("method", list(IMPUTERS))
def test_held_out_rows_do_not_change_what_is_filled_in(gappy, method):
    """A planted leak: context columns of held-out rows are multiplied."""
    held = gappy.examples["split"] != "train"
    twisted = gappy.examples.assign(
        mean=gappy.examples["mean"].where(~held, 1e3), user_count=gappy.examples["user_count"]
    )
    encoders = [
        fit_encoder(tables, asked(method), SIZES, {})
        for tables in (gappy, replace(gappy, examples=twisted))
    ]
    before, after = (encoder.imputers["user"].reference for encoder in encoders)
    np.testing.assert_array_equal(before, after)
    assert len(before) == (~held).sum()
    rows = gappy.examples
    contexts = [e.inputs(rows, usable_events(gappy, e))["user_context"] for e in encoders]
    np.testing.assert_array_equal(*contexts)
    for one, other in zip(encoders[0].item.fields, encoders[1].item.fields, strict=True):
        np.testing.assert_array_equal(one.table, other.table)


def test_item_without_training_events_teaches_nothing(gappy):
    place = int(gappy.items["year"].notna().to_numpy().argmax())
    cold = gappy.items.iloc[place]["item_id"]
    events = gappy.events[gappy.events["item_id"] != cold]
    tables = []
    for length in (5.0, 5e4):
        items = gappy.items.assign(
            length=gappy.items["length"].where(gappy.items["item_id"] != cold, length)
        )
        tables.append(replace(gappy, items=items, events=events))
    one, other = (fit_encoder(t, asked("iterative"), SIZES, {}).item.field("year") for t in tables)
    others = np.arange(len(one.table)) != place + 1
    np.testing.assert_array_equal(one.table[others], other.table[others])


def test_table_columns_are_filled_and_still_flagged(gappy):
    plain, filled = (
        fit_encoder(gappy, asked(method), SIZES, {}).item.field("year").table
        for method in (None, "iterative")
    )
    gone = gappy.items["year"].isna().to_numpy()
    assert gone.any()
    assert (plain[1:][gone, 0] == 0).all()
    assert (filled[1:][gone, 0] != 0).all()
    np.testing.assert_array_equal(plain[:, 1], filled[:, 1])
    np.testing.assert_array_equal(plain[1:][~gone], filled[1:][~gone])


@pytest.mark.parametrize("method", list(IMPUTERS))
def test_loaded_encoder_fills_the_same_values(gappy, tmp_path, method):
    encoder = fit_encoder(gappy, asked(method), SIZES, {})
    save_encoder(encoder, tmp_path)
    loaded = load_encoder(tmp_path)
    events = usable_events(gappy, encoder)
    first, second = (e.inputs(gappy.examples, events)["user_context"] for e in (encoder, loaded))
    np.testing.assert_array_equal(first, second)


def test_encoder_without_the_step_is_written_as_before(world, tmp_path):
    save_encoder(fit_encoder(world, DOMAIN.features, SIZES, {}), tmp_path)
    assert "imputers" not in (tmp_path / "encoder.json").read_text()
    assert load_encoder(tmp_path).imputers == {}


def test_reference_is_a_sample_and_an_empty_column_stays_at_zero():
    many = np.zeros((REFERENCE_ROWS + 500, 2, 2), dtype="float32")
    many[:, 0, 0] = np.arange(len(many))
    many[:, 1, 1] = 1.0  # nobody has it
    for method in IMPUTERS:
        imputer = Imputer.fit(method, many)
        assert imputer.reference.shape == (REFERENCE_ROWS, 2)
        assert (imputer(many[:5])[:, 1, 0] == 0).all()


def test_unknown_method_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="'guess' is unknown .known: mean, iterative, knn."):
        Imputer.fit("guess", np.zeros((3, 1, 2)))
