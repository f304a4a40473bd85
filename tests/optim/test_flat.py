"""Parameters stay views of one vector, whatever is done to them between steps."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.errors import DtypeError
from tests.optim.helpers import assert_same, draw, fresh, run, send, values


def test_parameters_and_gradients_lie_in_one_vector():
    params = fresh()
    before = np.concatenate([p.data.ravel() for p in params])
    (vector,) = optim.Adam(params).vectors
    for p, g in zip(params, draw()[0], strict=True):
        send(p, g)
    assert np.array_equal(vector.data, before)
    assert np.array_equal(vector.grad, np.concatenate([g.ravel() for g in draw()[0]]))
    assert all(np.shares_memory(p.data, vector.data) for p in params)
    assert all(np.shares_memory(p.grad, vector.grad) for p in params)
    assert all(p._node.ans is p.data for p in params)  # what drawings show


def replace_data(p):
    p.data = p.data.copy()


def replace_grad(p):
    p.grad = np.array(p.grad)


def forget_grad(p):
    g = p.grad.copy()
    p.grad = None
    send(p, g)


def refreeze(p):
    p.requires_grad = False
    p.requires_grad = True


def pack_again(p):
    optim.SGD([p])


def record_grad(p):
    g = p.grad.copy()
    p.zero_grad()
    (p * g).sum().backward(create_graph=True)


@pytest.mark.parametrize(
    "disturb", [replace_data, replace_grad, forget_grad, refreeze, pack_again, record_grad]
)
def test_what_is_assigned_between_steps_counts(disturb):
    params, calm = fresh(), fresh()
    optimizer, other = optim.Adam(params, lr=0.1), optim.Adam(calm, lr=0.1)
    vectors = list(optimizer.vectors)
    for row in draw():
        optimizer.zero_grad()
        for p, g in zip(params, row, strict=True):
            send(p, g)
        disturb(params[1])
        disturb(params[2])
        optimizer.step()
        run(other, calm, [row])
    assert_same(params, calm)
    assert optimizer.vectors == vectors
    assert all(np.shares_memory(p.data, vectors[0].data) for p in params)


def test_assigned_values_are_where_the_step_starts():
    p = gl.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    p.data = [10.0, 20.0]
    p.grad = [2.0, 4.0]
    optimizer.step()
    assert p.tolist() == [9, 18]


def test_a_frozen_parameter_stays():
    params = fresh()
    optimizer = optim.SGD(params, lr=0.1)
    run(optimizer, params, draw()[:1])
    before = values(params)
    params[1].requires_grad = False
    optimizer.step()
    optimizer.zero_grad()
    optimizer.step()
    assert np.array_equal(params[1].data, before[1])
    assert not np.array_equal(params[0].data, before[0])


def test_zero_grad_empties_a_gradient_that_was_frozen_and_thawed():
    (p,) = fresh([(2,)])
    optimizer = optim.SGD([p])
    p.requires_grad = False
    p.requires_grad = True
    send(p, [1.0, 1.0])
    optimizer.zero_grad()
    assert p.grad is None


def test_another_dtype_is_an_error():
    (p,) = fresh([(2,)])
    optimizer = optim.SGD([p])
    p.requires_grad = False
    p._data = p.data.astype(np.float32)
    p.requires_grad = True
    with pytest.raises(DtypeError, match=r"0 was float64 .* float32 now: make a new optimiser"):
        optimizer.step()


def test_a_parameter_may_be_empty():
    p, q = gl.Tensor(np.ones((0, 3)), requires_grad=True), gl.Tensor([1.0], requires_grad=True)
    for params in ([p], [p, q]):
        optimizer = optim.Adam(params)
        for x in params:
            send(x, np.ones(x.shape))
        optimizer.step()
    assert q.data < 1


def test_zero_grad_brings_gradients_back_to_the_vector():
    (p,) = fresh([(2,)])
    optimizer = optim.SGD([p])
    p.grad = None
    optimizer.zero_grad()
    send(p, [1.0, 2.0])
    assert optimizer.vectors[0].grad.tolist() == [1, 2]
