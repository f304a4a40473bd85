"""Compiled steps: the numbers of the tape, bit for bit, and the tape where that is not sure."""

import numpy as np
import pytest
from sklearn.datasets import make_moons

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetClassifier, nn
from gradlite.estimators import _fitting
from gradlite.optim import SGD, Adam
from gradlite.training.loop import Trainer
from gradlite.training.program import StepProgram
from tests.helpers import unaddressed

X, LABELS = make_moons(70, noise=0.2, random_state=0)  # batches of 32: the last has another shape
TARGET = X @ [1.0, -2.0] + X[:, 0] ** 2
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def trainers(monkeypatch):
    """The trainer of each fit; programs are traced for the first batch of a kind."""
    kept = []

    class Kept(Trainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs, patience=self.batches)
            kept.append(self)

        batches = 0

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
    for (name, p), (_, q) in zip(
        a._module._state().items(), b._module._state().items(), strict=True
    ):
        np.testing.assert_array_equal(p, q, err_msg=name)


def on_tape(monkeypatch):
    monkeypatch.setattr(Trainer, "_program", lambda *batch: None)


ACTIVATIONS = [
    "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus",
]  # fmt: skip
REGRESSIONS = ["squared_error", "absolute_error", "huber", "gaussian_nll", "quantile", "poisson"]


class Gated(nn.Module):
    """A module of one's own, with a generator, a buffer and a choice that depends on numbers."""

    def __init__(self, in_features, out_features):
        self.body = nn.Linear(in_features, 8, rng=np.random.default_rng(0))
        self.head = nn.Linear(8, out_features, rng=np.random.default_rng(1))
        self.rng = np.random.default_rng(2)
        self.register_buffer("seen", np.zeros(8, np.float32))

    def forward(self, x):
        h = np.tanh(self.body(x))
        if self.training:
            h = h * (1 + 0.1 * self.rng.standard_normal(h.shape, np.float32))
            self.seen += np.mean(h.detach().data, axis=0)
        if np.mean(h.detach().data) > 0.02:
            h = h * 0.5
        return self.head(h)


@pytest.mark.parametrize(
    ("kind", "y", "settings", "fit"),
    [
        *((MLPClassifier, LABELS, {"activation": name}, {}) for name in ACTIVATIONS),
        (MLPClassifier, LABELS + (X[:, 0] > 1), {"solver": "sgd", "momentum": 0.5}, {}),
        (MLPClassifier, LABELS, {"normalization": "layer", "max_grad_norm": 0.1}, {}),
        (MLPClassifier, LABELS, {"normalization": "batch"}, {}),
        (MLPClassifier, LABELS, {"dropout": 0.2}, {}),
        (MLPClassifier, LABELS, {"normalization": "batch", "dropout": 0.2, "loss": "hinge"}, {}),
        (MLPClassifier, LABELS, {"solver": "lbfgs"}, {}),
        (MLPClassifier, np.c_[LABELS, 1 - LABELS], {}, {}),
        (MLPClassifier, LABELS, {"class_weight": "balanced"}, {}),
        (MLPClassifier, LABELS, {}, {"sample_weight": np.linspace(0.5, 1, 70)}),
        *((MLPRegressor, abs(TARGET), {"loss": name}, {}) for name in REGRESSIONS),
        (MLPRegressor, np.c_[TARGET, X], {}, {}),
    ],
    ids=unaddressed,
)
def test_a_fit_is_the_same_with_and_without(kind, y, settings, fit, trainers, monkeypatch):
    compiled = fitted(kind, y, settings, **fit)
    assert trainers[0].programs
    assert all(trainers[0].programs.values()), trainers[0].why
    assert not trainers[0].why
    on_tape(monkeypatch)
    same(compiled, fitted(kind, y, settings, **fit))


SHARE = 0.1


def smoothed(z, t, share=SHARE):
    return gl.cross_entropy(z, t, label_smoothing=share)


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": lambda x: np.tanh(x)},
        {"loss": lambda z, t: gl.cross_entropy(z, t)},
        {"loss": lambda z, t: smoothed(z, t) * (1 + SHARE)},
    ],
)
def test_plain_functions_of_ones_own(settings, trainers, monkeypatch):
    compiled = fitted(MLPClassifier, LABELS, settings)
    assert all(trainers[0].programs.values()), trainers[0].why
    assert trainers[0].programs
    on_tape(monkeypatch)
    same(compiled, fitted(MLPClassifier, LABELS, settings))


def test_a_module_of_ones_own(trainers, monkeypatch):
    settings = {"max_iter": 12, "batch_size": 8, "random_state": 0}
    compiled = NetClassifier(Gated, **settings).fit(X, LABELS)
    assert any(trainers[0].programs.values()), trainers[0].why
    on_tape(monkeypatch)
    same(compiled, NetClassifier(Gated, **settings).fit(X, LABELS))


class Counting(nn.Sequential):
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x) / self.calls


