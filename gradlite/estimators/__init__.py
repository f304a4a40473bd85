"""Estimators in scikit-learn's manner over `gradlite.nn` and `gradlite.optim`.

`MLPClassifier` and `MLPRegressor` take the place of scikit-learn's; `NetClassifier` and
`NetRegressor` train any `gradlite.nn.Module`.
"""

from gradlite.estimators.mlp import MLPClassifier, MLPRegressor
from gradlite.estimators.net import NetClassifier, NetRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetClassifier", "NetRegressor"]
