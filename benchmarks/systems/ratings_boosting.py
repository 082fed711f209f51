"""LightGBM and CatBoost on the same columns: ids, side information, counts, time, target means.

The number of trees is that with the least loss on the validation rows, which join the training
rows for the final fit.
"""

import time

import numpy as np
from exchange import answer, given

FOLDS = 5
PRIOR = 5.0  # rows that the global mean weighs in a target mean
DAY = 86_400
CATEGORIES = [0, 1, 2]  # user, item, occupation


def main() -> None:
    """Answer ratings (``task`` = rating) or probabilities of a like, ``(m,)``."""
    data, options = given()
    started = time.monotonic()
    like = options["task"] == "like"
    label = (data["rating"] >= 4).astype("float64") if like else data["rating"].astype("float64")
    held = data["held"]
    keys = {
        part: np.stack([data[f"{part}{n}"] for n in ("user", "item", "time")])
        for part in ("", "asked_")
    }
    train = lightgbm if options["model"] == "lightgbm" else catboost
    first = columns(data, keys[""][:, ~held], label[~held], keys[""][:, held], options["seed"])
    _, trees = train(*first, label[~held], label[held], like, options)
    final = columns(data, keys[""], label, keys["asked_"], options["seed"])
    found, _ = train(*final, label, None, like, options, trees)
    answer(options["model"], started, predictions=found)


def columns(data, known: np.ndarray, label: np.ndarray, asked: np.ndarray, seed: int):
    """Columns of the known and of the asked rows; target means of known rows are out-of-fold."""
    fold = np.random.default_rng(seed).integers(FOLDS, size=len(label))
    inner = np.zeros((len(label), 4))
    for part in range(FOLDS):
        out = fold == part
        inner[out] = summaries(known[:, ~out], label[~out], known[:, out])
    return side(data, known, inner), side(data, asked, summaries(known, label, asked))


def summaries(known: np.ndarray, label: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Counts and smoothed target means of the asked rows' users and items."""
    found = []
    for axis in (0, 1):
        size = int(max(known[axis].max(), asked[axis].max())) + 1
        count = np.bincount(known[axis], minlength=size)
        total = np.bincount(known[axis], label, size) + PRIOR * label.mean()
        found += [count[asked[axis]], (total / (count + PRIOR))[asked[axis]]]
    return np.stack(found, axis=1)


def side(data, keys: np.ndarray, summary: np.ndarray) -> np.ndarray:
    """Ids, occupation, age, gender, year, time, genres and summaries, ``(rows, columns)``."""
    user, item, when = keys
    plain = [user, item, data["user_occupation"][user], data["user_age"][user],
             data["user_gender"][user], data["item_year"][item], when / DAY]  # fmt: skip
    return np.column_stack([*plain, data["item_genres"][item], summary])


def lightgbm(x, asked, y, truth, like, options, trees=None):
    """Predictions and the best number of trees."""
    import lightgbm as lgb

    settings = {
        "objective": "binary" if like else "regression", "feature_fraction": 0.7,
        "bagging_fraction": 0.8, "bagging_freq": 1, "seed": options["seed"],
        "num_threads": options["threads"], "deterministic": True, "verbose": -1,
        **options["settings"],
    }  # fmt: skip
    data = lgb.Dataset(x, y, categorical_feature=CATEGORIES, free_raw_data=False)
    if trees is not None:
        return lgb.train(settings, data, trees).predict(asked), trees
    watch = lgb.Dataset(asked, truth, reference=data)
    stop = lgb.early_stopping(50, verbose=False)
    model = lgb.train(settings, data, 2000, valid_sets=[watch], callbacks=[stop])
    return model.predict(asked), model.best_iteration


def catboost(x, asked, y, truth, like, options, trees=None):
    """Predictions and the best number of trees."""
    import catboost as cb

    kind = cb.CatBoostClassifier if like else cb.CatBoostRegressor
    settings = {
        "iterations": trees or 1500, "verbose": 0, "random_seed": options["seed"],
        "thread_count": options["threads"], "allow_writing_files": False, **options["settings"],
    }  # fmt: skip
    model = kind(**settings)
    pools = [cb.Pool(mixed(part), target, cat_features=CATEGORIES)
             for part, target in ((x, y), (asked, truth))]  # fmt: skip
    if trees is not None:
        model.fit(pools[0])
    else:
        model.fit(pools[0], eval_set=pools[1], early_stopping_rounds=50)
    found = model.predict_proba(pools[1])[:, 1] if like else model.predict(pools[1])
    return found, int(model.tree_count_)


def mixed(x: np.ndarray) -> np.ndarray:
    """Columns as objects, categories as integers, as CatBoost wants them."""
    table = x.astype(object)
    table[:, CATEGORIES] = x[:, CATEGORIES].astype(int)
    return table


if __name__ == "__main__":
    main()
