r"""Words of users' and items' texts -> one vector each, without a language model.

TF-IDF over words and pairs of neighbouring words, reduced by truncated SVD. All of it is learnt
from the distinct texts of training users or items; what is learnt is kept in JSON and arrays, so
that a text that comes later gets the vector that it would have had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from mtrec.features.fields import Fitted
from mtrec.features.source import Asked, Entities, Found, Vectors
from mtrec.settings import Settings as Base

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = np.ndarray
FEATURE = "words"
PAIRS = {"ngram_range": (1, 2), "sublinear_tf": True}
MIN_TEXTS = 3  # a word of fewer training texts says little about another
MOST = 20_000  # words and pairs, the most frequent ones: each costs `components` numbers on disk


class Settings(Base):
    """``features.words`` of a domain."""

    components: int = Field(128, ge=2, le=1024, description="length of a vector")


def words(asked: Asked) -> Found:
    """The feature ``words`` of each side that names columns of texts.

    Several columns of a side are read as one text.
    """
    settings = asked.settings or Settings()
    found = {}
    for one in asked.sides:
        texts = _texts(one)
        fitted = fit(texts[one.training], settings.components) if one.columns else None
        if fitted is not None:
            found[one.side] = {FEATURE: Vectors(transform(fitted, texts), fitted)}
    return found


def fit(texts: Sequence[str | None] | Array, components: int) -> Fitted | None:
    r"""Learn vectors from training texts.

    .. math:: x_w = (1 + \log n_w) \left(1 + \log \frac{1 + N}{1 + N_w}\right)

    scaled to unit length, with :math:`n_w` the count of a word or pair in the text and :math:`N_w`
    the number of the :math:`N` distinct texts that hold it; then the ``components`` leading right
    singular vectors of all texts. Vectors are divided by their mean length.

    One thread, because sums on more of them differ in their last bits.

    Args:
        texts: of training users or items; None where there is none.
        components: length of a vector; fewer if there are fewer words or texts.

    Returns:
        None if fewer than two words are frequent enough.

    Source: Deerwester et al. 1990, "Indexing by Latent Semantic Analysis",
    https://doi.org/10.1002/(SICI)1097-4571(199009)41:6%3C391::AID-ASI1%3E3.0.CO;2-9.
    """
    known = sorted({text for text in texts if text is not None})
    weighting = TfidfVectorizer(min_df=MIN_TEXTS, max_features=MOST, **PAIRS)
    try:
        matrix = weighting.fit_transform(known)
    except ValueError:  # no text, or no word is frequent enough
        return None
    size = min(components, min(matrix.shape) - 1)
    if size < 1:
        return None
    with threadpool_limits(1):
        svd = TruncatedSVD(size, n_iter=5, random_state=0).fit(matrix)
        axes = svd.components_.T
        length = np.linalg.norm(matrix @ axes, axis=1).mean()
    plain = {"words": weighting.get_feature_names_out().tolist()}
    arrays = {
        "idf": weighting.idf_.astype("float32"),
        "axes": np.ascontiguousarray(axes / max(length, 1e-12), dtype="float32"),
    }
    return Fitted(plain, arrays)


def transform(fitted: Fitted, texts: Sequence[str | None] | Array) -> Array:
    """Vectors of texts, ``(len(texts), components)`` float32, NaN where there is none.

    A text without any known word gets zeros. A vector does not depend on the other texts.
    """
    known = np.array([text is not None for text in texts], dtype=bool)
    found = np.full((len(known), fitted.arrays["axes"].shape[1]), np.nan, dtype="float32")
    if known.any():
        matrix = _weigh(fitted, [text for text in texts if text is not None])
        found[known] = matrix @ fitted.arrays["axes"]
    return found


def _weigh(fitted: Fitted, texts: Sequence[str]) -> csr_matrix:
    """TF-IDF vectors ``(len(texts), words)``."""
    names = fitted.plain["words"]
    weighting = TfidfVectorizer(vocabulary={name: at for at, name in enumerate(names)}, **PAIRS)
    weighting.idf_ = fitted.arrays["idf"].astype("float64")
    return weighting.transform(texts)


def _texts(entities: Entities) -> Array:
    """The text of each user or item, None where all its columns are missing or blank."""
    parts = [_column(entities, name) for name in entities.columns]
    if not parts:
        return np.full(len(entities.table), None, dtype=object)
    joined = pd.concat(parts, axis=1).agg(" ".join, axis=1).str.strip()
    return joined.astype(object).where(joined != "", None).to_numpy()


def _column(entities: Entities, name: str) -> pd.Series:
    """A column of texts, empty where one is missing."""
    where = f"features.{entities.side}.words"
    if name not in entities.table:
        raise KeyError(
            f"{where}: the table of {entities.side}s has no column '{name}' (found: "
            f"{', '.join(entities.table)}). Name a column of texts in params.yaml."
        )
    column = entities.table[name].astype(object)
    column = column.where(column.notna(), "")
    strange: list[Any] = [value for value in column if not isinstance(value, str)]
    if strange:
        raise ValueError(
            f"{where}: column '{name}' holds {strange[0]!r}, which is no text. Name a column of "
            "texts in params.yaml."
        )
    return column
