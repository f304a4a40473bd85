"""A program that imports its networks from scikit-learn gets the same ones here."""

import inspect
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn import neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.fixes import parse_version

import gradlite as ours

PAIRS = ["MLPClassifier", "MLPRegressor"]
NEW = parse_version(sklearn.__version__) >= parse_version("1.7")


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def digits(n=400, dtype=np.float64):
    X, y = load_digits(return_X_y=True)
    return (X[:n] / 16).astype(dtype), y[:n]


def data_for(name):
    X, y = digits()
    return (X, y) if name == "MLPClassifier" else (X[:, 1:], 10 * X[:, 0] + X[:, 20:24].sum(axis=1))


def fit_both(name, data, weight=None, **params):
    made = []
    for library in (theirs, ours):
        model = getattr(library, name)(**{"random_state": 0, "max_iter": 5, **params})
        known = {} if weight is None else {"sample_weight": weight}
        made.append(model.fit(*data, **known))
    return made


def assert_same(a, b, rtol=1e-5):
    assert len(a.coefs_) == len(b.coefs_)
    for theirs_, ours_ in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=rtol, atol=rtol * np.abs(theirs_).max())


@pytest.mark.skipif(not NEW, reason="the parameters are those of scikit-learn 1.7 and later")
@pytest.mark.parametrize("name", PAIRS)
def test_parameters_defaults_and_order(name):
    expected = inspect.signature(getattr(theirs, name)).parameters
    actual = inspect.signature(getattr(ours, name)).parameters
    for parameter in expected.values():
        assert actual[parameter.name].default == parameter.default
        assert actual[parameter.name].kind == parameter.kind
    positional = [p for p, q in actual.items() if q.kind is q.POSITIONAL_OR_KEYWORD]
    assert positional == [p for p, q in expected.items() if q.kind is q.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"activation": "tanh", "hidden_layer_sizes": (20, 10)},
        {"activation": "logistic"},
        {"activation": "identity", "alpha": 1.0},
        {"solver": "sgd", "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
        {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
        {"shuffle": False, "batch_size": 32},
        {"early_stopping": True, "max_iter": 12, "n_iter_no_change": 2},
    ],
    ids=str,
)
def test_same_seed_same_network(name, params):
    a, b = fit_both(name, data_for(name), **params)
    assert b.n_iter_ == a.n_iter_
    assert b.t_ == a.t_ or params.get("early_stopping")
    assert b.n_layers_ == a.n_layers_
    assert b.n_outputs_ == a.n_outputs_
    assert b.out_activation_ == a.out_activation_
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-5)
    if params.get("early_stopping"):
        np.testing.assert_allclose(b.validation_scores_, a.validation_scores_, atol=1e-5)
        np.testing.assert_allclose(b.best_validation_score_, a.best_validation_score_, atol=1e-5)
        assert a.best_loss_ is b.best_loss_ is None
    else:
        np.testing.assert_allclose(b.best_loss_, a.best_loss_, rtol=1e-5)
    assert_same(a, b, rtol=1e-3)


# scikit-learn 1.6 hands scipy an option that is on its way out.
@pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning")
def test_lbfgs_ends_at_the_same_loss():
    X, y = digits(200)
    a, b = fit_both("MLPClassifier", (X, y), solver="lbfgs", max_iter=30, hidden_layer_sizes=(8,))
    assert b.loss_ == pytest.approx(a.loss_, rel=0.02)
    assert b.n_iter_ == a.n_iter_
    assert not hasattr(b, "nothing")


def test_two_classes_and_probabilities():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    a, b = fit_both("MLPClassifier", (X, np.where(y == 1, "yes", "no")), max_iter=20)
    np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(b.predict_log_proba(X), a.predict_log_proba(X), rtol=1e-3, atol=1e-3)
    assert (b.predict(X) == a.predict(X)).all()
    assert b.predict(X).dtype == a.predict(X).dtype
    assert (b.classes_ == a.classes_).all()


def test_several_labels_a_sample():
    X, y = make_multilabel_classification(random_state=0)
    a, b = fit_both("MLPClassifier", (X, y), max_iter=20)
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), atol=1e-3)
    assert (b.predict(X) == a.predict(X)).mean() > 0.99


def test_several_columns_of_numbers():
    X, _ = digits()
    y = X[:, [3, 10, 20]] * [1, 10, 0.1]
    a, b = fit_both("MLPRegressor", (X[:, 30:], y), max_iter=10)
    assert_same(a, b, rtol=1e-3)
    np.testing.assert_allclose(b.predict(X[:, 30:]), a.predict(X[:, 30:]), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not NEW, reason="scikit-learn has sample weights and Poisson since 1.7")
def test_poisson_and_sample_weights():
    X, _ = digits()
    rng = np.random.default_rng(0)
    y = rng.poisson(np.exp(X[:, 20] - X[:, 30])).astype(float)
    weight = rng.uniform(0.5, 2, len(y))
    a, b = fit_both("MLPRegressor", (X, y), weight, loss="poisson", batch_size=len(y))
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(b.predict(X), a.predict(X), rtol=1e-4)
    with pytest.raises(ValueError, match="negative"):
        ours.MLPRegressor("poisson").fit(X, -y)


def test_sparse_input_trains_as_dense():
    X, y = digits(150)
    X[X < 0.5] = 0
    a, b = fit_both("MLPClassifier", (sp.csr_matrix(X), y), hidden_layer_sizes=(10,))
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(b.predict_proba(sp.csc_matrix(X)), b.predict_proba(X), atol=1e-12)


