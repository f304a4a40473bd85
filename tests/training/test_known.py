"""What a fit compiles of one's own code: what surely does the same for every batch."""

import functools
import math
import time

import numpy as np
import pytest

import gradlite as gl
from gradlite import NetRegressor, nn
from gradlite.training.known import is_known, is_plain

CALLS = []
COUNT = 0
WEIGHTS = np.ones(3)
RATES = (0.1, 0.2)
RNG = np.random.default_rng(0)


def helper(z, t):
    return np.mean(np.abs(z - t)) * RATES[0]


def counted(z, t):
    global COUNT
    COUNT += 1
    return helper(z, t) / COUNT


def through(z, t):
    return counted(z, t)


def importing(z, t):
    import time as clock

    return helper(z, t) * clock.time()


def with_inner(z, t):
    def inner(x):
        return x * math.pi

    return inner(helper(z, t))


def with_memory(z, t, memory=[]):  # noqa: B006 -- that is the point
    memory.append(1)
    return helper(z, t) / len(memory)


def closure():
    calls, share = {"n": 0}, 0.5

    def plain(z, t):
        return share * helper(z, t)

    def counting(z, t):
        calls["n"] += 1
        return helper(z, t) / calls["n"]

    return plain, counting


@pytest.mark.parametrize(
    "fn",
    [
        np.tanh,
        gl.mse,
        helper,
        with_inner,
        closure()[0],
        functools.partial(gl.huber, delta=2.0),
        lambda z, t: sum(helper(z, t) for _ in range(3)),
        lambda z, t: gl.mse(z, t) if np.ndim(z) else helper(z, t),
    ],
)
def test_plain(fn):
    assert is_plain(fn)


class Callable:
    def __call__(self, z, t):
        return helper(z, t)


@pytest.mark.parametrize(
    "fn",
    [
        counted,
        through,
        importing,
        with_memory,
        closure()[1],
        Callable(),
        functools.lru_cache(helper),
        functools.partial(with_memory, memory=[]),
        lambda z, t: helper(z, t) * time.time(),
        lambda z, t: helper(z, t) / len(CALLS),
        lambda z, t: helper(z, t) * WEIGHTS[0],
        lambda z, t: helper(z, t) * RNG.normal(),
        lambda z, t: helper(z, t) * np.random.normal(),
        lambda z, t: [print(z), helper(z, t)][1],
        lambda z, t: helper(z, t) * isinstance(t, np.ndarray),
        lambda z, t: helper(z, t) * (type(t) is np.ndarray),
    ],
)
def test_not_plain(fn):
    assert not is_plain(fn)


class Plain(nn.Module):
    """Layers, constants, an array, a buffer and helpers."""

    def __init__(self, in_features=2, out_features=1):
        self.layers = [nn.Linear(in_features, 8, rng=np.random.default_rng(0)), nn.Tanh()]
        self.head = nn.Linear(8, out_features, rng=np.random.default_rng(1))
        self.mask = np.arange(8) % 2
        self.scale = 0.5
        self.drop = nn.Dropout(0.1, rng=np.random.default_rng(2))
        self.register_buffer("seen", np.zeros(()))

    @property
    def factor(self):
        return self.scale * 2

    @staticmethod
    def squeeze(h):
        return np.maximum(h, -0.5)

    def body(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.drop(x * self.mask)

    def forward(self, x):
        if self.training:
            self.seen += 1
        return self.head(self.squeeze(self.body(x)) * self.factor)


class Inherited(Plain):
    def forward(self, x):
        return super().forward(x) + 1


class Attribute(Plain):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) / self.calls


class Array(Plain):
    def forward(self, x):
        self.mask += 1
        return super().forward(x)


class InList(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.counts = [np.zeros(1)]

    def forward(self, x):
        self.counts[0] += 1
        return super().forward(x) / self.counts[0]


class Log(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.log = []

    def forward(self, x):
        self.log.append(1)
        return super().forward(x) / len(self.log)


class Clock(Plain):
    def forward(self, x):
        return super().forward(x) * (time.time() > 0)


class Created(Plain):
    def forward(self, x):
        return nn.Dropout(0.5)(super().forward(x))


class Counter:
    n = 0

    def __call__(self):
        self.n += 1
        return self.n


class Helper(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.counter = Counter()

    def forward(self, x):
        return super().forward(x) / self.counter()


class OfClass(Plain):
    counter = Counter()

    def forward(self, x):
        return super().forward(x) / self.counter()


class OfClassList(Plain):
    log = []  # noqa: RUF012 -- shared, and that is the point

    def forward(self, x):
        self.log.append(1)
        return super().forward(x) / len(self.log)


X = np.random.default_rng(0).normal(size=(40, 2))
Y = X[:, 0] - X[:, 1] ** 2


def losses(kind, monkeypatch, compiled):
    """Fit, and return the losses of the epochs and how many programs there were."""
    from gradlite.estimators import _fitting

    kept = []

    class Kept(_fitting.Trainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "compiled": compiled}, patience=0)
            kept.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(_fitting, "Trainer", Kept)
        OfClass.counter, OfClassList.log = Counter(), []
        model = NetRegressor(kind, max_iter=5, random_state=0, batch_size=8)
        model.fit(X, Y)
    return model.loss_curve_, sum(map(len, kept[0].programs.values()))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [Plain, Inherited])
def test_plain_modules_are_compiled(kind, monkeypatch):
    assert is_known(kind())
    compiled, programs = losses(kind, monkeypatch, True)
    assert programs
    assert compiled == losses(kind, monkeypatch, False)[0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "kind", [Attribute, Array, InList, Log, Clock, Helper, OfClass, OfClassList]
)
def test_modules_that_remember_stay_on_the_tape(kind, monkeypatch):
    compiled, programs = losses(kind, monkeypatch, True)
    assert not programs
    assert compiled == losses(kind, monkeypatch, False)[0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_layer_created_in_each_call_stays_on_the_tape(monkeypatch):
    assert not losses(Created, monkeypatch, True)[1]
