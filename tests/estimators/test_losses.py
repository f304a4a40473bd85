"""Losses by name and by function, intervals, and what the prediction owes to the input."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import norm
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetRegressor, nn

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = {
    "hidden_layer_sizes": (8,),
    "max_iter": 40,
    "learning_rate_init": 0.02,
    "random_state": 0,
    "n_iter_no_change": np.inf,
}
ONE_STEP = {**QUICK, "max_iter": 1, "batch_size": 150, "alpha": 0}


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def at_the_start(kind, *data, **params):
    """Give the outputs of the network before training, and the loss of the first epoch."""
    model = kind(**{**ONE_STEP, **params, "learning_rate_init": 1e-12}).fit(*data)
    return np.asarray(model._outputs(data[0])), model.loss_


# -- regression -------------------------------------------------------------------------------

T = np.column_stack([X[:, 0] ** 2, np.abs(X[:, 1]) * 3])
R = np.random.default_rng(0).uniform(0.5, 2, 150)


FORMULAS = {
    "squared_error": lambda z, t: 0.5 * (z - t) ** 2,
    "mse": lambda z, t: (z - t) ** 2,
    "absolute_error": lambda z, t: np.abs(z - t),
    "mae": lambda z, t: np.abs(z - t),
    "huber": lambda z, t: np.where(np.abs(z - t) < 1, 0.5 * (z - t) ** 2, np.abs(z - t) - 0.5),
    "poisson": lambda z, t: t * np.log(t) - t * z - t + np.exp(z),
    "poisson_nll": lambda z, t: t * np.log(t) - t * z - t + np.exp(z),
    "gaussian_nll": lambda z, t: 0.5 * (z[:, 1:] + (z[:, :1] - t) ** 2 / np.exp(z[:, 1:])),
}


@pytest.mark.parametrize("weight", [None, R], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", FORMULAS)
def test_losses_of_one_target_are_their_formulas(loss, weight):
    t = T[:, :1]
    z, value = at_the_start(MLPRegressor, X, t[:, 0], weight, loss=loss)
    assert value == pytest.approx(np.average(FORMULAS[loss](z, t)[:, 0], weights=weight), rel=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_losses_of_several_targets_add_up_as_in_scikit_learn(loss):
    z, value = at_the_start(MLPRegressor, X, T, R, loss=loss)
    columns = [FORMULAS[loss](z[:, [i]], T[:, [i]])[:, 0] for i in range(2)]
    # scikit-learn takes the mean over columns, and leaves the gradient their sum
    expected = sum(np.average(column, weights=R) for column in columns)
    assert value == pytest.approx(expected, rel=1e-6)


def test_quantile_loss_is_the_mean_of_three_pinballs():
    z, value = at_the_start(MLPRegressor, X, T[:, 0], loss="quantile")
    errors = (T[:, :1] - z.reshape(150, 3)).T
    pinballs = [
        np.maximum(q * e, (q - 1) * e) for q, e in zip((0.05, 0.5, 0.95), errors, strict=True)
    ]
    assert value == pytest.approx(np.mean(pinballs), rel=1e-6)


@pytest.mark.parametrize("loss", [*FORMULAS, "quantile"])
def test_every_loss_learns(loss):
    target = np.exp(X[:, 0] / 2) + 1
    model = MLPRegressor(loss, **{**QUICK, "max_iter": 300}).fit(X, target)
    assert model.score(X, target) > 0.8
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def quartic(output, target):
    return ((output - target) ** 4).mean()


def quartic_rows(output, target):
    return (output - target) ** 4


def quartic_weighted(output, target, sample_weight=None):
    return nn.weighted_mean((output - target) ** 4, sample_weight)


def test_a_loss_of_ones_own():
    fitted = [
        MLPRegressor(fn, **{**QUICK, "max_iter": 200}).fit(X, X[:, 0])
        for fn in (quartic, quartic_rows, quartic_weighted)
    ]
    assert fitted[0].score(X, X[:, 0]) > 0.8
    for other in fitted[1:]:
        np.testing.assert_allclose(other.predict(X), fitted[0].predict(X))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted[0])).predict(X), fitted[0].predict(X)
    )


def test_a_loss_of_ones_own_decides_what_several_targets_add_up_to():
    z, value = at_the_start(MLPRegressor, X, T, loss=quartic)
    assert value == pytest.approx(np.mean((z - T) ** 4))


def test_a_loss_of_ones_own_watches_validation_data():
    for fn in (quartic, quartic_rows, quartic_weighted):
        model = MLPRegressor(fn, scoring="loss", **QUICK)
        model.fit(X[:100], X[:100, 0], X_val=X[100:], y_val=X[100:, 0])
        best = quartic(model.predict(X[100:]), X[100:, 0])
        assert best == pytest.approx(min(model.validation_loss_curve_))


def test_weights_reach_a_loss_of_ones_own():
    two = [
        MLPRegressor(fn, **QUICK).fit(X, X[:, 0], R).predict(X)
        for fn in (quartic_rows, quartic_weighted)
    ]
    np.testing.assert_allclose(*two)
    with pytest.raises(ValueError, match=r"quartic returns one number.*sample_weight"):
        MLPRegressor(quartic, **QUICK).fit(X, X[:, 0], R)


def focal(logits, target):
    p = gl.softmax(logits, axis=1)[np.arange(len(target)), target]
    return -((1 - p) ** 2) * np.log(p)


@pytest.mark.parametrize("target", [y, y > 0], ids=["three", "two"])
def test_a_loss_of_ones_own_takes_a_logit_for_each_class(target):
    model = MLPClassifier(loss=focal, **QUICK).fit(X, target)
    assert model.score(X, target) > 0.9
    assert model.predict_proba(X).shape == (150, len(np.unique(target)))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.decision_function(X).shape == ((150,) if len(np.unique(target)) == 2 else (150, 3))
    np.testing.assert_array_equal(
        model.classes_[model.predict_proba(X).argmax(axis=1)], model.predict(X)
    )


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda output, target: output[:, None] - target[None, :], r"returned shape \(150, 150\)"),
        (lambda output, target: (output - target)[:10], r"returned shape \(10,\).*150 samples"),
        (lambda output, target: 0.5, "returned 0.5, which is not a Tensor"),
        (lambda output, target: None, "returned None, which is not a Tensor"),
        (lambda output: output.mean(), "argument"),
    ],
)
def test_a_loss_that_makes_no_sense(fn, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MLPRegressor(fn, **ONE_STEP).fit(X, X[:, 0])


@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy", "bce_with_logits", "hinge"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "multioutput"])
def test_losses_of_classifiers(loss, kind):
    target = {
        "binary": y > 0,
        "multiclass": y,
        "multilabel": np.column_stack([y == 0, y == 2]).astype(int),
        "multioutput": np.column_stack([y, y > 0]).astype(int),
    }[kind]
    model = MLPClassifier(loss=loss, **QUICK).fit(X, target)
    assert model.score(X, target) > 0.8


# -- intervals --------------------------------------------------------------------------------


def noisy(n, rng):
    X = rng.uniform(-2, 2, (n, 1))
    return X, 3 * X[:, 0] + 1 + rng.normal(0, 0.5 + 0.4 * np.abs(X[:, 0]), n)


@pytest.mark.parametrize("loss", ["quantile", "gaussian_nll"])
@pytest.mark.parametrize("standardize", [False, True])
def test_intervals_hold_what_they_promise(loss, standardize):
    rng = np.random.default_rng(0)
    data, new = noisy(2000, rng), noisy(2000, rng)
    model = MLPRegressor(
        loss, (16,), max_iter=100, learning_rate_init=0.01, random_state=0, tol=0,
        standardize=standardize, quantiles=[0.9, 0.1, 0.5],
    ).fit(*data)  # fmt: skip
    low, high = model.predict_interval(new[0], 0.8).T
    assert np.all(low <= high)
    assert 0.76 < np.mean((low <= new[1]) & (new[1] <= high)) < 0.84
    edge = np.abs(new[0][:, 0]) > 1.8
    true = 2 * norm.ppf(0.9) * (0.5 + 0.4 * 1.9)
    assert np.mean(high[edge] - low[edge]) == pytest.approx(true, rel=0.2)
    middle = model.predict(new[0])
    assert np.all((low <= middle) & (middle <= high))


def test_intervals_of_several_targets():
    for loss in ("quantile", "gaussian_nll"):
        model = MLPRegressor(loss, standardize=True, **{**QUICK, "max_iter": 200}).fit(X, T + 3)
        bounds = model.predict_interval(X)
        assert bounds.shape == (150, 2, 2)
        inside = (bounds[..., 0] <= T + 3) & (bounds[..., 1] >= T + 3)
        assert np.all(inside.mean(axis=0) > 0.75)


def test_intervals_that_were_not_learned():
    model = MLPRegressor("quantile", **ONE_STEP).fit(X, y)
    with pytest.raises(ValueError, match=r"quantiles 0.1 and 0.9; .*learned \[0.05, 0.5, 0.95\]"):
        model.predict_interval(X, coverage=0.8)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1, not 90"):
        model.predict_interval(X, 90)
    with pytest.raises(AttributeError, match=r"loss='quantile'.*loss='gaussian_nll'"):
        MLPRegressor(**ONE_STEP).fit(X, y).predict_interval(X)


@pytest.mark.parametrize("quantiles", [[0.0, 0.5], [1.5], [], ["low"], [np.nan]])
def test_quantiles_that_make_no_sense(quantiles):
    with pytest.raises(ValueError, match="quantile"):
        MLPRegressor("quantile", quantiles=quantiles, **ONE_STEP).fit(X, y)


def test_one_quantile_is_predicted():
    target = np.random.default_rng(0).exponential(size=len(X))
    model = MLPRegressor("quantile", quantiles=0.9, alpha=1.0, **{**QUICK, "max_iter": 200})
    below = np.mean(target <= model.fit(X, target).predict(X))
    assert 0.85 < below < 0.96


# -- d prediction / d input -------------------------------------------------------------------


def slopes(f, x, h=1e-6):
    """Differentiate f, (n,) or (n, k), by central differences."""
    columns = []
    for step in np.eye(x.shape[1]) * h:
        columns.append((f(x + step) - f(x - step)) / (2 * h))
    return np.stack(columns, axis=-1)


REGRESSORS = {
    "plain": ({}, T[:, 0]),
    "columns": ({}, T),
    "standardize": ({"standardize": True}, 1e4 * T[:, 0]),
    "poisson": ({"loss": "poisson"}, T),
    "quantile": ({"loss": "quantile"}, T),
    "gaussian": ({"loss": "gaussian_nll", "standardize": True}, T[:, 1]),
    "normalized": ({"normalization": "batch", "dropout": 0.2}, T[:, 0]),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_gradients_of_regressors(name):
    params, target = REGRESSORS[name]
    model = MLPRegressor(activation="tanh", **params, **QUICK).fit(X, target)
    actual, expected = model.predict_gradient(X[:9]), slopes(model.predict, X[:9])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


CLASSIFIERS = {
    "binary": (y > 0, lambda model, x: model.predict_proba(x)[:, 1], {}),
    "paired": (y > 0, lambda model, x: model.predict_proba(x)[:, 1], {"loss": focal}),
    "multiclass": (y, lambda model, x: model.predict_proba(x), {"standardize": True}),
    "multilabel": (
        np.column_stack([y == 0, y == 2]).astype(int),
        lambda model, x: model.predict_proba(x),
        {},
    ),
    "multioutput": (
        np.column_stack([y, y > 0]).astype(int),
        lambda model, x: np.hstack(model.predict_proba(x)),
        {},
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_of_classifiers(name):
    target, proba, params = CLASSIFIERS[name]
    model = MLPClassifier(activation="tanh", **params, **QUICK).fit(X, target)
    actual, expected = model.predict_gradient(X[:9]), slopes(lambda x: proba(model, x), X[:9])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_gradients_leave_nothing_behind():
    model = NetRegressor(max_iter=2, random_state=0).fit(X.astype(np.float32), y)
    before = pickle.dumps(model)
    gradient = model.predict_gradient(X[:3].astype(np.float32))
    assert gradient.dtype == np.float32
    assert gradient.shape == (3, 4)
    assert pickle.dumps(model) == before
    assert all(p.grad is None for p in model.module_.parameters())


def test_gradients_need_dense_input():
    model = MLPRegressor(**ONE_STEP).fit(X, y)
    with pytest.raises(TypeError, match="toarray"):
        model.predict_gradient(sp.csr_matrix(X))


def test_scores_are_decisions_and_logits_probabilities():
    hinge = MLPClassifier(loss="hinge", **QUICK).fit(X, y)
    assert hinge.decision_function(X).shape == (150, 3)
    assert not hasattr(hinge, "predict_proba")
    log_loss = MLPClassifier(**QUICK).fit(X, y)
    assert not hasattr(log_loss, "decision_function")
    with pytest.raises(AttributeError):
        log_loss.decision_function(X)


def test_no_label_is_certain():
    labels = np.column_stack([y > 0, y > 1]).astype(int)
    model = MLPClassifier(**QUICK).fit(X, labels)
    model.coefs_[-1][:] *= 1e6
    assert 0.999 < model.predict_proba(X).max() < 1


def test_a_loss_that_is_a_module_knows_whether_it_trains():
    seen = []

    class Annealed(nn.Module):
        def forward(self, output, target):
            seen.append(self.training)
            return ((output - target) ** 2).mean()

    model = MLPRegressor(Annealed(), hidden_layer_sizes=(4,), batch_size=30, max_iter=2)
    X = np.linspace(-1, 1, 60)[:, None]
    model.fit(X, X[:, 0], X_val=X, y_val=X[:, 0])
    assert seen == [True, True, False] * 2
