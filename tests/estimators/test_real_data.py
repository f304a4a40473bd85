"""Data that ships with scikit-learn: at least as accurate as its networks, five seeds each."""

import warnings

import numpy as np
import pytest
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import gradlite

SEEDS = range(5)


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def parts(load, seed):
    """Give a training and a test part, standardized by the first."""
    X, y = load(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def mean_score(library, name, load, **params):
    scores = []
    for seed in SEEDS:
        X, X_test, y, y_test = parts(load, seed)
        model = getattr(library, name)(random_state=seed, **params).fit(X, y)
        scores.append(model.score(X_test, y_test))
    return np.mean(scores)


@pytest.mark.parametrize(
    ("load", "name", "params", "least"),
    [
        ("load_digits", "MLPClassifier", {"hidden_layer_sizes": (64,), "max_iter": 40}, 0.95),
        ("load_breast_cancer", "MLPClassifier", {"max_iter": 60}, 0.95),
        ("load_wine", "MLPClassifier", {"max_iter": 100}, 0.95),
        (
            "load_diabetes",
            "MLPRegressor",
            {"hidden_layer_sizes": (20,), "learning_rate_init": 0.02, "max_iter": 150},
            0.35,
        ),
    ],
)
def test_at_least_as_accurate_as_scikit_learn(load, name, params, least):
    load = getattr(datasets, load)
    ours = mean_score(gradlite, name, load, **params)
    theirs = mean_score(neural_network, name, load, **params)
    assert ours > least
    assert ours >= theirs - 1e-3  # rounding may turn a sample on the border


@pytest.mark.parametrize("load", [datasets.make_moons, datasets.make_circles])
@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}, {"normalization": "batch"}], ids=str)
def test_moons_and_circles_are_solved(load, params):
    noise = {"noise": 0.1} if load is datasets.make_moons else {"noise": 0.05, "factor": 0.5}
    X, y = load(1000, random_state=0, **noise)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    model = gradlite.MLPClassifier(
        (16, 16), learning_rate_init=0.01, max_iter=150, random_state=0, **params
    )
    assert model.fit(X, y).score(X_test, y_test) > 0.97


def test_raw_columns_train_with_standardize():
    X, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    raw = {"hidden_layer_sizes": (20,), "max_iter": 100, "random_state": 0}
    inside = gradlite.MLPRegressor(standardize=True, **raw).fit(X, y)
    assert inside.score(X_test, y_test) > 0.25
    assert gradlite.MLPRegressor(**raw).fit(X, y).score(X_test, y_test) < 0.25
