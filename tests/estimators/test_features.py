"""What goes beyond scikit-learn's networks, by keyword."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import threadpoolctl
from sklearn.datasets import load_diabetes, load_iris, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, nn

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = {"max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def kinds(model):
    return [type(module).__name__ for module in model._network]


# -- layers -----------------------------------------------------------------------------------


def test_activation_dropout_and_normalization_for_each_layer():
    model = MLPClassifier(
        (8, 6, 5),
        activation=["relu", "tanh", gl.softplus],
        dropout=[0.1, 0, 0.3],
        normalization="batch",
        **QUICK,
    ).fit(X, y)
    assert kinds(model) == [
        *("Linear", "BatchNorm1d", "ReLU", "Dropout"),
        *("Linear", "BatchNorm1d", "Tanh"),
        *("Linear", "BatchNorm1d", "Activation", "Dropout"),
        "Linear",
    ]
    assert [m.p for m in model._network if isinstance(m, nn.Dropout)] == [0.1, 0.3]
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid"])
def test_activations_by_name(name):
    assert MLPClassifier((8,), name, **QUICK).fit(X, y).score(X, y) > 0.8


def test_layer_normalization_is_blind_to_the_scale_of_a_row():
    model = MLPClassifier((8,), "identity", normalization="layer", alpha=0, **QUICK).fit(X, y)
    hidden = model.hidden_activations(X)
    ours = (hidden - model._network[1].bias.data) / model._network[1].weight.data
    np.testing.assert_allclose(ours.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(ours.std(axis=1), 1, atol=1e-3)
    assert "BatchNorm1d" in kinds(model.set_params(normalization="batch").fit(X, y))


@pytest.mark.parametrize(
    "params",
    [
        {"activation": ["relu"]},
        {"activation": ["relu", "rleu"]},
        {"dropout": [0.1]},
        {"dropout": [0.1, 1.0]},
        {"dropout": ["a", 0.1]},
        {"dropout": -0.1},
        {"dropout": True},
        {"normalization": "group"},
        {"n_layers": -1},
        {"width": 0},
        {"dropout": 0.5, "solver": "lbfgs"},
    ],
    ids=str,
)
def test_layers_that_make_no_sense(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        MLPClassifier((8, 8), **params).fit(X, y)


def test_depth_and_width_as_numbers_to_search():
    grid = {"n_layers": [0, 2], "width": [3, 7]}
    search = GridSearchCV(MLPClassifier(**QUICK), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    shapes = {
        (n, w): [c.shape for c in MLPClassifier(n_layers=n, width=w, max_iter=1).fit(X, y).coefs_]
        for n, w in [(0, 3), (2, 7), (None, 5), (1, None)]
    }
    assert shapes == {
        (0, 3): [(4, 3)],
        (2, 7): [(4, 7), (7, 7), (7, 3)],
        (None, 5): [(4, 5), (5, 3)],
        (1, None): [(4, 100), (100, 3)],
    }


def test_dropout_works_in_training_only():
    model = MLPClassifier((50,), dropout=0.5, **QUICK).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    hidden = model.hidden_activations(X)
    np.testing.assert_allclose(
        hidden, np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0), atol=1e-12
    )


def test_hidden_activations_of_each_layer():
    model = MLPClassifier((8, 6), "tanh", standardize=True, **QUICK).fit(X * 10 + 3, y)
    h1 = np.tanh(StandardScaler().fit_transform(X) @ model.coefs_[0] + model.intercepts_[0])
    h2 = np.tanh(h1 @ model.coefs_[1] + model.intercepts_[1])
    np.testing.assert_allclose(model.hidden_activations(X * 10 + 3, 0), h1)
    np.testing.assert_allclose(model.hidden_activations(X * 10 + 3), h2)
    for sparse in (sp.csr_matrix(X), sp.csr_array(X), sp.coo_matrix(X)):
        np.testing.assert_array_equal(
            model.hidden_activations(X, -2), model.hidden_activations(sparse, 0)
        )
        np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(sparse))
    with pytest.raises(IndexError, match="layer 2 of a network with 2 hidden layers"):
        model.hidden_activations(X, 2)


# -- weights and scales -----------------------------------------------------------------------


def skewed():
    return make_classification(400, 5, weights=[0.95], class_sep=0.5, flip_y=0.02, random_state=1)


def test_class_weights_are_sample_weights():
    X, y = skewed()
    for given in ("balanced", {0: 0.5, 1: 4.0}):
        w = compute_class_weight(given, classes=np.array([0, 1]), y=y)
        one = MLPClassifier((8,), class_weight=given, **QUICK).fit(X, y)
        two = MLPClassifier((8,), **QUICK).fit(X, y, sample_weight=w[y])
        np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X))


def test_balanced_weights_find_the_rare_class():
    X, y = skewed()
    recall = [
        MLPClassifier((8,), class_weight=w, **QUICK).fit(X, y).predict(X)[y == 1].mean()
        for w in (None, "balanced")
    ]
    assert recall[0] < 0.5 < recall[1]


def test_class_weights_multiply_sample_weights_and_columns():
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, len(y))
    Y = np.column_stack([y, y == 1]).astype(int)
    given = {0: 3.0, 1: 2.0}
    expected = weight * np.array([3.0, 2.0, 1.0])[Y[:, 0]] * np.array([3.0, 2.0])[Y[:, 1]]
    one = MLPClassifier((8,), class_weight=given, **QUICK).fit(X, Y, weight)
    two = MLPClassifier((8,), **QUICK).fit(X, Y, expected)
    for p, q in zip(one.predict_proba(X), two.predict_proba(X), strict=True):
        np.testing.assert_allclose(p, q)


def test_class_weights_of_labels_multiply():
    Y = (y[:, None] == range(3)).astype(int)
    one = MLPClassifier((8,), class_weight={0: 3.0, 1: 2.0}, **QUICK).fit(X, Y)
    two = MLPClassifier((8,), **QUICK).fit(X, Y, np.where(Y, 2.0, 3.0).prod(axis=1))
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        (y, {7: 1.0}, r"\[7\].*not among the classes"),
        (y, {0: -1.0}, "not negative"),
        (y, {0: np.nan}, "finite"),
        (y, "even", "class_weight"),
    ],
)
def test_class_weights_that_make_no_sense(target, given, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=given).fit(X, target)


def test_raw_columns_train_with_standardize():
    X, y = make_regression(300, 6, n_informative=4, noise=1.0, random_state=0)
    X, y = X * 1e3 + 5e3, y / y.std() * 1e4 + 1e5
    params = {"max_iter": 200, "random_state": 0, "learning_rate_init": 0.01}
    assert MLPRegressor(hidden_layer_sizes=(32,), **params).fit(X, y).score(X, y) < 0.5
    model = MLPRegressor(hidden_layer_sizes=(32,), standardize=True, **params).fit(X, y)
    assert model.score(X, y) > 0.9
    assert abs(model.predict(X).mean() - 1e5) < 1e3


def test_standardizing_inside_is_standardizing_outside():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:200] * 50 + 7, y[:200]
    outside = StandardScaler().fit_transform(X)
    one = MLPRegressor(standardize=True, hidden_layer_sizes=(8,), **QUICK).fit(X, y)
    two = MLPRegressor(hidden_layer_sizes=(8,), **QUICK).fit(outside, (y - y.mean()) / y.std())
    np.testing.assert_allclose(one.predict(X), two.predict(outside) * y.std() + y.mean())
    np.testing.assert_allclose(one.loss_curve_, two.loss_curve_)


def test_sparse_columns_are_scaled_and_stay_sparse():
    X = sp.random_array((200, 20), density=0.1, rng=np.random.default_rng(0), format="csr") * 1e4
    y = np.asarray(X.sum(axis=1)).ravel()
    model = MLPRegressor(standardize=True, hidden_layer_sizes=(16,), **QUICK).fit(X, y)
    assert model.score(X, y) > 0.8
    np.testing.assert_allclose(model.predict(X), model.predict(X.toarray()))


def test_long_gradients_are_shortened():
    data = X * 100, y
    free, held = (
        MLPClassifier((8,), solver="sgd", momentum=0, max_grad_norm=norm, batch_size=150,
                      learning_rate_init=1.0, alpha=0, max_iter=1, random_state=0).fit(*data)
        for norm in (None, 0.01)
    )  # fmt: skip
    start = MLPClassifier(
        (8,), solver="sgd", learning_rate_init=1e-300, batch_size=150, max_iter=1, random_state=0
    ).fit(*data)
    moved = [
        np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(m.coefs_ + m.intercepts_,
                start.coefs_ + start.intercepts_, strict=True))) for m in (free, held)
    ]  # fmt: skip
    assert moved[0] > 1
    assert moved[1] == pytest.approx(0.01)


def test_n_threads_holds_during_the_fit_only():
    def threads():
        return [
            p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"
        ]

    seen = []

    def watching(x):
        seen.append(threads())
        return gl.relu(x)

    before = threads()
    MLPClassifier((8,), watching, n_threads=1, max_iter=1, random_state=0).fit(X, y)
    assert threads() == before
    assert set(seen[0]) == {1}


# -- targets ----------------------------------------------------------------------------------


def test_several_columns_of_classes():
    Y = np.column_stack([np.array(["a", "b", "c"])[y], np.where(y == 1, "mid", "end")])
    model = MLPClassifier((16,), **QUICK).fit(X, Y)
    assert [c.tolist() for c in model.classes_] == [["a", "b", "c"], ["end", "mid"]]
    assert model.predict(X).shape == (150, 2)
    assert model.score(X, Y) > 0.9
    first, second = model.predict_proba(X)
    assert first.shape == (150, 3)
    assert second.shape == (150, 2)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[0][first.argmax(axis=1)], model.predict(X)[:, 0])
    logs = model.predict_log_proba(X)
    np.testing.assert_allclose(np.exp(logs[1]), second)


def test_several_labels_a_sample():
    Y = np.column_stack([y == 0, y != 1, y == 2]).astype(int)
    model = MLPClassifier((16,), **QUICK).fit(X, Y)
    assert model.score(X, Y) > 0.85
    proba = model.predict_proba(X)
    assert proba.shape == (150, 3)
    np.testing.assert_array_equal(model.predict(X), proba > 0.5)
    sparse = MLPClassifier((16,), **QUICK).fit(X, sp.csr_matrix(Y))
    np.testing.assert_array_equal(sparse.predict_proba(X), proba)
    assert sparse.score(X, sp.csr_matrix(Y)) == model.score(X, Y)
