"""Compiled steps with the optimiser in the program: parameters and state move as on the tape."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.optim import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
)
from gradlite.training.loop import Trainer
from gradlite.training.update import L2
from tests.helpers import unaddressed


def network(dtype=np.float32, width=5):
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(3, width, rng=rng), nn.Tanh(), nn.Linear(width, 2, rng=rng))
    return net.astype(dtype)


def batch(i, dtype=np.float32):
    rng = np.random.default_rng(i)
    return rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=(6, 2)).astype(dtype)


def squared(z, t, w):
    return gl.mse(z, t, sample_weight=w)


def steps(net, optimizer, compiled, count=5, at=lambda i, optimizer: None, **settings):
    trainer = Trainer(net, squared, optimizer, compiled=compiled, patience=0, **settings)
    dtype = net[0].weight.dtype
    losses = []
    for i in range(count):
        at(i, optimizer)
        losses.append(trainer.step(*batch(i, dtype)))
    moved = [p.update for programs in trainer.programs.values() for p in programs]
    return losses, moved


def check_same(make, inside=True, at=lambda i, optimizer: None, dtype=np.float32, width=5):
    nets, optimizers, losses = [], [], []
    for compiled in (True, False):
        net = network(dtype, width)
        optimizer = make(net)
        got, moved = steps(net, optimizer, compiled, at=at)
        losses.append(got)
        nets.append(net)
        optimizers.append(optimizer)
        if compiled:
            assert moved
            assert all((update is not None) == inside for update in moved)
    assert losses[0] == losses[1]
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert p.grad is None
    states = [optimizer.state_dict() for optimizer in optimizers]
    assert repr(states[0]) == repr(states[1])
    return nets[0], optimizers[0]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (SGD, {}),
        (SGD, {"momentum": 0.9}),
        (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (Adam, {}),
        (Adam, {"weight_decay": 0.1, "betas": (0.5, 0.6)}),
        (Adam, {"amsgrad": True, "maximize": True}),
        (Adam, {"weight_decay": 0.1, "maximize": True}),
        (AdamW, {"weight_decay": 0.1}),
        (NAdam, {}),
        (NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
        (RAdam, {}),
        (RAdam, {"betas": (0.9, 0.6)}),
        (RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
        (Adamax, {"weight_decay": 0.1}),
        (Adadelta, {}),
        (Adadelta, {"weight_decay": 0.1}),
        (RMSprop, {}),
        (RMSprop, {"centered": True, "momentum": 0.5}),
        (Lion, {"weight_decay": 0.1}),
        (Adam, {"lr": lambda step: 0.1 / (1 + step)}),
    ],
    ids=unaddressed,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_optimizer_moves_as_on_the_tape(kind, settings, dtype):
    check_same(lambda net: kind(net.parameters(), **{"lr": 0.1, **settings}), dtype=dtype)


class Own(SGD):
    """An optimiser of one's own, which remembers."""

    calls = 0

    def update(self, p, g, state, scratch, group, lr, t):
        self.calls += 1
        super().update(p, g, state, scratch, group, lr / self.calls, t)


@pytest.mark.parametrize(
    "make",
    [
        lambda net: Own(net.parameters(), lr=0.1),
        lambda net: Adagrad(net.parameters(), lr=0.1),  # which asks for the number of the step
        lambda net: SGD(net.parameters(), lr=0.1, momentum=0.9, dampening=0.5),
    ],
)
def test_what_is_not_one_way_is_done_by_the_optimizer_itself(make):
    check_same(make, inside=False)


def test_float16_is_updated_in_float32():
    check_same(lambda net: Adam(net.parameters(), lr=0.1), inside=False, dtype=np.float16)


def test_groups_have_settings_and_rates_of_their_own():
    def make(net):
        weights = [p for p in net.parameters() if p.ndim == 2]
        rest = [p for p in net.parameters() if p.ndim < 2]
        return AdamW(
            [{"params": weights, "weight_decay": 0.5}, {"params": rest, "lr": lambda step: 1 / 9}],
            lr=0.1,
        )

    check_same(make)


def test_parameters_of_two_types():
    def make(net):
        net[2].astype(np.float64)
        return Adam(net.parameters(), lr=0.1)

    check_same(make)


def test_large_vectors_are_updated_in_blocks():
    _, optimizer = check_same(
        lambda net: Adam(net.parameters(), lr=0.1, weight_decay=0.1), width=60_000
    )
    assert len(optimizer.vectors[0].whole().blocks) > 1


def test_settings_may_change_between_steps():
    def at(i, optimizer):
        if i == 2:
            optimizer.param_groups[0].update(weight_decay=0.5, betas=(0.1, 0.2))
        if i == 3:
            optimizer.param_groups[0]["lr"] = 0.5

    check_same(lambda net: Adam(net.parameters(), lr=0.1), at=at)