class Logging(nn.Sequential):
    def forward(self, x):
        vars(self).setdefault("log", []).append(1)
        return super().forward(x)


class Reading(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * float(np.mean(x) > 0)


class Drawing(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + np.random.normal()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Counting, "refers to changes when it is called: calls"),
        (Logging, "refers to changes when it is called: log"),
        (Reading, r"float\(\)"),
        (Drawing, "draws random numbers"),
    ],
)
def test_what_may_be_something_else_for_the_next_batch_stays_on_the_tape(
    kind, why, trainers, capsys, monkeypatch
):
    monkeypatch.setattr(_fitting, "is_known", lambda module: True)

    def build(in_features, out_features):
        return kind(nn.Linear(in_features, out_features, rng=np.random.default_rng(0)))

    NetClassifier(build, max_iter=2, random_state=0, verbose=True).fit(X, LABELS)
    assert not any(trainers[0].programs.values())
    assert why.replace("\\", "") in trainers[0].why
    assert capsys.readouterr().out.count("Training is not compiled: ") == 1


class Annealed:
    def __init__(self):
        self.calls = 0

    def __call__(self, z, t):
        self.calls += 1
        return gl.mse(z, t) / self.calls


def annealed_by_closure():
    state = {"calls": 0}

    def loss(z, t):
        state["calls"] += 1
        return gl.mse(z, t) / state["calls"]

    return loss


def annealed_by_name():
    calls = 0

    def loss(z, t):
        nonlocal calls
        calls += 1
        return gl.mse(z, t) / calls

    return loss


@pytest.mark.parametrize("make", [Annealed, annealed_by_closure, annealed_by_name])
def test_a_loss_that_counts_stays_on_the_tape(make):
    losses = []
    for compiled in (True, False):
        net = nn.Linear(2, 1, rng=np.random.default_rng(0))
        loss = make()
        step = gl.compile_step(net, loss, SGD(net.parameters(), lr=0.1))
        step._trainer.compiled = compiled
        losses.append([step(X, TARGET[:, None]) for _ in range(4)])
        assert ("changes when it is called: " in step.why) is compiled
    assert losses[0] == losses[1]


def test_a_program_is_traced_once_it_pays(trainers, monkeypatch):
    monkeypatch.setattr(_fitting.Trainer, "batches", 3)
    fitted(MLPClassifier, LABELS, {"max_iter": 3})
    assert len(trainers[0].programs) == 1  # six batches of 32 rows, three of 6


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


@pytest.mark.parametrize("change", [freeze, assign, exchange, halve])
def test_a_callback_may_change_the_network(change, trainers, monkeypatch):
    settings = {"callbacks": [Meddler(change)]}
    compiled = fitted(MLPClassifier, LABELS, settings)
    unchanged = fitted(MLPClassifier, LABELS, {})
    assert compiled.loss_curve_[2:] != unchanged.loss_curve_[2:]
    on_tape(monkeypatch)
    same(compiled, fitted(MLPClassifier, LABELS, settings))


# -- the program itself -----------------------------------------------------------------------


def squared(z, t, w):
    return gl.mse(z, t, sample_weight=w)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parameters_are_read_and_gradients_written_where_they_are(dtype):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).astype(dtype)
    optimizer = Adam(net.parameters())
    x, y = np.ones((5, 3), dtype), np.zeros((5, 2), dtype)
    program = StepProgram(net, squared, optimizer, (x, y, None))
    for _ in range(3):
        assert program.run(x, y, None)
        gradients = [p.grad.copy() for p in net.parameters()]
        optimizer.zero_grad()
        expected = squared(net(x), y, None)
        expected.backward()
        assert program.loss == float(expected.data)
        for p, g in zip(net.parameters(), gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g)
        optimizer.step()
        optimizer.zero_grad()


def test_parameters_with_one_gradient_and_with_a_constant_one():
    class Twice(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)
            self.offset = nn.Parameter(np.zeros(2))

        def forward(self, x):
            return self.a(x) + self.b(x) + self.offset

    def total(z, t, w):
        return np.sum(z)

    net = Twice()
    optimizer = SGD(net.parameters())
    x, y = np.ones((5, 3), np.float32), np.zeros((5, 2), np.float32)
    for loss in (squared, total):
        StepProgram(net, loss, optimizer, (x, y, None)).run(x, y, None)
        gradients = [p.grad.copy() for p in net.parameters()]
        optimizer.zero_grad()
        loss(net(x), y, None).backward()
        for p, g in zip(net.parameters(), gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g)
        optimizer.zero_grad()


class Reversed(nn.Linear):
    """Whose gradient is put together of parts."""

    def forward(self, x):
        half = np.concatenate([self.weight[::-1, :1], self.weight[:, 1:]], axis=1)
        return x @ half.T + self.bias[::-1]


