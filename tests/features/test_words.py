import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from mtrec.features.ablation import ablated, ablations
from mtrec.features.assemble import assemble, load, save
from mtrec.features.encoder import fit_encoder, load_encoder, save_encoder
from mtrec.features.words import FEATURE, Settings, fit, transform
from mtrec.models.twins import build_some
from mtrec.settings import Columns, Features
from tests.conftest import DOMAIN, SIZES, TASKS

PLOTS = ("a slow sad film", "a fast loud film", "a slow film with songs", "loud songs", None)


def texts(items):
    return [PLOTS[n % len(PLOTS)] and f"{PLOTS[n % len(PLOTS)]} part {n // 5}" for n in items]


@pytest.fixture(scope="module")
def told(world):
    """The tiny world with texts that have words in common; a fifth has none."""
    return replace(world, items=world.items.assign(text=texts(range(len(world.items)))))


def reading(*columns, components=4):
    item = Columns(**DOMAIN.features.item.model_dump(), words=columns)
    settings = {"item": item, "words": Settings(components=components)}
    return DOMAIN.features.model_copy(update=settings)


def words_of(tables, features=None):
    return fit_encoder(tables, features or reading("text"), SIZES, {}).item.field(FEATURE)


def test_vectors_keep_the_inner_products_of_tf_idf_up_to_one_factor():
    """With all components nothing is lost: the reduction is a rotation and a scale."""
    plots = [text for text in texts(range(40)) if text]
    fitted = fit(plots, 1000)
    found = transform(fitted, plots)
    exact = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit(plots)
    rows = exact.transform(plots).toarray()
    assert fitted.plain["words"] == exact.get_feature_names_out().tolist()
    products, expected = found @ found.T, rows @ rows.T
    factor = products[0, 0] / expected[0, 0]
    np.testing.assert_allclose(products, factor * expected, atol=2e-4)
    assert np.linalg.norm(found, axis=1).mean() == pytest.approx(1, abs=0.02)


def test_words_of_held_out_texts_alone_get_no_entry(told):
    """A planted leak: items that training never shows hold a word of their own, often enough."""
    hidden = told.events["item_id"].isin(["i0", "i1", "i2", "i3"])
    tables = replace(told, events=told.events[~hidden])
    planted = tables.items.copy()
    planted.loc[:3, "text"] = "secret secret " + planted.loc[:3, "text"].fillna("film")
    before, after = words_of(tables), words_of(replace(tables, items=planted))
    assert not any("secret" in word for word in after.fitted.plain["words"])
    assert after.fitted.plain == before.fitted.plain
    for name, values in before.fitted.arrays.items():
        np.testing.assert_array_equal(after.fitted.arrays[name], values)
    open_to_all = planted["text"] + " seen"
    known = planted.assign(text=open_to_all.where(planted["text"].notna(), None))
    assert "seen" in words_of(replace(tables, items=known)).fitted.plain["words"]


def test_a_text_that_is_missing_or_blank_has_zeros_and_row_zero(told):
    items = told.items.copy()
    items.loc[0, "text"] = " \n "
    field = words_of(replace(told, items=items))
    missing = [0, *np.flatnonzero([text is None for text in texts(range(20))])]
    assert (field.table[1:][missing] == 0).all()
    assert (field.vectors[0] == 0).all()
    others = np.setdiff1d(np.arange(20), missing)
    assert (field.table[1:][others] > 0).all()


def test_a_request_gets_the_vector_that_training_had(told, tmp_path):
    encoder = fit_encoder(told, reading("text"), SIZES, {})
    save_encoder(encoder, tmp_path)
    field = load_encoder(tmp_path).item.field(FEATURE)
    for row, text in enumerate(texts(range(20)), start=1):
        if text is None:
            assert np.isnan(transform(field.fitted, [None])).all()
        else:
            alone = transform(field.fitted, [text])[0]
            np.testing.assert_array_equal(alone, field.vectors[field.table[row]])
    assert (transform(field.fitted, ["entirely unheard-of words"]) == 0).all()
    json.loads((tmp_path / "encoder.json").read_text())  # words are plain text there
    with np.load(tmp_path / "encoder.npz", allow_pickle=False) as arrays:
        assert all(values.dtype != object for values in arrays.values())