def test_a_frozen_parameter_stays():
    nets = []
    for compiled in (True, False):
        net = network()
        optimizer = Adam(net.parameters(), lr=0.1)

        def at(i, optimizer, net=net):
            net[0].weight.requires_grad = i not in (1, 2)

        steps(net, optimizer, compiled, at=at)
        nets.append((net, optimizer.state_dict()))
    for p, q in zip(nets[0][0].parameters(), nets[1][0].parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert repr(nets[0][1]) == repr(nets[1][1])
    assert nets[0][1]["state"]["0"]["step"] == 3


def test_parameters_that_are_frozen_from_the_start_stay():
    def make(net):
        net[0].requires_grad_(False)
        return Adam(net.parameters(), lr=0.1)

    net, optimizer = check_same(make, inside=False)
    np.testing.assert_array_equal(net[0].weight.data, network()[0].weight.data)
    assert not np.array_equal(net[2].weight.data, network()[2].weight.data)
    assert [own["step"] for own in optimizer.state_dict()["state"].values()] == [0, 0, 5, 5]


def test_a_group_added_between_steps_is_trained():
    ends = []
    for compiled in (True, False):
        net = network()
        optimizer = Adam(net[0].parameters(), lr=0.1)

        def at(i, optimizer, net=net):
            if i == 2:
                named = [("w", net[2].weight), ("b", net[2].bias)]
                optimizer.add_param_group({"params": named, "lr": 0.5})

        losses, _ = steps(net, optimizer, compiled, at=at)
        ends.append((losses, repr(net.state_dict()), repr(optimizer.state_dict())))
    assert ends[0] == ends[1]


def test_a_loss_that_is_not_finite_moves_nothing():
    net = network()
    optimizer = Adam(net.parameters(), lr=0.1)
    trainer = Trainer(net, squared, optimizer, compiled=True, patience=0)
    x, y = batch(0)
    trainer.step(x, y)
    before = net.state_dict()
    assert np.isnan(trainer.step(x * np.float32(np.nan), y))
    assert repr(before) == repr(net.state_dict())
    assert optimizer.steps == 1
    (programs,) = trainer.programs.values()
    assert programs[0].update is not None


def test_penalties_are_part_of_loss_and_step():
    results = []
    for compiled in (True, False):
        net = network()
        optimizer = SGD([*net.parameters()][::-1], lr=0.1)  # biases first
        vector = optimizer.vectors[0]
        penalties = [L2(vector.data[:4], vector.grad[:4], 0.3), L2(vector.data, vector.grad, 0.1)]
        losses, moved = steps(net, optimizer, compiled, penalties=penalties)
        results.append((losses, repr(net.state_dict())))
        assert len(moved) == compiled
    assert results[0] == results[1]


def test_gradients_alone_leave_the_parameters():
    net = network()
    trainer = Trainer(net, squared, Adam(net.parameters()), compiled=True, patience=0)
    before = repr(net.state_dict())
    trainer.gradient(*batch(0))
    assert repr(net.state_dict()) == before
    assert all(p.grad is not None for p in net.parameters())


def test_a_step_with_lbfgs_is_refused_as_without_a_program():
    net = network()
    step = gl.compile_step(net, gl.mse, LBFGS(net.parameters()))
    with pytest.raises(TypeError, match="closure"):
        step(*batch(0))


class Scrambling(SGD):
    """Changes its arrays in every way: as operands of each other, exchanged, whole and in part."""

    __module__ = "gradlite.tests"
    seed = 0

    def state_names(self, group):
        return "a", "b"

    def update(self, p, g, state, scratch, group, lr, t):
        arrays = [p, state["a"], state["b"], *scratch]
        rng = np.random.default_rng(self.seed)
        np.multiply(g, lr, out=scratch[0])
        np.subtract(g, 1, out=scratch[1])
        for _ in range(8):
            x, y, z = (arrays[i] for i in rng.integers(0, 5, 3))
            way = rng.integers(0, 7)
            if way == 0:
                x += y
            elif way == 1:
                np.subtract(x, y, out=z)
            elif way == 2:
                z[...] = x
            elif way == 3:
                z[2:5] = y[1:4] * 0.5
            elif way == 4:
                x *= 0.5
                np.maximum(x, y, out=z)
            elif way == 5:
                kept = x.copy()
                x[...] = y
                y[...] = kept
            else:
                z += np.tanh(x) * g
        p += lr


@pytest.mark.parametrize("seed", range(60))
def test_arrays_may_be_changed_in_any_order(seed, monkeypatch):
    monkeypatch.setattr(Scrambling, "seed", seed)
    check_same(lambda net: Scrambling(net.parameters(), lr=0.1))


# -- the text ---------------------------------------------------------------------------------


def compiled_step(width=5, make=Adam):
    net = network(width=width)
    step = gl.compile_step(net, gl.mse, make(net.parameters(), lr=0.1))
    for i in range(3):
        step(*batch(i))
    return net, step


def test_layers_and_parts_are_named():
    source = compiled_step()[1].source
    names = ("h_1 = tanh(", "grad_h_1", "# back through linear: 2 (Linear)", "# a step of Adam")
    for name in (*names, "weight_2 = params[20:30].reshape((2, 5))", "params -= ", "exp_avg *= "):
        assert name in source


@pytest.mark.parametrize(("width", "make"), [(5, Adam), (60_000, Adam), (5, Adagrad)])
def test_a_saved_step_goes_on_alone(width, make, tmp_path, monkeypatch):
    net, step = compiled_step(width, make)
    step.save(tmp_path / "step.py")
    text = (tmp_path / "step.py").read_text()
    assert "import gradlite" not in text
    names = {}
    exec(text, names)
    numbers = (0.1, 4) if make is Adam else ()  # the other asks for the step's number
    loss = names["step"](*batch(3), *numbers)
    assert loss == step(*batch(3))
    expected = names["params"] if width == 5 and numbers else names["all_params"]
    moved = np.concatenate([p.data.ravel() for p in net.parameters()])
    assert np.array_equal(moved, expected) == bool(numbers)


def test_toggling_requires_grad_is_seen():
    net, step = compiled_step()
    net[0].weight.requires_grad = False
    before = net[0].weight.data.copy()
    step(*batch(4))
    np.testing.assert_array_equal(net[0].weight.data, before)
    net[0].weight.requires_grad = True
    step(*batch(5))
    assert np.any(net[0].weight.data != before)
