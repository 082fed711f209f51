"""LightGBM on given columns; settings and number of trees have the least validation loss."""

import time

import lightgbm as lgb
from exchange import answer, given

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
        held=models[best].predict(data["x_held"]), test=models[best].predict(data["x_test"]),
    )  # fmt: skip


def train(data, options, settings: dict) -> lgb.Booster:
    """A model with early stopping."""
    fixed = {
        "objective": OBJECTIVES[options["kind"]], "seed": options["seed"], "num_threads": 1,
        "deterministic": True, "verbose": -1, "bagging_fraction": 0.8, "bagging_freq": 1,
    }  # fmt: skip
    if options["kind"] == "multiclass":
        fixed["num_class"] = options["classes"]
    training = lgb.Dataset(data["x"], data["y"], categorical_feature=options["categories"])
    held = lgb.Dataset(data["x_held"], data["y_held"], reference=training)
    stop = lgb.early_stopping(50, verbose=False)
    return lgb.train({**fixed, **settings}, training, 2000, valid_sets=[held], callbacks=[stop])


if __name__ == "__main__":
    main()
