"""NetClassifier and NetRegressor: the network is the user's, and stays so."""

import functools
import inspect
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV

import gradlite as gl
from gradlite import NetClassifier, NetRegressor, nn
from gradlite.errors import ShapeError

X, y = load_iris(return_X_y=True)
QUICK = {"learning_rate_init": 0.02, "max_iter": 40, "random_state": 0}


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def build(in_features, out_features, width=16, activation=nn.Tanh):
    return nn.Sequential(
        nn.Linear(in_features, width), activation(), nn.Linear(width, out_features)
    )


class Net(nn.Module):
    def __init__(self, in_features, out_features, width=8):
        self.hidden = nn.Linear(in_features, width)
        self.out = nn.Linear(width, out_features)

    def forward(self, x):
        return self.out(gl.relu(self.hidden(x)))


def weights(model):
    return np.concatenate([p.data.ravel() for p in model.module_.parameters()])


@pytest.mark.parametrize(
    "module",
    [None, build, Net, functools.partial(build, width=4), lambda: build(4, 3), build(4, 3)],
    ids=["default", "function", "class", "partial", "lambda", "instance"],
)
def test_every_way_to_give_a_network_trains(module):
    model = NetClassifier(module, **QUICK).fit(X, y)
    assert model.score(X, y) > 0.9
    assert isinstance(model.module_, nn.Module)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_a_given_network_is_copied_weights_and_all():
    net = build(4, 3)
    before = {name: array.copy() for name, array in net.state_dict().items()}
    model = NetClassifier(net, learning_rate_init=1e-12, max_iter=1, random_state=0).fit(X, y)
    assert model.module is net
    for name, array in net.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_allclose(model.module_.state_dict()[name], before[name], atol=1e-10)
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters_stay():
    net = build(4, 3)
    net[0].requires_grad_(False)
    before = net[0].weight.data.copy()
    model = NetClassifier(net, alpha=1.0, **QUICK).fit(X, y)
    np.testing.assert_array_equal(model.module_[0].weight.data, before)
    assert np.abs(model.module_[2].weight.data - net[2].weight.data).max() > 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_builder_gets_what_it_has_parameters_for(dtype):
    given = {}

    def builder(in_features, out_features, dtype, rng, depth=1):
        given.update(locals())
        return nn.Linear(in_features, out_features, dtype=dtype, rng=rng)

    model = NetClassifier(builder, module__depth=3, max_iter=2, random_state=0)
    model.fit(X.astype(dtype), y)
    assert isinstance(given.pop("rng"), np.random.Generator)
    assert given == {
        "in_features": 4,
        "out_features": 3,
        "dtype": dtype,
        "depth": 3,
        "given": given,
    }
    assert model.predict_proba(X.astype(dtype)).dtype == dtype


class Named(nn.Module):
    def __init__(self, n_in, n_out):
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.linear(x)


@pytest.mark.parametrize(
    ("builder", "missing"),
    [
        (lambda n_in, n_out: nn.Linear(n_in, n_out), "n_in"),
        (lambda in_features, outputs: nn.Linear(in_features, outputs), "outputs"),
        (lambda in_features, out_features, *, width: nn.Linear(in_features, out_features), "width"),
        (Named, "n_in"),
        (functools.partial(Named, n_in=4), "n_out"),
    ],
)
@pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])
def test_a_builder_that_needs_something_else_is_told_the_names(kind, builder, missing):
    with pytest.raises(TypeError, match=f"needs '{missing}'.*in_features, out_features") as caught:
        kind(builder, **QUICK).fit(X, y)
    assert f"module__{missing}=..." in str(caught.value)
    outputs = 3 if kind is NetClassifier else 1
    known = {"n_in": 4, "n_out": outputs, "outputs": outputs, "width": 1}
    names = inspect.signature(builder).parameters
    own = {f"module__{name}": value for name, value in known.items() if name in names}
    kind(builder, **own, **QUICK).fit(X, y)


class Ignores(nn.Module):
    """A network whose outputs do not depend on its weights, or not on the tape."""

    def __init__(self, output):
        self.linear = nn.Linear(4, 3)
        self.output = output

    def forward(self, x):
        return self.output(self, x)


