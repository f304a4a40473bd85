"""Run scikit-learn's checks of every estimator in every mode, and print how they ended.

One check, of input from other array libraries, runs only where SCIPY_ARRAY_API=1 is set before
scipy is imported, and that changes scipy for everybody in the process. So this is one of its own:
``python -m tests.estimators.contract``.
"""

import json
import sys
import warnings

from sklearn.utils import estimator_checks
from threadpoolctl import threadpool_limits

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn

FAST = {"max_iter": 60, "tol": 1e-3, "learning_rate_init": 0.01, "random_state": 0}

MODES = {
    "early_stopping": {"early_stopping": True},
    "batch_size": {"batch_size": 8, "learning_rate_init": 0.002, "tol": 0.01},
    "sgd": {"solver": "sgd"},
    "lbfgs": {"solver": "lbfgs"},
    "adamw": {"solver": "adamw"},
    "rmsprop": {"solver": "rmsprop"},
    "lion": {"solver": "lion"},
    "standardize": {"standardize": True},
}
CLASSIFIER_MODES = {"class_weight": {"class_weight": "balanced"}}
MLP_MODES = {
    "dropout": {"dropout": 0.2},
    "batch norm": {"normalization": "batch"},
    "layer norm": {"normalization": "layer"},
}

NOT_EQUIVALENT = {
    "early_stopping": "the split counts samples, so a repeated one can land on both sides",
    "batch_size": "the batches of repeated samples are others than those of weighted ones",
    "dropout": "each of the repeated samples has noise of its own",
    "batch norm": "the statistics of a batch count samples",
}
EQUIVALENCE = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)


def small(in_features, out_features, rng, between=nn.Identity):
    return nn.Sequential(
        nn.Linear(in_features, 10, rng=rng),
        between(),
        nn.ReLU(),
        nn.Linear(10, out_features, rng=rng),
    )


def dropout(in_features, out_features, rng):
    return small(in_features, out_features, rng, lambda: nn.Dropout(0.2, rng=rng))


def batch_norm(in_features, out_features, rng):
    return small(in_features, out_features, rng, lambda: nn.BatchNorm1d(10))


def layer_norm(in_features, out_features, rng):
    return small(in_features, out_features, rng, lambda: nn.LayerNorm(10))


NET_MODES = {
    "dropout": {"module": dropout},
    "batch norm": {"module": batch_norm},
    "layer norm": {"module": layer_norm},
}


def cases():
    """Give each estimator in each mode by name."""
    made = {}
    for cls in (MLPClassifier, MLPRegressor, NetClassifier, NetRegressor):
        modes = dict(MODES)
        if cls in (MLPClassifier, NetClassifier):
            modes |= CLASSIFIER_MODES
        if cls in (MLPClassifier, MLPRegressor):
            modes |= MLP_MODES
            size = {"hidden_layer_sizes": (10,)}
        else:
            modes |= NET_MODES
            size = {"module": small}
        made[f"{cls.__name__}-defaults"] = cls()
        for mode, params in modes.items():
            estimator = cls(**{**FAST, **size, **params})
            made[f"{cls.__name__}-{mode}"] = estimator
    return made


def expected_failures(mode):
    """Give the checks that a mode cannot pass, each with its reason."""
    return dict.fromkeys(EQUIVALENCE, NOT_EQUIVALENT[mode]) if mode in NOT_EQUIVALENT else {}


def check(name, estimator):
    """Give the names of the checks by how they ended."""
    found = {status: {} for status in ("passed", "xfail", "failed", "skipped")}
    for result in estimator_checks.check_estimator(
        estimator,
        expected_failed_checks=expected_failures(name.partition("-")[2]),
        on_skip=None,
        on_fail=None,
    ):
        found[result["status"]][result["check_name"]] = repr(result["exception"])
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # as check_estimator does: short runs warn
    with threadpool_limits(1):
        json.dump({name: check(name, estimator) for name, estimator in cases().items()}, sys.stdout)
