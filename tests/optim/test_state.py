"""Optimisers are saved, copied and resumed exactly, and refuse a state that does not fit."""

import copy
import pickle
import re

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim, schedules
from gradlite.errors import StateError
from gradlite.optim import OPTIMIZERS
from tests.optim.helpers import assert_same, draw, every, fresh, interesting, run, values


def saved_and_loaded(params, optimizer, name):
    others = [gl.Tensor(p.data, requires_grad=True) for p in params]
    other = OPTIMIZERS[name](others)
    run(other, others, draw(seed=5)[:3])  # what it remembers must go
    for p, q in zip(params, others, strict=True):
        q.data = p.data.copy()
    other.load_state_dict(optimizer.state_dict())
    return others, other


def pickled(params, optimizer, name):
    return pickle.loads(pickle.dumps((params, optimizer)))


def copied(params, optimizer, name):
    return copy.deepcopy((params, optimizer))


@pytest.mark.parametrize("transfer", [saved_and_loaded, pickled, copied])
@every
def test_resume_bit_for_bit(name, transfer):
    params, grads = fresh(), draw()
    grads[0][2] = None  # counts of steps differ
    optimizer = OPTIMIZERS[name](params, **interesting(name))
    run(optimizer, params, grads[:10])
    others, other = transfer(params, optimizer, name)
    assert repr(other.state_dict()) == repr(optimizer.state_dict())
    run(optimizer, params, grads[10:])
    before = values(others)
    run(other, others, grads[10:])
    assert_same(params, others)
    assert not any(np.array_equal(a, q.data) for a, q in zip(before, others, strict=True))


def test_the_state_is_plain_and_a_copy():
    params = fresh()
    optimizer = optim.Adam(zip(["W", "s", "b"], params, strict=True), lr=schedules.constant(0.1))
    run(optimizer, params[:2], [row[:2] for row in draw()[:3]])
    state = optimizer.state_dict()
    assert state["step"] == 3
    assert state["groups"] == [
        {
            "lr": None,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "weight_decay": 0.0,
            "amsgrad": False,
            "maximize": False,
            "params": ["W", "s", "b"],
        }
    ]
    assert state["state"]["b"] == {"step": 0}
    W = state["state"]["W"]
    assert W["step"] == 3
    assert W["exp_avg"].shape == W["exp_avg_sq"].shape == (2, 3)
    W["exp_avg"][:] = 100
    assert optimizer.state_dict()["state"]["W"]["exp_avg"].max() < 100


def test_the_state_of_adam_has_the_averages_of_the_gradient_and_its_square():
    p = gl.Tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.Adam({"w": p}.items(), betas=(0.75, 0.5))
    for g in ([4.0, 8.0], [2.0, 0.0]):
        p.grad = g
        optimizer.step()
    state = optimizer.state_dict()["state"]["w"]
    np.testing.assert_array_equal(state["exp_avg"], [1.25, 1.5])
    np.testing.assert_array_equal(state["exp_avg_sq"], [6.0, 16.0])


@every
def test_a_state_from_before_the_first_step(name):
    params, used = fresh(), fresh()
    optimizer = OPTIMIZERS[name](used, **interesting(name))
    run(optimizer, used, draw(seed=5))
    for p, q in zip(used, params, strict=True):
        p.data = q.data.copy()
    new = OPTIMIZERS[name](params, **interesting(name))
    optimizer.load_state_dict(new.state_dict())
    run(optimizer, used, draw())
    run(new, params, draw())
    assert_same(used, params)


def test_a_schedule_goes_on_where_it_was():
    params, grads = fresh(), draw()
    schedule = schedules.exponential(0.1, factor=0.5)
    optimizer = optim.SGD(params, lr=schedule)
    run(optimizer, params, grads[:4])
    others = [gl.Tensor(p.data, requires_grad=True) for p in params]
    other = optim.SGD(others, lr=schedule)
    other.load_state_dict(optimizer.state_dict())
    run(optimizer, params, grads[4:8])
    run(other, others, grads[4:8])
    assert_same(params, others)


def misfit(change):
    """Load a state after a change, and give the error; nothing may have happened."""
    params = fresh()
    optimizer = optim.Adam(zip(["weight", "scale", "bias"], params, strict=True))
    run(optimizer, params, draw()[:2])
    state = optimizer.state_dict()
    state["groups"][0]["lr"] = 7.0
    change(state)
    before = repr(optimizer.state_dict())
    with pytest.raises(StateError) as error:
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before
    return str(error.value)


def rename(state):
    state["groups"][0]["params"][0] = "wieght"


def reshape(state):
    state["state"]["bias"]["exp_avg"] = np.zeros((2, 2))


def forget(state):
    del state["state"]["bias"]["exp_avg"]


def lose(state):
    del state["state"]["bias"]


def other_kind(state):
    del state["groups"][0]["eps"]


def scheduled(state):
    state["groups"][0]["lr"] = None


def negative(state):
    state["groups"][0]["lr"] = -1.0


def no_groups(state):
    state["groups"] = []


def no_step(state):
    state["step"] = -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, r"wieght is unexpected \(did you mean weight\?\)"),
        (reshape, r"exp_avg of bias has shape \(2, 2\) there and \(4,\) here"),
        (forget, "bias: exp_avg is missing"),
        (lose, "bias has no count of steps"),
        (other_kind, r"the hyperparameters .* not .*'eps'"),
        (scheduled, "its lr was a schedule, which is not saved"),
        (negative, "lr must be a number, 0 or more and finite, or a schedule, not -1.0"),
        (no_groups, "it has 0 groups, not 1"),
        (no_step, "its step is -1"),
        (dict.clear, "in place of 'step', 'groups' and 'state'"),
    ],
)
def test_a_state_that_does_not_fit(change, message):
    text = misfit(change)
    assert re.search(message, text), text
    assert text.endswith("Nothing was loaded.")
