"""LightGBM on given columns; the number of trees is that with the least validation loss."""

import time

import lightgbm as lgb
from exchange import answer, given

OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}


def main() -> None:
    """Answer values, probabilities of 1, or of classes, for the test rows."""
    data, options = given()
    started = time.monotonic()
    settings = {
        "objective": OBJECTIVES[options["kind"]], "seed": options["seed"], "num_threads": 2,
        "deterministic": True, "verbose": -1, **options["settings"],
    }  # fmt: skip
    if options["kind"] == "multiclass":
        settings["num_class"] = options["classes"]
    training = lgb.Dataset(data["x"], data["y"], categorical_feature=options["categories"])
    held = lgb.Dataset(data["x_held"], data["y_held"], reference=training)
    model = lgb.train(
        settings, training, 2000, valid_sets=[held],
        callbacks=[lgb.early_stopping(50, verbose=False)],
    )  # fmt: skip
    answer("lightgbm", started, test=model.predict(data["x_test"]))


if __name__ == "__main__":
    main()
