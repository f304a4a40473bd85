"""Every solver and schedule, warm starts in new settings, and partial_fit."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, schedules
from gradlite.estimators._parameters import SOLVERS

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 60, "random_state": 0, "n_iter_no_change": np.inf}
RATES = {"sgd": 0.1, "lion": 0.01}


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_learns(solver, dtype):
    model = MLPClassifier(solver=solver, learning_rate_init=RATES.get(solver, 0.02), **QUICK)
    assert model.fit(X.astype(dtype), y).score(X, y) > 0.94
    assert model.coefs_[0].dtype == dtype


@pytest.mark.parametrize("solver", ["adamw", "lion"])
def test_decoupled_decay_shrinks_weights_and_not_biases(solver):
    # Without a gradient (targets that the network meets exactly), only the decay moves weights.
    params = {**QUICK, "max_iter": 1, "batch_size": 150, "learning_rate_init": 0.01}
    free, decayed = (
        MLPRegressor(solver=solver, alpha=alpha, **params).fit(X, X[:, 0]) for alpha in (0, 0.5)
    )
    start = MLPRegressor(**{**params, "learning_rate_init": 1e-300}).fit(X, X[:, 0])
    for a, b, c in zip(free.coefs_, decayed.coefs_, start.coefs_, strict=True):
        np.testing.assert_allclose(b, a - 0.01 * 0.5 * c)
    for a, b in zip(free.intercepts_, decayed.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def rates(model, epochs=12, **params):
    """Give the learning rate of each step, from the steps of plain gradient descent on a line."""
    model.set_params(
        module=None,
        solver="sgd",
        momentum=0,
        alpha=0,
        batch_size=50,
        max_iter=epochs,
        n_iter_no_change=np.inf,
        random_state=0,
        **params,
    )
    seen = []
    model.fit(X, y)
    group = model._training.optimizer.param_groups[0]["lr"]
    for step in range(epochs * 3):
        seen.append(group(step) if callable(group) else group)
    return np.array(seen)


def test_schedules_by_name_run_over_all_epochs():
    cosine = rates(NetClassifier(learning_rate_init=0.1, schedule="cosine"))
    np.testing.assert_allclose(cosine, 0.05 * (1 + np.cos(np.pi * np.arange(36) / 36)))
    cycle = rates(NetClassifier(learning_rate_init=0.1, schedule="one_cycle"))
    assert cycle.argmax() in (9, 10)
    assert cycle.max() == pytest.approx(0.1, rel=0.01)
    assert cycle[0] == pytest.approx(0.1 / 25)
    assert cycle[-1] < 1e-5


def test_a_schedule_is_asked_at_every_step():
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.5 if step == 4 else 0.0

    params = {**QUICK, "solver": "sgd", "momentum": 0, "max_iter": 4, "batch_size": 75}
    one = MLPClassifier(schedule=schedule, **params).fit(X, y)
    two = MLPClassifier(schedule=lambda step: 0.0, **params).fit(X, y)
    assert asked == list(range(8))
    assert np.abs(one.coefs_[0] - two.coefs_[0]).max() > 1e-3


def test_a_plateau_lowers_the_rate_and_leaves_the_parameter_alone():
    given = schedules.ReduceOnPlateau(0.5, factor=0.1, patience=0, threshold=0.9)
    model = MLPClassifier(solver="sgd", schedule=given, **{**QUICK, "max_iter": 4}).fit(X, y)
    assert model._training.rate.current == pytest.approx(0.5 * 0.1**3)
    assert given.current == 0.5
    again = MLPClassifier(solver="sgd", schedule=given, **{**QUICK, "max_iter": 4}).fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])


def test_a_plateau_watches_the_score_with_early_stopping():
    # A negative figure (minus the accuracy) that stays the same is no improvement.
    model = MLPClassifier(
        early_stopping=True,
        schedule="plateau",
        **{**QUICK, "learning_rate_init": 1e-9, "n_iter_no_change": 3, "max_iter": 4},
    ).fit(X, y)
    assert model._training.rate.current == pytest.approx(1e-10)


def test_a_schedule_that_gives_nonsense():
    with pytest.raises((TypeError, ValueError)):
        MLPClassifier(schedule=lambda step: "fast", **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="schedule"):
        MLPClassifier(schedule="linear", **QUICK).fit(X, y)


@pytest.mark.parametrize(
    "params",
    [
        {"early_stopping": True},
        {"dropout": 0.2},
        {"normalization": "batch"},
        {"schedule": "one_cycle"},
        {"learning_rate": "adaptive", "solver": "sgd"},
        {"standardize": True, "class_weight": "balanced"},
        {"scoring": "neg_log_loss"},
    ],
    ids=str,
)
def test_partial_fit_in_every_setting(params):
    model = MLPClassifier(**{**QUICK, "learning_rate_init": 0.02, "max_iter": 3, **params})
    for _ in range(60):
        model.partial_fit(X[::2], y[::2], classes=[0, 1, 2])
    assert model.score(X, y) > 0.85
    assert len(model.loss_curve_) == 60
    model.fit(X, y).partial_fit(X, y)
    assert len(model.loss_curve_) == 4


def test_partial_fit_takes_a_lower_rate_between_calls():
    model = MLPClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2])
    before = model.coefs_[0].copy()
    model.set_params(learning_rate_init=1e-12).partial_fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], before, atol=1e-9)


def test_a_warm_start_goes_on_after_early_stopping_was_switched():
    model = MLPClassifier(early_stopping=True, warm_start=True, **{**QUICK, "max_iter": 3})
    model.fit(X, y).set_params(early_stopping=False, n_iter_no_change=5, max_iter=20).fit(X, y)
    assert len(model.loss_curve_) == 23  # the loss falls; it is not compared with a score
    assert model.best_loss_ == min(model.loss_curve_[3:])
    model.set_params(early_stopping=True).fit(X, y)
    assert model.best_loss_ is None
    assert len(model.validation_scores_) > 3


def test_the_weights_of_the_best_validation_score_are_kept():
    model = MLPClassifier(**{**QUICK, "learning_rate_init": 0.3, "max_iter": 30})
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert len(set(model.validation_scores_)) > 2
    assert model.score(X[1::2], y[1::2]) == max(model.validation_scores_)
    assert model.best_validation_score_ == max(model.validation_scores_)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_schedule_that_ran_to_its_end_is_no_reason_to_warn(schedule):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MLPClassifier((4,), schedule=schedule, max_iter=3, random_state=0).fit(X, y)
    assert model.n_iter_ == 3