def test_saving_what_was_loaded_gives_the_same_bytes(told, vectors, tmp_path):
    domain = DOMAIN.model_copy(update={"features": reading("text")})
    folders = [tmp_path / name for name in ("one", "other")]
    save(assemble(told, vectors, domain, SIZES), folders[0])
    save(load(folders[0]), folders[1])
    for name in ("encoder.json", "encoder.npz"):
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other, name


SCRIPT = """
import hashlib, numpy as np
from mtrec.features.words import fit, transform
rng = np.random.default_rng(0)
names = np.array([f"w{n}" for n in range(800)])
plots = [" ".join(names[rng.zipf(1.3, 40) % 800]) for _ in range(600)]
fitted = fit(plots, 32)
print(hashlib.sha256(transform(fitted, plots).tobytes()).hexdigest())
"""


def test_vectors_do_not_depend_on_the_number_of_threads(monkeypatch):
    found = set()
    for threads in ("1", "2", "4"):
        for library in ("OPENBLAS", "OMP", "MKL"):
            monkeypatch.setenv(f"{library}_NUM_THREADS", threads)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_vectors_do_not_depend_on_the_order_of_the_rows(told):
    order = np.random.default_rng(0).permutation(len(told.items))
    shuffled = replace(told, items=told.items.iloc[order].reset_index(drop=True))
    one, other = words_of(told), words_of(shuffled)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.table[1:][order], other.table[1:])


def test_several_columns_are_read_as_one_text(told):
    tables = replace(told, items=told.items.assign(tagline=["so", None, "very", "loud"] * 5))
    field = words_of(tables, reading("text", "tagline"))
    assert {"very", "film"} <= set(field.fitted.plain["words"])
    assert field.table[5] == 0 or tables.items["tagline"][4] is not None  # one of both is enough
    assert (field.table[1:] > 0).sum() > (words_of(told).table[1:] > 0).sum()


def test_without_words_often_enough_there_is_no_feature(told):
    tables = replace(told, items=told.items.assign(text=[f"unique{n}" for n in range(20)]))
    encoder = fit_encoder(tables, reading("text"), SIZES, {})
    assert FEATURE not in {field.name for field in encoder.item.fields}
    assert fit([], 4) is None
    assert fit(["", "?!", "the"], 4) is None


def test_a_column_that_is_missing_or_no_text_is_said_so(told):
    with pytest.raises(KeyError, match="features.item.words: the table of items has no column 'b'"):
        words_of(told, reading("b"))
    with pytest.raises(ValueError, match="features.item.words: column 'genres' holds .*no text"):
        words_of(told, reading("genres"))


def test_texts_of_any_kind_get_finite_vectors(told):
    odd = ["x" * 100_000, "😀😀", "これは映画です", "word " * 50_000, "a", "\x00\x01"]
    items = told.items.copy()
    items.loc[: len(odd) - 1, "text"] = odd
    assert np.isfinite(words_of(replace(told, items=items)).vectors).all()


def test_language_model_and_words_can_be_left_out_alone_and_together(told, vectors):
    tasks = {**TASKS, "kind": TASKS["kind"].model_copy(update={"features": ("text", FEATURE)})}
    changes = {"features": reading("text"), "tasks": tasks}
    found = assemble(told, vectors, DOMAIN.model_copy(update=changes), SIZES)
    names = ("without_text", "without_words", "without_text_and_words")
    assert ablations(found) == names
    left = {name: {f.kind for f in ablated(found, name).encoder.item.fields} for name in names}
    assert left["without_text"] & {"text", "words"} == {"words"}
    assert left["without_words"] & {"text", "words"} == {"text"}
    assert not left["without_text_and_words"] & {"text", "words"}
    blind = build_some(ablated(found, names[0]), ("like", "kind"), None, SIZES, 3)
    paths = [variable.path for variable in blind.variables]
    assert any("words_vectors" in path for path in paths)
    assert not any("text_vectors" in path or "task_text" in path for path in paths)


def test_words_are_off_unless_asked_for(told, vectors):
    encoder = fit_encoder(told, DOMAIN.features, SIZES, vectors)
    assert "words" not in {field.kind for side in encoder.sides for field in side.fields}


def test_users_have_words_too(told):
    people = told.users.assign(text=pd.Series(texts(range(30))))
    features = Features(user=Columns(words=("text",)), words=Settings(components=3))
    encoder = fit_encoder(replace(told, users=people), features, SIZES, {})
    assert encoder.user.field(FEATURE).vectors.shape[1] == 3
