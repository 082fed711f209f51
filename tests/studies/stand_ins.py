"""Small learners with the interfaces of LightFM and CatBoost, where those are not installed.

They let the way in which a peer is asked be tested in an environment without it.
"""

import numpy as np
from scipy.special import expit
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


class LightFM:
    """Factors of features, learnt by gradient descent on the logistic loss of all pairs shown."""

    def __init__(self, loss, random_state, no_components, learning_rate):
        self.warp, self.rate, self.size = loss == "warp", learning_rate, no_components
        self.rng, self.sides = np.random.default_rng(random_state), None

    def fit_partial(self, interactions, user_features, item_features, epochs):
        shown = interactions.tocoo()
        truth = np.zeros(shown.shape)
        np.add.at(truth, (shown.row, shown.col), shown.data)
        known = np.ones(shown.shape) if self.warp else (truth != 0).astype(float)
        features = user_features, item_features
        if self.sides is None:
            self.sides = [
                [np.zeros(f.shape[1]), self.rng.normal(0, 0.1, (f.shape[1], self.size))]
                for f in features
            ]
            self.past = [[np.full_like(part, 1e-8) for part in side] for side in self.sides]
        for _ in range(2 * epochs):
            bias, factors = zip(*map(self._of, features, self.sides), strict=True)
            score = factors[0] @ factors[1].T + bias[0][:, None] + bias[1]
            error = known * (expit(score) - (truth > 0)) / known.sum()
            for side, (axis, other) in enumerate(((1, factors[1]), (0, factors[0]))):
                slope = error.sum(axis=axis), (error if side == 0 else error.T) @ other
                for part, past, step in zip(self.sides[side], self.past[side], slope, strict=True):
                    step = features[side].T @ step
                    past += step**2
                    part -= 6 * self.rate * step / np.sqrt(past)

    @staticmethod
    def _of(features, side):
        return features @ side[0], features @ side[1]

    def get_user_representations(self, features):
        return self._of(features, self.sides[0])

    def get_item_representations(self, features):
        return self._of(features, self.sides[1])


class CatBoostClassifier:
    """One tree per label, on numbers; categories are numbers too."""

    def __init__(self, loss_function, depth, random_seed, **others):
        self.several = loss_function == "MultiLogloss"
        self.settings = {"max_depth": depth, "random_state": random_seed}

    def fit(self, columns, labels, eval_set):
        each = labels.T if self.several else [labels]
        self.trees = [DecisionTreeClassifier(**self.settings).fit(columns, label) for label in each]
        self.classes_ = self.trees[0].classes_
        return self

    def predict_proba(self, columns):
        found = [tree.predict_proba(columns) for tree in self.trees]
        return np.stack([one[:, 1] for one in found], axis=1) if self.several else found[0]

    def predict(self, columns, prediction_type):
        return self.predict_proba(columns)[:, 1]


class CatBoostRegressor:
    """The same for a number."""

    def __init__(self, loss_function, depth, random_seed, **others):
        self.tree = DecisionTreeRegressor(max_depth=depth, random_state=random_seed)

    def fit(self, columns, labels, eval_set):
        return self.tree.fit(columns, labels)
