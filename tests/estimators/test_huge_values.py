"""Finite values so large that arithmetic overflows: a usable model, or none, and no warning."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn
from gradlite.errors import DivergedError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"max_iter": 6, "random_state": 0, "batch_size": 20}
MLP = {"hidden_layer_sizes": (8,), **QUICK}
SGD = {"solver": "sgd", "learning_rate_init": 0.01}
MODELS = {
    "classifier": MLPClassifier(**MLP),
    "sgd": MLPClassifier(**MLP, **SGD),
    "hinge": MLPClassifier(loss="hinge", **MLP),
    "standardize": MLPClassifier(standardize=True, **MLP),
    "batch norm": MLPClassifier(normalization="batch", **MLP),
    "lbfgs": MLPClassifier(solver="lbfgs", **MLP),
    "early stopping": MLPRegressor(early_stopping=True, **MLP),
    "regressor": MLPRegressor(**MLP),
    "regressor sgd": MLPRegressor(**MLP, **SGD),
    "regressor standardize": MLPRegressor(standardize=True, **MLP),
    "regressor lbfgs": MLPRegressor(solver="lbfgs", **MLP),
    "poisson": MLPRegressor("poisson", **MLP),
    "gaussian": MLPRegressor("gaussian_nll", **MLP),
    "quantile": MLPRegressor("quantile", **MLP),
    "net": NetClassifier(**QUICK),
    "net sgd": NetRegressor(**QUICK, **SGD),
    "net lbfgs": NetRegressor(solver="lbfgs", **QUICK),
}


def data(scale, where, dtype):
    rng = np.random.default_rng(0)
    X = np.clip(rng.normal(size=(60, 3)), -1, 1)
    y = X[:, 0] + 1
    if where == "one cell":
        X[5, 1] = scale
    else:
        X[:, slice(None) if where == "all" else 1] *= scale
    return X.astype(dtype), y


def refusal(model, X, y):
    """Fit, and give the error that the fit ended in, if it did."""
    try:
        model.fit(X, y)
    except ValueError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e3, "f4"), (1e10, "f4"), (1e38, "f4"), (1e10, "f8"), (1e155, "f8"), (1.7e308, "f8")],
)
@pytest.mark.parametrize("where", ["all", "one column", "one cell"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_gives_a_usable_model_or_none(name, where, scale, dtype):
    X, y = data(scale, where, dtype)
    model = clone(MODELS[name])
    error = refusal(model, X, y > 1 if is_classifier(model) else y)
    if error is not None:
        assert isinstance(error, DivergedError) or "too large to be standardized" in str(error)
        with pytest.raises(NotFittedError):
            model.predict(X)
        return
    assert np.all(np.isfinite(model._outputs(X)))
    assert not is_classifier(model) or set(model.predict(X)) <= {False, True}
    readers = [model.predict_gradient, getattr(model, "predict_interval", None)]
    readers += [getattr(model, name, None) for name in ("predict_proba", "hidden_activations")]
    for read in readers:
        if read is not None and (read != readers[1] or name == "gaussian"):
            assert not np.any(np.isnan(read(X)))


def test_both_endings_occur():
    X, y = data(1e10, "all", "f4")
    for name in ("classifier", "standardize"):
        clone(MODELS[name]).fit(X, y > 1)
    for name in ("regressor sgd", "net sgd"):
        with pytest.raises(DivergedError, match="non-finite parameter weights"):
            clone(MODELS[name]).fit(X, y)


@pytest.mark.parametrize(("max_iter", "why"), [(1, "last step"), (2, "in epoch 2, batch 1")])
@pytest.mark.parametrize("name", ["sgd", "regressor sgd", "net sgd"])
def test_a_step_that_went_too_far_leaves_no_model(name, max_iter, why):
    """The loss was finite before it, the weights are finite after it, and their outputs are not."""
    X, y = data(1, "all", "f4")
    model = clone(MODELS[name]).set_params(max_iter=max_iter, batch_size=60, momentum=0, alpha=0)
    model.set_params(learning_rate_init=1e25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(model, X, y > 1 if is_classifier(model) else y)
    assert isinstance(error, DivergedError)
    assert why in str(error)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("name", ["regressor sgd", "regressor lbfgs", "net sgd"])
def test_a_model_from_before_stays(name):
    X, y = data(1, "all", "f8")
    model = clone(MODELS[name]).set_params(warm_start=True).fit(X, y)
    before = model.predict(X)
    with pytest.raises(DivergedError):
        model.fit(1e200 * X, y)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("name", ["classifier", "regressor", "poisson", "net", "net lbfgs"])
def test_rows_out_of_all_measure_are_named(name):
    X, y = data(1, "all", "f4")
    model = clone(MODELS[name]).fit(X, y > 1 if is_classifier(model := MODELS[name]) else y)
    wild = X.copy()
    wild[[7, 9]] = 3e38
    with pytest.raises(ValueError, match=r"for 2 of 60 rows. The first is row 7, .* up to 3e\+38"):
        model.predict(wild)
    assert np.all(np.isfinite(model.predict(np.delete(wild, [7, 9], axis=0))))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["classifier", "standardize", "lbfgs", "net"])
def test_weights_whose_sum_overflows_are_refused(name, dtype):
    """With a mean over them, every sample would count 0, and nothing be learned."""
    X, y = data(1, "all", dtype)
    model = clone(MODELS[name]).set_params(class_weight={0: 1e308, 1: 1e308})
    with pytest.raises(ValueError, match="their sum overflows"):
        model.fit(X, y > 1)
    if dtype == "f8":
        model.set_params(class_weight=None)
        for late in (0, 50):  # in the last batch alone, too
            weight = np.where(np.arange(60) < late, 1.0, 1e308)
            with pytest.raises(ValueError, match="their sum overflows"):
                model.fit(X, y > 1, weight)
            with pytest.raises(ValueError, match="their sum overflows"):
                model.fit(X, y > 1, X_val=X, y_val=y > 1, sample_weight_val=weight)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("name", ["standardize", "regressor standardize"])
def test_only_the_ratios_of_large_weights_matter(name):
    X, y = data(1, "all", "f8")
    model = clone(MODELS[name]).set_params(alpha=0)
    y = y > 1 if is_classifier(model) else y
    one, other = (clone(model).fit(X, y, w) for w in (np.ones(60), np.full(60, 2.0**1000)))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_a_class_may_be_left_out_by_a_logit_of_minus_infinity():
    class Masked(nn.Module):
        def __init__(self, in_features, out_features, rng):
            self.linear = nn.Linear(in_features, out_features, rng=rng)

        def forward(self, x):
            allowed = np.stack([x[:, 0] < 0.5, x[:, 0] > -0.5, x[:, 0] > 0.5], axis=1)
            return np.where(allowed, self.linear(x), -np.inf)

    X, _ = data(1, "all", "f8")
    y = np.where(X[:, 0] > 0.5, 2, np.where(X[:, 0] < 0, 0, 1))
    model = NetClassifier(Masked, **QUICK).fit(X, y)
    assert not model.predict_proba(X)[X[:, 0] < 0.5, 2].any()
    assert set(model.predict(X)[X[:, 0] < 0.5]) <= {0, 1}
