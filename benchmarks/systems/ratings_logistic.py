"""Logistic regression on indicators of ids and side information, from scikit-learn."""

import time

import numpy as np
from exchange import answer, given
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder


def main() -> None:
    """Answer probabilities of a like ``(m,)``."""
    data, options = given()
    started = time.monotonic()
    raw = {part: columns(data, part) for part in ("", "asked_")}
    encoder = OneHotEncoder(handle_unknown="ignore").fit(raw[""])
    known, asked = (
        sparse.hstack([encoder.transform(raw[p]), data["item_genres"][data[f"{p}item"]]], "csr")
        for p in ("", "asked_")
    )
    model = LogisticRegression(C=options["settings"]["strength"], max_iter=500)
    model.fit(known, data["rating"] >= 4)
    answer("scikit-learn", started, predictions=model.predict_proba(asked)[:, 1])


def columns(data, part: str) -> np.ndarray:
    """Ids, age in tens, gender, occupation and decade, ``(n, 6)``."""
    user, item = data[f"{part}user"], data[f"{part}item"]
    return np.stack([
        user, item, data["user_age"][user] // 10, data["user_gender"][user],
        data["user_occupation"][user], data["item_year"][item] // 10,
    ], axis=1)  # fmt: skip


if __name__ == "__main__":
    main()