@pytest.mark.parametrize("arguments", [{}, {"solver": "lbfgs"}, {"standardize": True}])
@pytest.mark.parametrize(
    "output",
    [
        lambda self, x: np.zeros((len(x), 3)),
        lambda self, x: gl.Tensor(np.zeros((len(x), 3))),
        lambda self, x: x[:, :3],
        lambda self, x: self.linear(x).detach(),
        lambda self, x: self.linear(x).data,
        lambda self, x: gl.Tensor(self.linear(x).data) * 2,
    ],
    ids=["constant", "constant Tensor", "input", "detached", "data", "from data"],
)
@pytest.mark.parametrize(("kind", "target"), [(NetClassifier, y), (NetRegressor, np.eye(3)[y])])
def test_outputs_that_do_not_depend_on_the_weights_are_refused(kind, target, output, arguments):
    model = kind(Ignores(output), **QUICK, **arguments)
    with pytest.raises(ValueError, match="output of Ignores does not depend on its parameters"):
        model.fit(X, target)
    with pytest.raises(NotFittedError):
        model.predict(X)


class Turned(nn.Module):
    """A network whose outputs come in some memory layout."""

    def __init__(self, in_features, out_features, rng, layout):
        self.hidden = nn.Linear(in_features, 8, rng=rng)
        self.last = nn.Linear(8, out_features, bias=False, rng=rng)
        self.layout = layout

    def forward(self, x):
        x, w = np.tanh(self.hidden(x)), self.last.weight
        if self.layout == "transposed":
            return (w @ x.T).T
        if self.layout == "stacked":
            return np.stack([x @ w[i] for i in range(len(w))]).T
        if self.layout == "strided":
            return np.repeat(x @ w.T, 2, axis=1)[:, ::2]
        if self.layout == "reversed":
            return (x @ w[::-1].T)[:, ::-1]
        return x @ w.T


@pytest.mark.parametrize("layout", ["transposed", "stacked", "strided", "reversed"])
@pytest.mark.parametrize("targets", ["classes", "two classes", "labels", "numbers", "quantiles"])
def test_outputs_in_any_memory_layout_are_learned_from_alike(layout, targets):
    kind = NetRegressor if targets in ("numbers", "quantiles") else NetClassifier
    goal = {"two classes": y > 0, "labels": (y[:, None] == range(3)).astype(int)}.get(targets, y)
    params = {"loss": "quantile"} if targets == "quantiles" else {}
    models = [
        kind(Turned, module__layout=name, **params, **QUICK).fit(X, goal)
        for name in ("plain", layout)
    ]
    np.testing.assert_allclose(weights(models[1]), weights(models[0]), rtol=1e-6, atol=1e-8)
    assert models[1].score(X, goal) > {"classes": 0.8, "two classes": 0.9}.get(targets, 0.3)


def test_a_builder_may_take_anything():
    model = NetClassifier(lambda *args, **known: nn.Linear(4, 3, **known), module__bias=False)
    assert model.set_params(**QUICK).fit(X, y).module_.bias is None


def test_a_builder_without_rng_is_reproducible():
    one, two = (NetClassifier(build, max_iter=2, random_state=1).fit(X, y) for _ in range(2))
    other = NetClassifier(build, max_iter=2, random_state=2).fit(X, y)
    np.testing.assert_array_equal(weights(one), weights(two))
    assert np.abs(weights(one) - weights(other)).max() > 0.01


def test_an_explicit_parameter_replaces_what_would_be_offered():
    def trunk(in_features, out_features):
        return nn.Linear(in_features, out_features)

    with pytest.raises(ShapeError, match=r"shape \(2, 5\).*out_features=3"):
        NetClassifier(trunk, module__out_features=5, max_iter=1).fit(X, y)


def test_parameters_of_the_network_are_parameters():
    model = NetClassifier(build, module__width=7, alpha=0.1)
    assert model.get_params()["module__width"] == 7
    assert "module__width=7" in repr(model)
    model.set_params(module__width=5, module__activation=nn.ReLU, alpha=0.2)
    copy = clone(model)
    assert copy.module__width == 5
    assert copy.module__activation is nn.ReLU
    assert copy.alpha == 0.2
    assert copy.set_params(max_iter=1).fit(X, y).module_[0].weight.shape == (5, 4)


