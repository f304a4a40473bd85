"""Validation data: curves, scores, early stopping, the best weights; and interruptions."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, log_loss, r2_score
from threadpoolctl import threadpool_info

from gradlite import MLPClassifier, MLPRegressor, NetClassifier

rng = np.random.default_rng(0)
X_ALL, Y_ALL = load_breast_cancer(return_X_y=True)
X_ALL = (X_ALL - X_ALL.mean(axis=0)) / X_ALL.std(axis=0)
X, Y, X_VAL, Y_VAL = X_ALL[:100], Y_ALL[:100], X_ALL[100:300], Y_ALL[100:300]
WEIGHT = rng.uniform(0, 2, 200)


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def make(cls=MLPClassifier, **params):
    return cls(**{"max_iter": 6, "random_state": 0, "learning_rate_init": 0.02, **params})


def epoch_by_epoch(model_params, epochs=6):
    """Give the model after each number of epochs, trained without validation data."""
    return [make(**{**model_params, "max_iter": n}).fit(X, Y) for n in range(1, epochs + 1)]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_curves_are_score_and_loss_after_each_epoch(weight):
    model = make().fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
    for n, after in enumerate(epoch_by_epoch({})):
        score = accuracy_score(Y_VAL, after.predict(X_VAL), sample_weight=weight)
        loss = log_loss(Y_VAL, after.predict_proba(X_VAL), sample_weight=weight)
        assert model.validation_scores_[n] == pytest.approx(score)
        assert model.validation_loss_curve_[n] == pytest.approx(loss)
    assert len(model.loss_curve_) == 6


def test_a_regressors_curve_is_r_squared():
    X, y, X_val, y_val = X_ALL[:100, 1:], X_ALL[:100, 0], X_ALL[100:300, 1:], X_ALL[100:300, 0]
    model = make(MLPRegressor, max_iter=4).fit(X, y, X_val=X_val, y_val=y_val)
    for n, score in enumerate(model.validation_scores_, 1):
        after = make(MLPRegressor, max_iter=n).fit(X, y)
        assert score == pytest.approx(r2_score(y_val, after.predict(X_val)))


def test_the_weights_of_the_best_epoch_are_kept():
    params = {"max_iter": 30, "learning_rate_init": 0.1, "hidden_layer_sizes": (5,)}
    for early in (False, True):
        model = make(early_stopping=early, **params).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
        scores = model.validation_scores_
        assert model.best_validation_score_ == max(scores)
        assert scores[-1] < max(scores)
        best = 1 + scores.index(max(scores))
        expected = make(**{**params, "max_iter": best}).fit(X, Y)
        np.testing.assert_array_equal(model.predict_proba(X_VAL), expected.predict_proba(X_VAL))
        assert model.score(X_VAL, Y_VAL) == max(scores)


def test_early_stopping_watches_the_given_data_and_trains_on_all_of_x():
    model = make(early_stopping=True, max_iter=200, n_iter_no_change=3)
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ < 200
    assert model.t_ == 100 * model.n_iter_
    without = make(max_iter=model.n_iter_).fit(X, Y)
    np.testing.assert_array_equal(model.loss_curve_, without.loss_curve_)


def mean_output(model, X, y):
    return float(model.predict_proba(X)[:, 1].mean())


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        ("f1", lambda m, w: f1_score(Y_VAL, m.predict(X_VAL), sample_weight=w)),
        ("neg_log_loss", lambda m, w: -log_loss(Y_VAL, m.predict_proba(X_VAL), sample_weight=w)),
        ("loss", lambda m, w: -log_loss(Y_VAL, m.predict_proba(X_VAL), sample_weight=w)),
        (mean_output, lambda m, w: mean_output(m, X_VAL, Y_VAL)),
    ],
    ids=["f1", "neg_log_loss", "loss", "callable"],
)
def test_scoring_chooses_the_score(scoring, expected, weight):
    model = make(scoring=scoring, max_iter=3)
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
    after = epoch_by_epoch({}, 3)
    np.testing.assert_allclose(model.validation_scores_, [expected(m, weight) for m in after])


def test_a_metric_without_weights_is_called_without():
    model = make(MLPRegressor, scoring="neg_max_error", max_iter=3)
    model.fit(X, X[:, 0], X_val=X_VAL, y_val=X_VAL[:, 0], sample_weight_val=WEIGHT)
    assert len(model.validation_scores_) == 3


@pytest.mark.parametrize("returned", ["high", None, {"f1": 1.0}])
def test_a_scorer_must_give_a_number(returned):
    with pytest.raises(TypeError, match="not a number"):
        make(scoring=lambda model, X, y: returned).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)


@pytest.mark.parametrize("scoring", [None, "loss", "f1"])
def test_a_loss_of_the_users_is_validated_as_it_is_trained(scoring):
    def squared(output, target):
        second = 1 / (1 + (output[:, 0] - output[:, 1]).exp())  # arrays have no exp
        return ((second - target) ** 2).mean()

    model = make(loss=squared, scoring=scoring, max_iter=2)
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    after = make(loss=squared, max_iter=1).fit(X, Y).predict_proba(X_VAL)[:, 1]
    assert model.validation_loss_curve_[0] == pytest.approx(np.mean((after - Y_VAL) ** 2))


@pytest.mark.parametrize("cls", [MLPClassifier, NetClassifier])
def test_validation_data_in_other_forms(cls):
    def curve(X, X_val, y_val=Y_VAL):
        model = make(cls, max_iter=2)
        return model.fit(X, Y, X_val=X_val, y_val=y_val).validation_loss_curve_

    expected = curve(X, X_VAL)
    names = [f"column {i}" for i in range(30)]
    frames = [pd.DataFrame(data, columns=names) for data in (X, X_VAL)]
    np.testing.assert_allclose(curve(*frames, pd.Series(Y_VAL)), expected)
    np.testing.assert_allclose(curve(X, sp.csr_matrix(X_VAL)), expected)
    np.testing.assert_allclose(curve(X, X_VAL.tolist(), Y_VAL.tolist()), expected)
    np.testing.assert_allclose(curve(X, X_VAL.astype(np.float32)), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="feature names"):
        curve(frames[0], frames[1].iloc[:, ::-1])


def test_float32_stays_float32_beside_float64_validation_data():
    model = make().fit(X.astype(np.float32), Y, X_val=X_VAL, y_val=Y_VAL)
    assert {w.dtype for w in model.coefs_} == {np.dtype(np.float32)}


def test_lbfgs_records_validation_data():
    model = make(solver="lbfgs").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert len(model.validation_scores_) == model.n_iter_ == 6
    assert model.validation_scores_[-1] == model.score(X_VAL, Y_VAL)


@pytest.mark.parametrize(
    ("known", "match"),
    [
        ({"X_val": X_VAL}, "X_val and y_val go together: y_val is missing"),
        ({"y_val": Y_VAL}, "X_val and y_val go together: X_val is missing"),
        ({"sample_weight_val": WEIGHT}, "sample_weight_val needs X_val and y_val"),
        ({"X_val": X_VAL[:, :2], "y_val": Y_VAL}, "X has 2 features"),
        ({"X_val": X_VAL, "y_val": Y_VAL + 1}, "`y` has classes not in `self.classes_`"),
        ({"X_val": X_VAL, "y_val": np.full(200, "a")}, "`y` has classes not in"),
        ({"X_val": X_VAL, "y_val": Y_VAL[:7]}, "inconsistent numbers of samples"),
        ({"X_val": X_VAL[:0], "y_val": Y_VAL[:0]}, "0 sample"),
        ({"X_val": X_VAL * np.nan, "y_val": Y_VAL}, "NaN"),
        ({"X_val": X_VAL, "y_val": np.c_[Y_VAL, Y_VAL]}, r"shape \(200, 2\), expected"),
    ],
    ids=str,
)
def test_bad_validation_data_is_refused(known, match):
    with pytest.raises(ValueError, match=match):
        make().fit(X, Y, **known)


# -- interruptions, threads ---------------------------------------------------------------------


class Interrupt:
    """Presses ctrl-C after some epochs."""

    def __init__(self, after):
        self.after = after

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_id + 1 == self.after:
            raise KeyboardInterrupt

    def teardown(self, estimator, context):
        pass


def test_ctrl_c_keeps_the_model():
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = make(max_iter=50, callbacks=[Interrupt(3)]).fit(X, Y)
    expected = make(max_iter=3).fit(X, Y)
    assert model.n_iter_ == 3
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_ctrl_c_keeps_the_best_weights():
    params = {"max_iter": 50, "learning_rate_init": 0.1, "hidden_layer_sizes": (5,)}
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = make(callbacks=[Interrupt(30)], **params).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.score(X_VAL, Y_VAL) == max(model.validation_scores_[:-1])


def test_ctrl_c_stops_lbfgs_too():
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = make(solver="lbfgs", max_iter=50, callbacks=[Interrupt(3)]).fit(X, Y)
    assert model.n_iter_ == 3
    assert model.score(X, Y) > 0.9


def test_threads_are_limited_during_fit_only():
    def blas():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    seen = []

    def scoring(model, X, y):
        seen.extend(blas())
        return 0.0

    before = blas()
    make(n_threads=1, max_iter=2, scoring=scoring).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert set(seen) == {1}
    assert blas() == before