def test_partial_fit_goes_on():
    X, y = digits()
    models = [
        library.MLPClassifier((10,), random_state=np.random.RandomState(0))
        for library in (theirs, ours)
    ]
    for model in models:
        for start in range(0, 400, 100):
            batch = slice(start, start + 100)
            model.partial_fit(X[batch], y[batch], classes=range(10))
    a, b = models
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-5)
    assert b.t_ == a.t_
    assert_same(a, b, rtol=1e-3)


def test_float32_stays_float32():
    X, y = digits(dtype=np.float32)
    a, b = fit_both("MLPClassifier", (X, y))
    assert {w.dtype for w in b.coefs_ + b.intercepts_} == {np.dtype(np.float32)}
    assert b.predict_proba(X).dtype == a.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-3)


@pytest.mark.parametrize(
    ("params", "fit", "match"),
    [
        ({"hidden_layer_sizes": (10, -1)}, None, "hidden_layer_sizes must be > 0, got"),
        ({"max_iter": 0}, None, "'max_iter' parameter of MLPClassifier must be an int in"),
        ({"solver": "newton"}, None, "'solver' parameter of MLPClassifier must be a str among"),
    ],
)
def test_errors_are_scikit_learns(params, fit, match):
    for library in (theirs, ours):
        with pytest.raises(ValueError, match=match):
            library.MLPClassifier(**params).fit(*digits())


def test_warnings_are_scikit_learns():
    X, y = digits(50)
    for library in (theirs, ours):
        with pytest.warns(
            ConvergenceWarning, match=r"Maximum iterations \(1\) reached and the opt"
        ):
            library.MLPClassifier(max_iter=1).fit(X, y)
        with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than"):
            library.MLPClassifier(batch_size=60, max_iter=1).fit(X, y)


def test_verbose_prints_scikit_learns_lines(capsys):
    X, y = digits(100)
    printed = []
    for library in (theirs, ours):
        library.MLPClassifier((4,), max_iter=3, verbose=True, random_state=0).fit(X, y)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", PAIRS)
def test_there_are_no_scores_without_validation_data(name):
    X, y = data_for(name)
    for params, known in [
        ({}, {}),
        ({"solver": "lbfgs"}, {}),
        ({"early_stopping": True}, {}),
        ({}, {"X_val": X[:50], "y_val": y[:50]}),
    ]:
        model = getattr(ours, name)(hidden_layer_sizes=(4,), max_iter=3, random_state=0, **params)
        model.fit(X[:200], y[:200], **known)
        scores = [model.validation_scores_, model.validation_loss_curve_]
        if params.get("early_stopping") or known:
            assert [len(curve) for curve in scores] == [3, 3]
            assert model.best_validation_score_ == max(scores[0])
        else:
            assert [*scores, model.best_validation_score_] == [None] * 3
            assert model.best_loss_ is not None or params
    model.set_params(warm_start=True).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert len(model.validation_scores_) == 6


@pytest.mark.parametrize(
    ("n", "fraction", "part"), [(2, 0.1, "val"), (3, 0.1, "val"), (6, 0.8, "train")]
)
def test_too_few_samples_to_split(n, fraction, part):
    X, y = data_for("MLPRegressor")
    libraries = (theirs, ours) if n == 2 and NEW else (ours,)
    for library in libraries:
        model = library.MLPRegressor(early_stopping=True, validation_fraction=fraction)
        with pytest.raises(ValueError, match=f"The {part}[a-z]+ set is too small. (In|De)crease"):
            model.fit(X[:n], y[:n])


@pytest.mark.parametrize("library", [theirs, ours], ids=["sklearn", "gradlite"])
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_weights_can_be_assigned_to(library, normalization):
    X, y = digits(100)
    params = {"normalization": normalization} if library is ours and normalization else {}
    model = library.MLPClassifier((4,), max_iter=2, random_state=0, **params).fit(X, y)
    other = library.MLPClassifier((4,), max_iter=2, random_state=1, **params).fit(X, y)
    expected = other.predict_proba(X) if not params else None
    model.coefs_[0] = other.coefs_[0].copy()
    model.coefs_[-1] = other.coefs_[1].copy()
    model.intercepts_ = [b.copy() for b in other.intercepts_]
    for a, b in zip(
        model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    if expected is not None:
        np.testing.assert_array_equal(model.predict_proba(X), expected)
    model.coefs_[0] *= 2
    np.testing.assert_array_equal(model.coefs_[0], 2 * other.coefs_[0])


def test_weights_of_another_shape_are_refused():
    X, y = digits(100)
    model = ours.MLPClassifier((4,), max_iter=2).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match=r"shape \(4,\) for weights of shape \(64, 4\)"):
        model.coefs_[0] = np.zeros(4)
    with pytest.raises(ValueError, match="shorter"):
        model.intercepts_ = [np.zeros(4)]
    with pytest.raises(AttributeError, match="not fitted"):
        ours.MLPClassifier().coefs_ = []
    np.testing.assert_array_equal(model.coefs_[0].shape, (64, 4))
    assert model.predict_proba(X).shape == before.shape


def test_weights_can_be_changed_through_coefs():
    X, y = digits(100)
    model = ours.MLPClassifier((4,), max_iter=2).fit(X, y)
    for array in model.coefs_ + model.intercepts_:
        array[...] = 0
    np.testing.assert_allclose(model.predict_proba(X), 0.1)