def test_a_search_over_the_network():
    search = GridSearchCV(
        NetClassifier(build, **QUICK),
        {"module__width": [1, 12], "module__activation": [nn.ReLU, nn.Tanh]},
        cv=3,
    ).fit(X, y)
    assert search.best_params_["module__width"] == 12
    assert search.best_score_ > 0.9


def nonsense(in_features):
    return "a network"


def empty():
    return nn.ReLU()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"module": build, "module__widht": 3}, ValueError, "module__widht: build has no.*width"),
        ({"module": functools.partial(build), "module__w": 3}, ValueError, "module__w: .*width"),
        ({"module": build(4, 3), "module__width": 3}, ValueError, "finished one"),
        ({"module": nonsense}, TypeError, "module=nonsense built a str, not a Module"),
        ({"module": lambda: Net}, TypeError, "built a type, not a Module"),
        ({"module": empty}, ValueError, "no parameters to train"),
        ({"module": build(4, 2)}, ShapeError, r"shape \(2, 2\).*needs \(2, 3\)"),
        ({"module": build(5, 3)}, ShapeError, "5"),
        ({"module": nn.Module}, ValueError, "no parameters to train"),
        ({"module": 3}, ValueError, "'module' parameter of NetClassifier must be"),
    ],
)
def test_what_is_no_network_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        NetClassifier(max_iter=1, random_state=0, **arguments).fit(X, y)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'width'.*module__"):
        NetClassifier(build, width=3)
    with pytest.raises(ValueError, match="Invalid parameter 'width'"):
        NetClassifier(build).set_params(width=3)


def test_a_refused_network_is_not_gone_on_with():
    model = NetClassifier(build(4, 2), warm_start=True, **QUICK)
    with pytest.raises(ShapeError):
        model.fit(X, y)
    assert model.set_params(module=build(4, 3)).fit(X, y).score(X, y) > 0.9


def test_regression_with_one_target_and_several():
    X, y = load_diabetes(return_X_y=True)
    model = NetRegressor(build, standardize=True, **QUICK).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.5
    Y = np.column_stack([y, -y])
    assert NetRegressor(build, standardize=True, **QUICK).fit(X, Y).score(X, Y) > 0.5
    with pytest.raises(ShapeError, match=r"outputs of shape \(2,\).*needs \(2, 1\)"):
        NetRegressor(Flat, max_iter=1).fit(X, y)


class Flat(Net):
    def forward(self, x):
        return super().forward(x)[:, 0]


def test_quantiles_ask_for_more_outputs():
    model = NetRegressor(build, "quantile", quantiles=[0.1, 0.9], max_iter=2, random_state=0)
    model.fit(X[:, :3], X[:, 3])
    assert model.n_outputs_ == 2
    assert model.predict_interval(X[:, :3], 0.8).shape == (150, 2)


class Convolutions(nn.Module):
    def __init__(self, out_features, channels=8):
        self.conv = nn.Conv2d(1, channels, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(channels * 16, out_features)

    def forward(self, x):
        x = gl.relu(self.conv(x.reshape(-1, 1, 8, 8)))
        return self.out(self.pool(x).reshape(len(x), -1))


def test_a_convolutional_network_reads_digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    model = NetClassifier(Convolutions, learning_rate_init=0.01, max_iter=15, random_state=0)
    assert model.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]) > 0.9
    assert model.predict_gradient(X[:5]).shape == (5, 10, 64)


def test_dropout_and_batch_norm_are_off_in_use():
    def noisy(in_features, out_features):
        return nn.Sequential(
            nn.Linear(in_features, 8),
            nn.BatchNorm1d(8),
            nn.Dropout(0.5),
            nn.Linear(8, out_features),
        )

    model = NetClassifier(noisy, **QUICK).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X[:1]), model.predict_proba(X)[:1])
    again = NetClassifier(noisy, **QUICK).fit(X, y)
    np.testing.assert_array_equal(weights(model), weights(again))


def test_lbfgs_refuses_a_network_with_noise():
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"without noise, and this network has a Dropout\(0.5\)"):
        NetClassifier(network, solver="lbfgs").fit(X, y)
    NetClassifier(network, solver="adam", max_iter=1, tol=1).fit(X, y)
