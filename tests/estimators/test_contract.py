"""scikit-learn's own checks of an estimator, in every mode of ours: none fails, none is skipped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.utils import estimator_checks
from threadpoolctl import threadpool_limits

from tests.estimators.contract import MLP_MODES, MODES, cases, expected_failures

pytestmark = pytest.mark.filterwarnings("ignore")  # as check_estimator does: short runs warn

CASES = cases()
WITHOUT_WEIGHTS = MODES | MLP_MODES
NO_DECISION = "check_classifiers_multilabel_output_format_decision_function"


@pytest.fixture(scope="module")
def results():
    """Run all checks, with the array API and pandas there, so that none is skipped for want."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.estimators.contract"],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("name", CASES)
def test_every_check_passes(name, results):
    found = results[name]
    assert found["failed"] == {}
    assert found["skipped"].keys() <= {NO_DECISION}  # neither pandas nor the array API is missing
    assert found["xfail"].keys() == expected_failures(name.partition("-")[2]).keys()
    assert len(found["passed"]) > 40


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_param_validation,
        estimator_checks.check_inplace_ensure_writeable,
    ],
)
def test_checks_that_check_estimator_leaves_out(name, check):
    check(type(CASES[name]).__name__, CASES[name])


@pytest.mark.parametrize(
    "name",
    [name for name in CASES if "Classifier-" in name and name.partition("-")[2] in WITHOUT_WEIGHTS],
)
def test_balanced_class_weights_help_where_the_training_data_is_not(name):
    X, y = make_blobs(400, centers=2, cluster_std=3.0, random_state=2)
    rare = np.flatnonzero(y[:200])[10:]
    train = np.setdiff1d(np.arange(200), rare)
    estimator_checks.check_class_weight_balanced_classifiers(
        type(CASES[name]).__name__, CASES[name], X[train], y[train], X[200:], y[200:], None
    )
