"""Make ``svdpp_surprise.npz``: Surprise's SVD++ before and after two epochs on drawn ratings.

Run it in an environment of its own: ``pip install scikit-surprise==1.1.5``.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from surprise import Dataset, Reader, SVDpp

USERS, ITEMS, RATINGS, FACTORS = 7, 9, 40, 3


def main() -> None:
    """Write the file beside this one."""
    draws = np.random.default_rng(0)
    user, item = np.divmod(draws.permutation(USERS * ITEMS)[:RATINGS], ITEMS)
    frame = pd.DataFrame({"user": user, "item": item, "rating": draws.integers(1, 6, RATINGS)})
    training = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5))).build_full_trainset()
    rows = np.array(list(training.all_ratings()))
    found = dict(zip(("user", "item", "rating"), rows.T, strict=True))
    for when, epochs in (("before", 0), ("after", 2)):
        model = SVDpp(
            n_factors=FACTORS, n_epochs=epochs, lr_all=0.007, reg_all=0.02, random_state=0
        ).fit(training)
        names = {"user_bias": "bu", "item_bias": "bi", "user": "pu", "item": "qi", "rated": "yj"}
        found |= {f"{when}_{ours}": getattr(model, theirs) for ours, theirs in names.items()}
    found["score"] = np.array(
        [[model.estimate(u, i) for i in range(training.n_items)] for u in range(training.n_users)]
    )
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **found)


if __name__ == "__main__":
    main()
