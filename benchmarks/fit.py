"""A whole fit: gradlite's MLPClassifier, scikit-learn's, and PyTorch through skorch.

Digits: (128, 64), batches of 128, 50 epochs of Adam, in float32 and float64. Moons: 1,000 points,
(16, 16), batches of 200, 200 epochs. Same data and settings for all, and no early stop, so that
all run all epochs; skorch gets the same network and optimiser, its printing switched off. The
first figure is the time of one fit() with everything in it, the second the accuracy on the third
of the samples that was held out. Each round has another seed for the split and the weights.

    python benchmarks/fit.py
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from _harness import Benchmark, Contender, Figures, Run, use_torch


class Task(NamedTuple):
    """What is to be learned, and how."""

    dataset: str
    dtype: str
    hidden: tuple[int, int]
    batch: int
    epochs: int


TASKS = {
    "digits, float32": Task("digits", "float32", (128, 64), 128, 50),
    "digits, float64": Task("digits", "float64", (128, 64), 128, 50),
    "moons, float64": Task("moons", "float64", (16, 16), 200, 200),
}


def samples(task: Task, seed: int) -> list[np.ndarray]:
    """Return X and y to train on, and those held out: X, X_test, y, y_test."""
    from sklearn.datasets import load_digits, make_moons
    from sklearn.model_selection import train_test_split

    if task.dataset == "digits":
        X, y = load_digits(return_X_y=True)
        X = X / 16
    else:
        X, y = make_moons(1500, noise=0.2, random_state=0)
    parts: list[np.ndarray] = train_test_split(
        X.astype(task.dtype), y, test_size=1 / 3, random_state=seed, stratify=y
    )
    return parts


def fitted(run: Run, make: Any) -> Figures:
    """Time fit() of a new estimator, after a short one that warms everything up."""
    X, X_test, y, y_test = samples(TASKS[run.case], run.round)
    make(1).fit(X, y)
    estimator = make(TASKS[run.case].epochs)
    start = time.perf_counter()
    estimator.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = np.mean(estimator.predict(X_test) == y_test)
    return {"ms": 1e3 * seconds, "held-out accuracy in %": 100 * float(accuracy)}


def measure_mlp(run: Run, kind: Any) -> Figures:
    """Use an MLPClassifier: one or the other."""
    task = TASKS[run.case]
    warnings.simplefilter("ignore")  # that training has not converged

    def make(epochs: int) -> Any:
        return kind(
            task.hidden,
            batch_size=task.batch,
            max_iter=epochs,
            tol=0,
            n_iter_no_change=np.inf,
            random_state=run.round,
        )

    return fitted(run, make)


def measure_gradlite(run: Run) -> Figures:
    """Use gradlite's."""
    from gradlite.estimators import MLPClassifier

    return measure_mlp(run, MLPClassifier)


def measure_sklearn(run: Run) -> Figures:
    """Use scikit-learn's."""
    from sklearn.neural_network import MLPClassifier

    return measure_mlp(run, MLPClassifier)


def measure_skorch(run: Run) -> Figures:
    """Use skorch's NeuralNetClassifier on logits; the smallest of what its documents propose."""
    torch = use_torch(run.threads)
    from skorch import NeuralNetClassifier

    task = TASKS[run.case]
    dtype = getattr(torch, task.dtype)
    n, classes = (64, 10) if task.dataset == "digits" else (2, 2)
    a, b = task.hidden
    torch.manual_seed(run.round)

    def make(epochs: int) -> Any:
        net = torch.nn.Sequential(
            torch.nn.Linear(n, a),
            torch.nn.ReLU(),
            torch.nn.Linear(a, b),
            torch.nn.ReLU(),
            torch.nn.Linear(b, classes),
        )
        return NeuralNetClassifier(
            net.to(dtype),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__weight_decay=0,
            lr=1e-3,
            batch_size=task.batch,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )

    return fitted(run, make)


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("sklearn", measure_sklearn, "sklearn"),
        Contender("skorch", measure_skorch, "skorch"),
    ),
    reference="gradlite",
    cases=tuple(TASKS),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