def test_gradients_that_are_written_in_parts():
    net = Reversed(3, 600)
    optimizer = SGD(net.parameters(), lr=0.1)
    x, y = np.ones((5, 3), np.float32), np.zeros((5, 600), np.float32)
    program = StepProgram(net, squared, optimizer, (x, y, None))
    for factor in (1, 2, 3):
        assert program.run(x * factor, y, None)
        gradients = [p.grad.copy() for p in net.parameters()]
        optimizer.zero_grad()
        squared(net(x * factor), y, None).backward()
        for p, g in zip(net.parameters(), gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g)
        optimizer.zero_grad()


def test_a_parameter_that_the_loss_does_not_use_gets_no_gradient():
    class Part(nn.Module):
        def __init__(self):
            self.used, self.unused = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return self.used(x)

    net = Part()
    x, y = np.ones((3, 2), np.float32), np.zeros((3, 1), np.float32)
    StepProgram(net, squared, SGD(net.parameters()), (x, y, None)).run(x, y, None)
    assert net.used.weight.grad is not None
    assert net.unused.weight.grad is None


def test_tracing_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    state = net.state_dict()
    draws = net[2].rng.bit_generator.state
    x, y = np.ones((3, 2), np.float32), np.zeros((3, 1), np.float32)
    StepProgram(net, squared, SGD(net.parameters()), (x, y, None))
    assert net[2].rng.bit_generator.state == draws
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert all(p.grad is None for p in net.parameters())


# -- compile_step -----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 1, 8).astype(np.float32)])
def test_a_compiled_step_moves_the_parameters_as_the_tape_does(weights):
    def make():
        rng = np.random.default_rng(0)
        net = nn.Sequential(nn.Linear(2, 4, rng=rng), nn.ReLU(), nn.Linear(4, 3, rng=rng))
        return net, Adam(net.parameters(), lr=0.1)

    (net, optimizer), (twin, other) = make(), make()
    step = gl.compile_step(net, gl.cross_entropy, optimizer)
    rng = np.random.default_rng(1)
    for _ in range(4):
        x, y = rng.normal(size=(8, 2)).astype(np.float32), rng.integers(0, 3, 8)
        loss = gl.cross_entropy(twin(x), y, sample_weight=weights)
        loss.backward()
        other.step()
        other.zero_grad()
        assert step(x, y, weights) == float(loss.data)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert not step.why
    assert "def step(x, target" in step.source


def test_a_step_that_no_program_can_do_says_why():
    net = Reading(nn.Linear(2, 1))
    step = gl.compile_step(net, gl.mse, SGD(net.parameters()))
    with pytest.raises(gl.GradliteError, match="before the first batch"):
        _ = step.source
    step(np.ones((3, 2), np.float32), np.ones((3, 1), np.float32))
    assert "float()" in step.why


def test_a_step_sees_modes_arrays_hooks_and_gradients_that_are_there():
    def make():
        rng = np.random.default_rng(0)
        net = nn.Sequential(nn.Linear(2, 4, rng=rng), nn.BatchNorm1d(4), nn.Linear(4, 1, rng=rng))
        return net, SGD(net.parameters(), lr=0.1)

    def nothing(net): ...
    def evaluate(net):
        net.eval()

    def assign(net):
        net[0].weight.data = np.full((4, 2), 0.25, np.float32)

    def hook(net):
        net[2].weight.register_hook(lambda g: g * 0.5)

    def remember(net):
        squared(net(x), y, None).backward()

    (net, optimizer), (twin, other) = make(), make()
    step = gl.compile_step(net, gl.mse, optimizer)
    rng = np.random.default_rng(1)
    for change in (nothing, nothing, evaluate, assign, remember, hook, nothing):
        x = rng.normal(size=(8, 2)).astype(np.float32)
        y = rng.normal(size=(8, 1)).astype(np.float32)
        change(net)
        change(twin)
        loss = squared(twin(x), y, None)
        loss.backward()
        other.step()
        other.zero_grad()
        assert step(x, y) == float(loss.data), change.__name__
    for (name, ours), (_, theirs) in zip(net._state().items(), twin._state().items(), strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_two_steps_of_one_network():
    net, twin = (nn.Linear(2, 1, rng=np.random.default_rng(0)) for _ in range(2))
    steps = [gl.compile_step(net, gl.mse, SGD(net.parameters(), lr=r)) for r in (0.1, 0.2)]
    others = [SGD(twin.parameters(), lr=r) for r in (0.1, 0.2)]
    x, y = X.astype(np.float32), TARGET[:, None].astype(np.float32)
    for i in (0, 1, 0, 1, 1):
        loss = gl.mse(twin(x), y)
        loss.backward()
        others[i].step()
        others[i].zero_grad()
        assert steps[i](x, y) == float(loss.data)


def test_steps_pickle_and_forget_their_programs():
    import pickle

    net = nn.Linear(2, 1, rng=np.random.default_rng(0))
    step = gl.compile_step(net, gl.mse, SGD(net.parameters(), lr=0.1))
    x, y = X.astype(np.float32), TARGET[:, None].astype(np.float32)
    step(x, y)
    other = pickle.loads(pickle.dumps(step))
    assert other(x, y) == step(x, y)
