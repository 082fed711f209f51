"""myFM: Bayesian factorization machine by Gibbs sampling, with dates, implicit and side features.

Features as in the package's own ``examples/ml-100k-regression.py`` (``timesvdpp_flipped``): date,
user, items that the user rated, item, users that rated the item; all of the training rows. Side
information joins the blocks: age in tens, gender, occupation; genres and decade. ``spans`` adds an
indicator of what a user rates within each span of time, such as a day, as ours has it.

Source: Rendle et al. 2019, "On the Difficulty of Evaluating Baselines",
https://arxiv.org/abs/1905.01395; https://github.com/tohtsky/myFM.
"""

import time

import myfm
import numpy as np
from exchange import answer, given
from scipy import sparse

DAY = 86_400


def main() -> None:
    """Answer class probabilities ``(m, 5)`` (``task`` = rating) or the like's ``(m,)``."""
    data, options = given()
    started = time.monotonic()
    users, items = len(data["user_age"]), len(data["item_year"])
    seen = sparse.csr_matrix(
        (np.ones(len(data["user"])), (data["user"], data["item"])), shape=(users, items)
    )
    user = [sparse.eye(users), scaled(seen), *user_side(data)]
    item = [sparse.eye(items), scaled(seen.T), *item_side(data)]
    days = np.unique(data["time"] // DAY)
    blocks = [
        [
            myfm.RelationBlock(data[f"{part}user"], sparse.hstack(user, format="csr")),
            myfm.RelationBlock(data[f"{part}item"], sparse.hstack(item, format="csr")),
        ]
        for part in ("", "asked_")
    ]
    times = [
        [one_hot(data[f"{part}time"] // DAY, days) for part in ("", "asked_")],
        *(sessions(data, span) for span in options["spans"]),
    ]
    known, asked = (sparse.hstack(part, format="csr") for part in zip(*times, strict=True))
    shapes = [part.shape[1] for part in (*(one for one, _ in times), *user, *item)]
    like = options["task"] == "like"
    kind = myfm.MyFMGibbsClassifier if like else myfm.MyFMOrderedProbit
    label = data["rating"] >= 4 if like else data["rating"] - 1
    model = kind(rank=options["settings"]["rank"], random_seed=options["seed"])
    model.fit(
        known, label, X_rel=blocks[0], group_shapes=shapes,
        n_iter=options["iterations"], n_kept_samples=options["iterations"] - options["burn"],
    )  # fmt: skip
    answer("myfm", started, predictions=model.predict_proba(asked, blocks[1]))


def sessions(data: dict[str, np.ndarray], span: int) -> list[sparse.csr_matrix]:
    """Indicators of user and span of time, of the known and of the asked rows."""
    users = len(data["user_age"])
    known, asked = (
        data[f"{part}time"] // span * users + data[f"{part}user"] for part in ("", "asked_")
    )
    return [one_hot(known, np.unique(known)), one_hot(asked, np.unique(known))]


def one_hot(values: np.ndarray, categories: np.ndarray) -> sparse.csr_matrix:
    """Indicator columns of the sorted ``categories``; other values have none."""
    at = np.minimum(np.searchsorted(categories, values), len(categories) - 1)
    known = np.flatnonzero(categories[at] == values)
    return sparse.csr_matrix(
        (np.ones(len(known)), (known, at[known])), shape=(len(values), len(categories))
    )


def scaled(seen: sparse.spmatrix) -> sparse.csr_matrix:
    """Rows divided by the root of their count."""
    count = np.maximum(np.asarray(seen.sum(axis=1)).ravel(), 1)
    return sparse.diags(count**-0.5) @ seen.tocsr()


def user_side(data: dict[str, np.ndarray]) -> list[sparse.csr_matrix]:
    """Age in tens, gender, occupation."""
    columns = (data["user_age"] // 10, data["user_gender"], data["user_occupation"])
    return [one_hot(column, np.unique(column)) for column in columns]


def item_side(data: dict[str, np.ndarray]) -> list[sparse.csr_matrix]:
    """Genres divided by the root of their number, and decade."""
    decade = data["item_year"] // 10
    return [scaled(sparse.csr_matrix(data["item_genres"])), one_hot(decade, np.unique(decade))]


if __name__ == "__main__":
    main()
