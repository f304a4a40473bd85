"""predict() of MLPClassifier, gradlite's and scikit-learn's: one row, and all 1,797 digits.

The network is (128, 64), trained by each for five epochs on the digits in float64; predict() is
timed with all its checks.

    python benchmarks/predict.py
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from _harness import Benchmark, Contender, Figures, Run

CASES = {"1 row": 1, "1,797 rows": 1797}


def measure(run: Run, kind: Any) -> Figures:
    """Time predict()."""
    from sklearn.datasets import load_digits

    warnings.simplefilter("ignore")  # that training has not converged
    X, y = load_digits(return_X_y=True)
    X /= 16
    estimator = kind((128, 64), max_iter=5, random_state=0).fit(X, y)
    assert estimator.score(X, y) > 0.8
    rows = X[: CASES[run.case]]
    return {"": 1e6 * run.seconds(lambda: estimator.predict(rows))}


def measure_gradlite(run: Run) -> Figures:
    """Use gradlite's."""
    from gradlite.estimators import MLPClassifier

    return measure(run, MLPClassifier)


def measure_sklearn(run: Run) -> Figures:
    """Use scikit-learn's."""
    from sklearn.neural_network import MLPClassifier

    return measure(run, MLPClassifier)


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs per call",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("sklearn", measure_sklearn, "sklearn"),
    ),
    reference="sklearn",
    cases=tuple(CASES),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
