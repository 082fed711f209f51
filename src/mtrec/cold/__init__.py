"""Cold start: what can be said about items or users that training never saw.

:mod:`split` holds whole items or users out, :mod:`systems` leaves features out of the joint model,
:mod:`factorization` and :mod:`boosting` are the peers, :mod:`run` trains and scores, :mod:`report`
and :mod:`plots` show what was found.
"""
