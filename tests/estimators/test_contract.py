"""scikit-learn's own checks of an estimator, in every mode of ours: none fails, none is skipped."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.utils import estimator_checks
from threadpoolctl import threadpool_limits

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn

pytestmark = pytest.mark.filterwarnings("ignore")  # as check_estimator does: short runs warn

FAST = {"max_iter": 60, "tol": 1e-3, "learning_rate_init": 0.01, "random_state": 0}

MODES = {
    "defaults": {},
    "early_stopping": {"early_stopping": True},
    "batch_size": {"batch_size": 8, "learning_rate_init": 0.002, "tol": 0.01},
    "sgd": {"solver": "sgd"},
    "lbfgs": {"solver": "lbfgs", "alpha": 1.0},  # or logits grow until probabilities are 1: ties
    "adamw": {"solver": "adamw"},
    "rmsprop": {"solver": "rmsprop"},
    "lion": {"solver": "lion", "learning_rate_init": 0.005},
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


def small(in_features, out_features, rng):
    return nn.Sequential(
        nn.Linear(in_features, 10, rng=rng), nn.ReLU(), nn.Linear(10, out_features, rng=rng)
    )


def cases():
    made = []
    for cls in (MLPClassifier, MLPRegressor, NetClassifier, NetRegressor):
        modes = dict(MODES)
        if cls in (MLPClassifier, NetClassifier):
            modes |= CLASSIFIER_MODES
        if cls in (MLPClassifier, MLPRegressor):
            modes |= MLP_MODES
            size = {"hidden_layer_sizes": (10,)}
        else:
            size = {"module": small}
        for mode, params in modes.items():
            estimator = cls(**{**FAST, **size, **params})
            made.append(pytest.param(estimator, mode, id=f"{cls.__name__}-{mode}"))
    return made


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize(("estimator", "mode"), cases())
def test_every_check_passes(estimator, mode):
    expected = dict.fromkeys(EQUIVALENCE, NOT_EQUIVALENT[mode]) if mode in NOT_EQUIVALENT else {}
    results = estimator_checks.check_estimator(
        estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
    )
    found = {status: {} for status in ("passed", "xfail", "failed", "skipped")}
    for result in results:
        found[result["status"]][result["check_name"]] = result["exception"]
    assert found["failed"] == {}
    assert found["skipped"] == {}  # neither pandas nor SCIPY_ARRAY_API=1 is missing
    assert found["xfail"].keys() == expected.keys()
    assert len(found["passed"]) > 40


@pytest.mark.parametrize(("estimator", "mode"), cases())
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_param_validation,
        estimator_checks.check_inplace_ensure_writeable,
    ],
)
def test_checks_that_check_estimator_leaves_out(estimator, mode, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("mode", MODES | MLP_MODES)
def test_balanced_class_weights_help_where_the_training_data_is_not(mode):
    X, y = make_blobs(400, centers=2, cluster_std=4.0, random_state=0)
    rare = np.flatnonzero(y[:200])[10:]
    train = np.setdiff1d(np.arange(200), rare)
    estimator = MLPClassifier((10,), **{**FAST, **(MODES | MLP_MODES)[mode]})
    estimator_checks.check_class_weight_balanced_classifiers(
        "MLPClassifier", estimator, X[train], y[train], X[200:], y[200:], None
    )
