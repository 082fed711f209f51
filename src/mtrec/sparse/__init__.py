"""Sparse data: the same test rows as everybody's past is thinned, with and without feature steps.

:mod:`plan` says what there is to train, :mod:`thin` takes events and training rows away, :mod:`run`
trains with the factors of :mod:`mtrec.data.factors` or the imputation of :mod:`mtrec.data.impute`,
:mod:`report` and :mod:`plots` show what was found.
"""
