"""How good a network is: its scores beside those of plain models, and what it relies on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlite.cli.model import assemble

if TYPE_CHECKING:
    from pandas import DataFrame

SHUFFLED_ROWS = 500  # by which the importance of columns is judged
Scores = list[tuple[str, dict[str, float]]]  # of each model, the figure of each metric


def baselines(task: str) -> dict[str, Any]:
    """Give what the network is compared with: it should be better than these."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "classification":
        return {
            "majority class": DummyClassifier(strategy="prior"),
            "logistic regression": LogisticRegression(max_iter=1000),
        }
    return {"mean": DummyRegressor(), "linear regression": Ridge()}


def score(model: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Score predictions: accuracy and log loss, or R squared and the mean absolute error."""
    from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score

    said = model.predict(X)
    if hasattr(model, "predict_proba"):
        loss = log_loss(y, model.predict_proba(X), labels=model.classes_)
        return {"accuracy": float(accuracy_score(y, said)), "log loss": float(loss)}
    error = mean_absolute_error(y, said)
    return {"R2": float(r2_score(y, said)), "mean absolute error": float(error)}


def compare(network: Any, task: str, train: tuple[Any, Any], test: tuple[Any, Any]) -> Scores:
    """Score the network and the baselines on the same held-out rows."""
    scores: Scores = [("network", score(network, *test))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline need not converge to the last digit
        for name, model in baselines(task).items():
            scores.append((name, score(model.fit(*train), *test)))
    return scores


def importances(
    model: Any, rows: DataFrame, y: np.ndarray, seed: int
) -> list[tuple[str, float, float]]:
    """Tell how much the score falls when a column is shuffled.

    Parameters
    ----------
    model : Pipeline
        Fitted.
    rows : DataFrame, shape (n, k)
        Held-out rows, as `read_cells` gives them.
    y : ndarray, shape (n,)
        Their targets.
    seed : int
        Of the shuffling, and of the choice where there are many rows.

    Returns
    -------
    list of (column, mean, standard deviation)
    """
    from sklearn.inspection import permutation_importance

    chosen = np.random.default_rng(seed).permutation(len(y))[:SHUFFLED_ROWS]
    found = permutation_importance(
        assemble(model["columns"][-1], model["network"]),  # the rows have been read already
        rows.iloc[chosen],
        y[chosen],
        n_repeats=max(1, min(5, 500 // rows.shape[1])),
        random_state=seed,
    )
    means, deviations = found.importances_mean.tolist(), found.importances_std.tolist()
    return list(zip(rows.columns, means, deviations, strict=True))
