"""Steps with a closure, gradients that become zero, groups added later, frozen parameters."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.optim import OPTIMIZERS
from tests.optim.helpers import (
    CASES,
    assert_same,
    draw,
    every,
    fresh,
    interesting,
    lion,
    run,
    send,
    values,
)

# PyTorch 2.13, in the order of CASES: the parameter [1.0, -2.0, 3.0] in float64 after 20 steps
# with the gradient sin(p) + t / 10 * [1, -1, 0], t from 0.
AFTER_20_STEPS = {
    "sgd": [
        [0.964320549, -1.96269736, 2.9971509],
        [-0.995531192, 0.813168501, 1.25344967],
        [-5.71303488, 8.9675961, -1.09248797],
        [-3.16598478, 5.21386342, -0.890781832],
        [3.87464693, -4.13586554, 3.12434509],
        [6.46440019, -4.8850887, 2.90080433],
        [-3.28123907, 5.82339034, 0.174391081],
    ],
    "adam": [
        [0.978997442, -1.97901502, 2.97984659],
        [1.02100538, -2.0209826, 3.01981932],
        [-1.01774818, 0.055452048, 0.926471253],
        [3.0790013, -4.0099208, 2.83639136],
        [-0.83903999, -0.0674147309, 1.1602079],
    ],
    "adamw": [
        [0.978799425, -1.97861699, 2.97924436],
        [3.04336313, -3.97280721, 3.14173008],
        [-0.852509366, 0.358052757, 0.340017071],
    ],
    "nadam": [
        [0.958586319, -1.95879096, 2.96436434],
        [2.67626334, -3.39258035, 3.13126294],
        [-0.858039679, -0.0214966587, 1.09926188],
    ],
    "radam": [
        [0.994292672, -1.9939502, 2.99840127],
        [1.32601978, -2.13949809, 2.61125398],
        [-0.976352478, 0.741697764, 2.50590016],
        [-0.364102791, -0.442562931, 1.88885278],
    ],
    "adamax": [
        [0.967182303, -1.96697624, 2.96164041],
        [1.03276011, -2.03306854, 3.03710813],
        [-0.815586483, -0.159443311, 1.27531923],
    ],
    "rmsprop": [
        [0.0950249025, -1.0623715, 1.99434987],
        [1.95763058, -2.91801796, 2.85234189],
        [-1.06801798, 0.270968135, 0.825826677],
        [-3.13477801, 2.83090574, -1.11493595],
        [-0.629919852, -0.232835503, 1.15694871],
    ],
    "adagrad": [
        [0.906793343, -1.9071296, 2.9173724],
        [0.434723097, -1.42572653, 2.44405186],
        [1.09367479, -2.09251466, 3.06686158],
        [0.914938349, -1.91456189, 2.96716548],
    ],
    "adadelta": [
        [0.886810418, -1.88775459, 2.91766811],
        [1.11504911, -2.11090309, 3.05828558],
        [-2.61600531, 2.44887418, 0.000168632745],
    ],
}
FIXED = [
    pytest.param(formula.__name__, *pair, id=f"{formula.__name__}-{i}")
    for formula in CASES
    if formula is not lion
    for i, pair in enumerate(zip(CASES[formula], AFTER_20_STEPS[formula.__name__], strict=True))
]


@pytest.mark.parametrize(("name", "settings", "expected"), FIXED)
def test_numbers_of_pytorch(name, settings, expected):
    p = gl.Tensor([1.0, -2.0, 3.0], requires_grad=True)
    optimizer = OPTIMIZERS[name]([p], **settings)
    for t in range(20):
        p.grad = np.sin(p.data) + t / 10 * np.array([1, -1, 0])
        optimizer.step()
    np.testing.assert_allclose(p.data, expected, rtol=1e-6)


def test_a_closure_is_recorded_and_its_loss_returned():
    p = gl.Tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with gl.no_grad():
        assert float(optimizer.step(closure).data) == 5.0
    assert p.data.tolist() == [0.5, -1.0]
    assert optimizer.step() is None


@every
def test_a_gradient_that_became_zero_is_not_skipped(name):
    params, others = fresh(), fresh()
    ours = OPTIMIZERS[name](params, **interesting(name))
    zeros = OPTIMIZERS[name](others, **interesting(name))
    run(ours, params[:2], [row[:2] for row in draw()[:3]])
    run(zeros, others[:2], [row[:2] for row in draw()[:3]])
    ours.zero_grad(set_to_none=False)
    assert params[2].grad is None
    assert [p.grad.any() for p in params[:2]] == [False, False]
    ours.step()
    run(zeros, others[:2], [[np.zeros(p.shape) for p in others[:2]]])
    assert_same(params, others)


def test_a_gradient_that_is_a_tensor_becomes_zero():
    p = gl.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p])
    (p**3).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]


@every
def test_a_group_added_later_is_as_one_from_the_start(name):
    params, others = fresh(), fresh()
    whole = OPTIMIZERS[name]([{"params": others[:2]}, {"params": others[2:], "lr": 0.5}])
    grown = OPTIMIZERS[name](params[:2])
    grads = draw()
    run(grown, params, [[*row[:2], None] for row in grads[:3]])
    run(whole, others, [[*row[:2], None] for row in grads[:3]])
    state = grown.vectors[0].data
    grown.add_param_group({"params": params[2], "lr": 0.5})  # a Tensor by itself, as in PyTorch
    assert grown.vectors[0].data is state
    run(grown, params, grads[3:])
    run(whole, others, grads[3:])
    assert_same(params, others)
    assert repr(grown.state_dict()) == repr(whole.state_dict())


@pytest.mark.parametrize(
    ("group", "kind", "message"),
    [
        (lambda p: {"params": [p]}, ValueError, "w and 1 are the same parameter"),
        (lambda p: {"params": [("w", gl.Tensor(1.0))]}, ValueError, "two parameters are called w"),
        (lambda p: {"params": [gl.Tensor(1.0)], "rate": 1}, TypeError, "hyperparameter 'rate'"),
        (lambda p: {"params": [gl.Tensor(1.0)], "lr": -1}, ValueError, "lr must be a number"),
        (lambda p: [gl.Tensor(1.0)], TypeError, "a group is a dict with 'params'"),
        (lambda p: {"params": []}, ValueError, "there are no parameters"),
    ],
)
def test_a_group_that_does_not_fit_changes_nothing(group, kind, message):
    p = gl.Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([("w", p)])
    with pytest.raises(kind, match=message):
        optimizer.add_param_group(group(p))
    assert len(optimizer.param_groups) == len(optimizer.vectors) == 1


@every
def test_frozen_parameters_are_skipped_until_they_are_trained(name):
    params, others = fresh(), fresh()
    for p in params[::2]:
        p.requires_grad = False
    optimizer = OPTIMIZERS[name](params, **interesting(name))
    alone = OPTIMIZERS[name](others[1:2], **interesting(name))
    starts = values(params)
    grads = draw()
    run(optimizer, params, [[None, row[1], None] for row in grads[:3]])
    run(alone, others[1:2], [row[1:2] for row in grads[:3]])
    assert np.array_equal(params[1].data, others[1].data)
    assert all(
        np.array_equal(p.data, start) for p, start in zip(params[::2], starts[::2], strict=True)
    )
    state = optimizer.state_dict()["state"]
    assert [state[k]["step"] for k in "012"] == [0, 3, 0]
    params[0].requires_grad = True
    send(params[0], grads[3][0])
    optimizer.step()
    assert not np.array_equal(params[0].data, starts[0])


def test_all_parameters_may_be_frozen():
    p = gl.Tensor([1.0])
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.zero_grad()
    optimizer.step()
    assert p.data.tolist() == [1.0]
