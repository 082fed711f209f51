"""LightGBM on given columns; settings and number of trees have the least validation loss.

Where ``start``, ``start_held`` and ``start_test`` are given, trees add to these log-odds, logits of
classes, or values.
"""

import time

import lightgbm as lgb
import numpy as np
from exchange import answer, given
from scipy.special import expit, softmax

OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}


def main() -> None:
    """Answer values, probabilities of 1, or of classes; number and loss of the best settings."""
    data, options = given()
    started = time.monotonic()
    models = [train(data, options, settings) for settings in options["trials"]]
    losses = [next(iter(model.best_score["valid_0"].values())) for model in models]
    best = losses.index(min(losses))
    answer(
        "lightgbm", started, best=best, loss=losses[best],
        held=predict(models[best], data, options, "_held"),
        test=predict(models[best], data, options, "_test"),
    )  # fmt: skip


def train(data, options, settings: dict) -> lgb.Booster:
    """A model with early stopping."""
    fixed = {
        "objective": OBJECTIVES[options["kind"]], "seed": options["seed"], "num_threads": 1,
        "deterministic": True, "verbose": -1, "bagging_fraction": 0.8, "bagging_freq": 1,
    }  # fmt: skip
    if options["kind"] == "multiclass":
        fixed["num_class"] = options["classes"]
    start, start_held = data.get("start"), data.get("start_held")
    training = lgb.Dataset(data["x"], data["y"], categorical_feature=options["categories"],
                           init_score=start)  # fmt: skip
    held = lgb.Dataset(data["x_held"], data["y_held"], reference=training, init_score=start_held)
    stop = lgb.early_stopping(50, verbose=False)
    return lgb.train({**fixed, **settings}, training, 2000, valid_sets=[held], callbacks=[stop])


def predict(model: lgb.Booster, data, options, part: str) -> np.ndarray:
    """Values, probabilities of 1, or of classes."""
    if "start" not in data:
        return model.predict(data[f"x{part}"])
    raw = model.predict(data[f"x{part}"], raw_score=True) + data[f"start{part}"]
    if options["kind"] == "multiclass":
        return softmax(raw, axis=1)
    return expit(raw) if options["kind"] == "binary" else raw


if __name__ == "__main__":
    main()
