"""`compile_step` and the tape take the same steps, whatever is between them."""

import copy
import itertools
import random

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.errors import ShapeError
from gradlite.optim import SGD, Adam


class Net(nn.Module):
    """Its parts, and constants, are in lists and dicts."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.layers = [nn.Linear(4, 8, rng=rng), nn.Tanh()]
        self.heads = {"one": nn.Linear(8, 3, rng=rng), "two": nn.Linear(8, 3, rng=rng)}
        self.settings = {"head": "one", "scales": [1.0]}

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.heads[self.settings["head"]](x) * self.settings["scales"][0]


def linear():
    return nn.Linear(4, 3, rng=np.random.default_rng(0))


class OnTape:
    """What `compile_step` stands for."""

    def __init__(self, net, loss, optimizer):
        self.net, self.loss, self.optimizer = net, loss, optimizer

    def __call__(self, x, y, w=None):
        known = {} if w is None else {"sample_weight": w}
        loss = self.loss(self.net(x), y, **known)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.data)


def batch(i):
    rng = np.random.default_rng(i)
    return rng.normal(size=(6, 4)).astype("f"), rng.normal(size=(6, 3)).astype("f")


def check_same(
    net=Net, loss=gl.mse, at=lambda i, net, optimizer: None, weights=lambda i: None, make=Adam
):
    """Compare eight steps, and return the compiled step."""
    results, steps = [], []
    for kind in (gl.compile_step, OnTape):
        np.random.seed(0)
        random.seed(0)
        made = net()
        optimizer = make([p for p in made.parameters() if p.requires_grad], lr=0.1)
        steps.append(kind(made, loss, optimizer))
        losses = []
        for i in range(8):
            at(i, made, optimizer)
            losses.append(steps[-1](*batch(i), weights(i)))
        after = np.random.random(), random.random()
        results.append((losses, made.state_dict(), optimizer.state_dict(), after))
    assert repr(results[0]) == repr(results[1])
    return steps[0]


# -- what changes between steps ---------------------------------------------------------------


def replace_layer(net):
    net.layers[1] = nn.ReLU()


def replace_head(net):
    net.heads["one"] = nn.Linear(8, 3, rng=np.random.default_rng(5))


def other_head(net):
    net.settings["head"] = "two"


@pytest.mark.parametrize(
    "change",
    [
        replace_layer,
        replace_head,
        other_head,
        lambda net: net.layers.append(nn.Tanh()),
        lambda net: net.layers.reverse() or net.layers.reverse(),
        lambda net: net.settings["scales"].__setitem__(0, 0.5),
    ],
)
def test_what_lists_and_dicts_of_a_module_hold_may_change(change):
    def at(i, net, optimizer):
        if i == 4:
            change(net)

    check_same(at=at)


def test_settings_in_a_list_may_change():
    def at(i, net, optimizer):
        if i == 0:
            optimizer.param_groups[0]["betas"] = [0.9, 0.99]
        if i == 4:
            optimizer.param_groups[0]["betas"][0] = 0.5

    check_same(net=linear, at=at)


def test_parameters_assigned_in_each_step_keep_the_program():
    def at(i, net, optimizer):
        for p in net.parameters():
            p.data = np.clip(p.data, -0.1, 0.1)

    step = check_same(net=linear, at=at)
    program = step._first()
    step(*batch(0))
    step._trainer.module.weight.data = np.zeros((3, 4), np.float32)
    step(*batch(1))
    assert step._first() is program


# -- weights ----------------------------------------------------------------------------------


def weighted(z, t, sample_weight=1.0):
    return np.mean((z - t) ** 2 * sample_weight)


@pytest.mark.parametrize(
    ("loss", "kinds"),
    [
        (gl.mse, [np.float32, np.float64, np.int64, np.bool_]),
        (weighted, [lambda w: w[:1], lambda w: w[:, None], lambda w: np.float32(w[:3])]),
        (weighted, [lambda w: 1.5, lambda w: 2, lambda w: np.float64(2.5), lambda w: w[:3]]),
        (gl.mse, [lambda w: w, lambda w: list(w), lambda w: np.repeat(w, 2)[::2]]),
    ],
)
def test_weights_of_every_kind_take_turns(loss, kinds):
    def weights(i):
        return kinds[i % len(kinds)](np.arange(6) * 0.5)

    check_same(loss=loss, weights=weights)


def test_weights_of_another_shape_are_an_error_as_on_the_tape():
    net = nn.Linear(4, 3)
    step = gl.compile_step(net, gl.mse, SGD(net.parameters()))
    step(*batch(0), np.ones(6))
    with pytest.raises(ShapeError, match=r"shape \(6,\), not \(1,\)"):
        step(*batch(0), np.ones(1))


# -- code that stays on the tape ----------------------------------------------------------------


class Legacy(Net):
    def __init__(self):
        super().__init__()
        self.rng, self.python = np.random.RandomState(0), random.Random(0)

    def forward(self, x):
        return super().forward(x * self.rng.normal(size=x.shape)) * self.python.random()


class Spawning(Net):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        return super().forward(x * self.rng.spawn(1)[0].normal(size=x.shape))


class OfClass(Net):
    source = np.random.default_rng(0)

    def __init__(self):
        super().__init__()
        OfClass.source = np.random.default_rng(0)

    def forward(self, x):
        return super().forward(x) * self.source.normal()


class Remembering(Net):
    def __init__(self):
        super().__init__()
        self.memory = {"calls": [0]}

    def forward(self, x):
        self.memory["calls"][0] += 1
        return super().forward(x) / self.memory["calls"][0]


class Iterating(Net):
    def __init__(self):
        super().__init__()
        self.numbers = itertools.count(1)

    def forward(self, x):
        return super().forward(x) / next(self.numbers)


class Writing(Net):
    def forward(self, x):
        self.layers[0].weight.data[0] = 0
        return super().forward(x)


class Scaling(Net):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(1, np.float32), requires_grad=False)

    def forward(self, x):
        self.scale.data *= 0.5
        return super().forward(x) * self.scale


class Assigning(Scaling):
    def forward(self, x):
        self.scale.data = self.scale.data + 1
        return Net.forward(self, x) * self.scale


class Ticking(Net):
    def __init__(self):
        super().__init__()
        self.count = gl.Tensor(np.ones(1, np.float32))

    def forward(self, x):
        self.count.data[0] += 1
        return super().forward(x) / self.count


MODULES = [
    *(Legacy, Spawning, OfClass, Remembering, Iterating),
    *(Writing, Scaling, Assigning, Ticking),
]


@pytest.mark.parametrize("net", MODULES)
def test_modules_that_draw_or_remember_stay_on_the_tape(net):
    assert check_same(net).why


def asks_for_types(z, t):
    assert isinstance(t, np.ndarray)
    return gl.mse(z, t)


def catches(z, t):
    try:
        scale = float(t[0, 0])
    except TypeError:
        scale = 1.0
    return gl.mse(z, t) * scale


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, t: gl.mse(z, t) * (1 + np.random.normal()),
        lambda z, t: gl.mse(z, t) * random.random(),
        asks_for_types,
        lambda z, t: gl.mse(z, t.view(np.ndarray)),
        lambda z, t: gl.mse(z, t) * len(t.tobytes()),
        lambda z, t: gl.mse(z, t) if hasattr(t, "tobytes") else gl.mae(z, t),
        catches,
    ],
)
def test_losses_that_draw_or_ask_for_arrays_stay_on_the_tape(loss):
    assert check_same(loss=loss).why


def test_a_first_batch_that_is_wrong_leaves_the_step_as_it_was():
    net = nn.Linear(4, 3)
    step = gl.compile_step(net, gl.cross_entropy, SGD(net.parameters()))
    x, y = batch(0)[0], np.arange(6) % 3
    for bad in (y + 1, y[:-1], y.astype(float) + 0.5):
        with pytest.raises((ValueError, TypeError, IndexError)):
            step(x, bad)
    step(x, y)
    assert not step.why
    assert step.source


def test_a_loss_that_is_not_one_number_is_the_same_error():
    net = nn.Linear(4, 3)
    step = gl.compile_step(net, lambda z, t: (z - t) ** 2, SGD(net.parameters()))
    with pytest.raises(ShapeError, match=r"reduce first"):
        step(*batch(0))


def test_copies_go_their_own_way():
    net = Net()
    step = gl.compile_step(net, gl.mse, Adam(net.parameters()))
    step(*batch(0))
    other = copy.deepcopy(step)
    before = net.state_dict()
    other(*batch(1))
    assert repr(net.state_dict()) == repr(before)
    assert other(*batch(2)) != step(*batch(2))


# -- types ------------------------------------------------------------------------------------


class Twice(nn.Module):
    """Uses its parameters in several ways."""

    def __init__(self):
        self.layer, self.last = linear(), nn.Linear(3, 3, rng=np.random.default_rng(1))

    def forward(self, x):
        h = self.layer(x)
        return self.last(np.tanh(h)) + self.last(h) + np.sin(self.layer.bias) * h


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, t: np.mean((z - t) ** 2 * np.linspace(0.1, 1.0, 3)),
        lambda z, t: np.mean((z - t.astype(np.int64)) ** 2),
        lambda z, t: np.mean(np.arange(3) * z**2 + np.abs(z)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gradients_in_a_wider_type_are_summed_in_that_of_the_parameter(loss, dtype):
    check_same(net=lambda: Twice().astype(dtype), loss=loss)


# -- the text ---------------------------------------------------------------------------------

NAMES = [
    *("for", "class", "None", "my head", "a-b", "a_b", "1", "", "_", "é"),
    *("lr", "lr1", "t", "t1", "loss", "step", "x", "target", "weight_of_rows", "strength"),
    *("np", "constant", "base64", "DATA", "Retrace", "float", "abs", "sum", "add"),
    *("params", "grads", "all_params", "exp_avg", "c_0_1", "buffer1", "grad_x_"),
]


class Odd(nn.Module):
    """Names its parameters as no Python variable, or as those of the program, are named."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.heads = {name: nn.Linear(4, 3, rng=rng) for name in NAMES[:10]}
        self.shifts = {name: nn.Parameter(rng.normal(size=3).astype("f")) for name in NAMES}
        self.own = [name for name in NAMES[10:] if name != "step"]
        vars(self).update((name, nn.Parameter(np.ones(3, np.float32))) for name in self.own)

    def forward(self, x):
        h = sum(head(x) for head in self.heads.values())
        h = sum((shift * 0.1 for shift in self.shifts.values()), h)
        return sum((vars(self)[name] * 0.1 for name in self.own), h)


def test_parameters_may_have_any_name(tmp_path):
    step = check_same(net=Odd)
    assert not step.why
    step.save(tmp_path / "step.py")
    names = {}
    exec((tmp_path / "step.py").read_text(encoding="utf-8"), names)
    for i in (8, 9):
        assert float(names["step"](*batch(i), 0.1, i + 1)) == step(*batch(i))
