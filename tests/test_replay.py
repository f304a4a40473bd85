"""Replay: the same numbers as the tape, bit for bit, and refused where that is not sure."""

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetClassifier, nn
from gradlite.estimators import _fitting
from gradlite.estimators._objectives import mean_cross_entropy
from gradlite.optim import SGD
from gradlite.training.loop import Trainer
from gradlite.training.replay import NotStaticError, Replay, is_static
from tests.helpers import unaddressed

X, LABELS = make_moons(70, noise=0.2, random_state=0)  # batches of 32: the last has another shape
TARGET = X @ [1.0, -2.0] + X[:, 0] ** 2


@pytest.fixture
def records(monkeypatch):
    """What each fit has recorded."""
    kept = []

    class Kept(Trainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            kept.append(self.records)

    monkeypatch.setattr(_fitting, "Trainer", Kept)
    return kept


def fitted(kind, y, settings, **fit):
    model = kind(
        **{"hidden_layer_sizes": (5, 4), "batch_size": 32, "max_iter": 4, "random_state": 0}
        | settings
    )
    return model.fit(X, y, **fit)


def same(a, b):
    assert a.loss_curve_ == b.loss_curve_
    for p, q in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(p, q)


ACTIVATIONS = [
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
]
REGRESSIONS = ["squared_error", "absolute_error", "huber", "gaussian_nll"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("kind", "y", "settings"),
    [
        *((MLPClassifier, LABELS, {"activation": name}) for name in ACTIVATIONS),
        (MLPClassifier, LABELS + (X[:, 0] > 1), {"solver": "sgd", "momentum": 0.5}),
        (MLPClassifier, LABELS, {"normalization": "layer", "max_grad_norm": 0.1}),
        (MLPClassifier, LABELS, {"solver": "lbfgs"}),
        (MLPClassifier, np.c_[LABELS, 1 - LABELS], {}),
        *((MLPRegressor, abs(TARGET), {"loss": name}) for name in REGRESSIONS),
        (MLPRegressor, np.c_[TARGET, X], {}),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else f"{case}"[:30],
)
def test_a_fit_is_the_same_with_and_without(kind, y, settings, records, monkeypatch):
    replayed = fitted(kind, y, settings)
    assert records[0]
    assert all(isinstance(replay, Replay) for replay in records[0].values())
    monkeypatch.setattr(_fitting, "is_static", lambda module: False)
    same(replayed, fitted(kind, y, settings))
    assert not records[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("settings", "fit"),
    [
        ({"dropout": 0.2}, {}),
        ({"normalization": "batch"}, {}),
        ({"activation": np.tanh}, {}),
        ({"loss": lambda z, t: gl.cross_entropy(z, t)}, {}),
        ({"loss": "hinge"}, {}),
        ({}, {"sample_weight": np.linspace(0.5, 1, 70)}),
        ({"class_weight": "balanced"}, {}),
    ],
    ids=unaddressed,
)
def test_what_may_be_something_else_for_the_next_batch_is_not_replayed(settings, fit, records):
    fitted(MLPClassifier, LABELS, settings, **fit)
    assert not any(records[0].values())


class Meddler:
    """A callback that changes the network after the second epoch."""

    def __init__(self, change):
        self.change = change

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.parent is not None and estimator.n_iter_ == 2:
            self.change(estimator._module)


def freeze(module):
    module[0].weight.requires_grad = False


def assign(module):
    module[2].bias.data = np.full(4, 0.5)


def exchange(module):
    setattr(module, "1", nn.Tanh())


def halve(module):
    module[0].weight.register_hook(lambda g: g / 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("change", [freeze, assign, exchange, halve])
def test_a_callback_may_change_the_network(change, monkeypatch):
    settings = {"callbacks": [Meddler(change)]}
    replayed = fitted(MLPClassifier, LABELS, settings)
    unchanged = fitted(MLPClassifier, LABELS, {})
    assert replayed.loss_curve_[2:] != unchanged.loss_curve_[2:]
    monkeypatch.setattr(_fitting, "is_static", lambda module: False)
    same(replayed, fitted(MLPClassifier, LABELS, settings))


def test_networks_of_ones_own_are_not_static_even_if_they_look_so():
    class Mine(nn.Sequential):
        def forward(self, x):
            return super().forward(x)

    net = nn.Sequential(nn.Linear(2, 2))
    assert is_static(net)
    assert not is_static(Mine(nn.Linear(2, 2)))
    net.forward = lambda x: x
    assert not is_static(net)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_of_layers_is_replayed_in_net_classifier(records):
    def build(in_features, out_features):
        rng = np.random.default_rng(0)
        body = nn.Residual(nn.Linear(in_features, in_features, rng=rng), nn.GELU())
        return nn.Sequential(body, nn.Linear(in_features, out_features, rng=rng))

    NetClassifier(build, max_iter=2, batch_size=32, random_state=0).fit(X, LABELS)
    assert all(records[0].values())


def graph(x, W, b):
    """One weight used twice, an input used twice, and the log of zeros that nobody wants."""
    h = gl.relu(gl.affine(x, W, b)) + x
    return np.mean(gl.relu(np.log(gl.relu(h @ W))) * x)


@pytest.fixture
def leaves():
    rng = np.random.default_rng(1)
    return [gl.Tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 3), (3,))]


@np.errstate(divide="ignore")
def test_any_graph_can_be_replayed(leaves):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 5, 3))
    replay = Replay(graph(x, *leaves), (x,))
    leaves[0].data *= 0.9
    loss = replay(y)
    grads = [p.grad.copy() for p in leaves]
    for p in leaves:
        p.zero_grad()
    expected = graph(y, *leaves)
    expected.backward()
    assert loss == expected.data
    for p, grad in zip(leaves, grads, strict=True):
        np.testing.assert_array_equal(grad, p.grad)
    replay(y)  # adds to what is there, as backward does
    np.testing.assert_allclose(leaves[0].grad, 2 * grads[0])


@np.errstate(divide="ignore")
def test_arrays_computed_from_the_inputs_are_refused(leaves):
    x = np.ones((5, 3))
    with pytest.raises(NotStaticError):
        Replay(graph(x, *leaves), (np.ones((5, 3)),))
    with pytest.raises(NotStaticError):
        Replay(np.mean(gl.affine(x, *leaves)[np.array([0, 2])]), (x,))


def test_a_replayed_step_holds_no_more_than_the_tape():
    x, y = load_digits(return_X_y=True)
    x = np.tile(x / 16, (4, 1))
    y = np.tile(y, 4)
    peaks = []
    for static in (False, True):
        net = nn.Sequential(
            nn.Linear(64, 100, dtype=float),
            nn.ReLU(),
            nn.Linear(100, 100, dtype=float),
            nn.ReLU(),
            nn.Linear(100, 10, dtype=float),
        )
        trainer = Trainer(net, mean_cross_entropy, SGD(net.parameters()), static=static)
        trainer.step(x, y)
        tracemalloc.start()
        trainer.step(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        assert tracemalloc.get_traced_memory()[0] < 1e5  # and nothing stays
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
