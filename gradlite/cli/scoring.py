"""How good a network is: its scores compared with those of baselines, and what it relies on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlite.cli.cells import CATEGORY, DATE
from gradlite.cli.columns import DATE_FEATURES
from gradlite.cli.files import uninterrupted
from gradlite.cli.terminal import say

if TYPE_CHECKING:
    from pandas import DataFrame

SHUFFLED_ROWS = 500  # by which the importance of columns is judged
Scores = list[tuple[str, dict[str, float]]]  # of each model, the figure of each metric


def baselines(task: str) -> dict[str, Any]:
    """Return the models with which the network is compared."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "classification":
        return {
            "majority class": DummyClassifier(strategy="prior"),
            "logistic regression": LogisticRegression(max_iter=1000),
        }
    return {"mean": DummyRegressor(), "linear regression": Ridge()}


def score(model: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return accuracy and log loss, or R squared and the mean absolute error.

    A model without probabilities, such as one trained with the hinge loss, has no log loss.
    """
    from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score

    said = model.predict(X)
    if not hasattr(model, "classes_"):
        error = mean_absolute_error(y, said)
        return {"R2": float(r2_score(y, said)), "mean absolute error": float(error)}
    scores = {"accuracy": float(accuracy_score(y, said))}
    if hasattr(model, "predict_proba"):
        loss = log_loss(y, model.predict_proba(X), labels=model.classes_)
        scores["log loss"] = float(loss)
    return scores


def compare(network: Any, task: str, train: tuple[Any, Any], test: tuple[Any, Any]) -> Scores:
    """Return the scores of the network and the baselines on the same held-out rows.

    Ctrl-C and SIGTERM end only the comparison, as the network may have taken hours.
    """
    others: dict[str, Any] = {}
    try:
        with uninterrupted():
            own = score(network, *test)
            others = baselines(task)  # importing them takes time, too
    except KeyboardInterrupt:
        others = {}
        say("interrupted: the network is not compared with simple models")
    scores: Scores = [("network", own)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline need not converge to the last digit
        for name, model in others.items():
            try:
                figures = score(model.fit(*train), *test)
                scores.append((name, {metric: figures[metric] for metric in own}))
            except KeyboardInterrupt:
                say(f"interrupted: the network is not compared with {name}")
    return scores


def importances(
    model: Any, rows: DataFrame, y: np.ndarray, seed: int
) -> list[tuple[str, float, float]]:
    """Return how much the score falls when a column is shuffled (Breiman, Random Forests, 2001).

    `rows` are held out, as `read_cells` returns them, and `y` are their targets; `seed` determines
    the shuffling, and the choice of rows if there are many. The result has a tuple (column, mean,
    standard deviation) for each column.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(y))[:SHUFFLED_ROWS]
    columns, network = model["columns"][-1], model["network"]  # the rows have been read already
    X, y = columns.transform(rows.iloc[chosen]), y[chosen]
    known = network.score(X, y)
    repeats = max(1, min(5, 500 // rows.shape[1]))
    source = sources(columns)
    found = []
    for name in rows.columns:
        own = source == name  # shuffled in the matrix: a wide table is transformed only once
        falls = []
        for _ in range(repeats):
            shuffled = X.copy()
            shuffled[:, own] = X[rng.permutation(len(y))][:, own]
            falls.append(known - network.score(shuffled, y))
        found.append((name, float(np.mean(falls)), float(np.std(falls))))
    return found


def sources(columns: Any) -> np.ndarray:
    """Return, for each column of the matrix, the table's column it comes from, (n_features,).

    `columns` is the last step of `gradlite.cli.columns.preparation`, fitted.
    """
    found: list[str] = []
    for kind, step, names in columns.transformers_:
        if kind == CATEGORY:
            for name, known, rare in zip(
                names, step.categories_, step.infrequent_categories_, strict=True
            ):
                found += [name] * (len(known) - (0 if rare is None else len(rare) - 1))
            continue
        inputs = np.repeat(names, len(DATE_FEATURES) if kind == DATE else 1).tolist()
        found += inputs + [inputs[i] for i in step["simpleimputer"].indicator_.features_]
    return np.array(found, dtype=object)
