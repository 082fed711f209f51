"""Fill missing numbers from what is known: mean, iterative regression, or nearest neighbours.

An optional feature step. The flag that a value is missing is kept, so a model may still learn what
its absence means.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes the next line work)
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

Array = np.ndarray
REFERENCE_ROWS = 2000  # training rows kept: neighbours to look among, and what a saved model refits
NEIGHBOURS = 10
IMPUTERS: dict[str, Callable[[], TransformerMixin]] = {
    "mean": lambda: SimpleImputer(keep_empty_features=True),
    "iterative": lambda: IterativeImputer(random_state=0, max_iter=20, keep_empty_features=True),
    "knn": lambda: KNNImputer(n_neighbors=NEIGHBOURS, keep_empty_features=True),
}


@dataclass(frozen=True)
class Imputer:
    """Fills standardised columns together, each from the others of its row.

    Attributes:
        method: ``mean``, ``iterative`` or ``knn``.
        reference: standardised training rows, ``(rows, columns)`` with NaN where missing.

    Source: van Buuren and Groothuis-Oudshoorn 2011, https://doi.org/10.18637/jss.v045.i03
    (iterative); Troyanskaya et al. 2001, https://doi.org/10.1093/bioinformatics/17.6.520 (knn).
    """

    method: str
    reference: Array

    @classmethod
    def fit(cls, method: str, scaled: Array) -> Imputer:
        """Keep a sample of the training rows.

        Args:
            method: name in :data:`IMPUTERS`.
            scaled: values and missing flags of training rows, ``(n, columns, 2)``, as
                :class:`mtrec.features.fields.Scaler` makes them.

        Raises:
            ValueError: unknown method.
        """
        if method not in IMPUTERS:
            raise ValueError(
                f"features.imputation: '{method}' is unknown (known: {', '.join(IMPUTERS)}). "
                "Name one of these in params.yaml."
            )
        values = _with_gaps(scaled)
        if len(values) > REFERENCE_ROWS:
            chosen = np.random.default_rng(0).choice(len(values), REFERENCE_ROWS, replace=False)
            values = values[np.sort(chosen)]
        return cls(method, values)

    def __call__(self, scaled: Array) -> Array:
        """The same array ``(n, columns, 2)`` with missing values filled and flags unchanged."""
        filled = scaled.copy()
        gaps = scaled[..., 1].any(axis=1)
        if gaps.any() and len(self.reference):
            # IterativeImputer fills rows of which all are empty another way than one empty row
            # among others, so that a full row comes with them and what is filled depends on no
            # other row.
            full = np.zeros((1, scaled.shape[1]))
            found = self._model.transform(np.vstack([_with_gaps(scaled[gaps]), full]))[:-1]
            filled[gaps, :, 0] = np.where(scaled[gaps, :, 1] > 0, found, scaled[gaps, :, 0])
        return filled

    @cached_property
    def _model(self) -> TransformerMixin:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # twenty rounds are enough to fill
            return IMPUTERS[self.method]().fit(self.reference)


def _with_gaps(scaled: Array) -> Array:
    return np.where(scaled[..., 1] > 0, np.nan, scaled[..., 0]).astype("float64")
