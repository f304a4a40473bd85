"""L-BFGS: SciPy's steps, stopping, and where it ends."""

import math
import pickle

import numpy as np
import pytest

import gradlite as gl
from gradlite.optim import LBFGS


def rosenbrock(optimizer, x, y):
    def closure():
        optimizer.zero_grad()
        loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lbfgs_minimises(dtype):
    x = gl.Tensor(-1.2, requires_grad=True, dtype=dtype)
    y, idle = gl.Tensor(1.0, requires_grad=True), gl.Tensor([5.0], requires_grad=True)
    optimizer = LBFGS([x, y, idle], max_iter=200)
    idle.grad = [3.0]  # of a step before
    losses = []
    loss = optimizer.step(rosenbrock(optimizer, x, y), losses.append)
    assert [x.item(), y.item()] == pytest.approx([1, 1], abs=1e-2 if dtype == np.float32 else 1e-4)
    assert idle.item() == 5
    assert x.dtype == dtype
    assert losses[-1] == loss == pytest.approx(0, abs=1e-4)
    result = optimizer.result
    assert result.nit == len(losses) <= result.nfev
    if dtype == np.float64:
        assert result.success
        assert "CONVERGENCE" in result.message


def test_lbfgs_takes_scipys_steps():
    from scipy.optimize import minimize

    def plain(v):
        x, y = v
        slope = [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2, np.array(slope)

    options = {"maxiter": 7, "maxcor": 3, "gtol": 1e-8, "ftol": 1e-12}
    known = minimize(plain, [-1.2, 1.0], jac=True, method="L-BFGS-B", options=options)
    x, y = gl.Tensor(-1.2, requires_grad=True), gl.Tensor(1.0, requires_grad=True)
    optimizer = LBFGS([x, y], max_iter=7, history_size=3, gtol=1e-8, ftol=1e-12)
    loss = optimizer.step(rosenbrock(optimizer, x, y))
    assert [x.item(), y.item(), loss] == pytest.approx([*known.x, known.fun], rel=1e-9)
    assert (optimizer.result.nit, optimizer.result.nfev) == (known.nit, known.nfev)


def stop_by_value(losses):
    return len(losses) == 3


def stop_by_exception(losses):
    if len(losses) == 3:
        raise StopIteration


@pytest.mark.parametrize("stop", [stop_by_value, stop_by_exception])
def test_lbfgs_can_be_stopped(stop):
    x, y = gl.Tensor(-1.2, requires_grad=True), gl.Tensor(1.0, requires_grad=True)
    optimizer = LBFGS([x, y], max_iter=200)
    losses = []

    def callback(loss):
        losses.append(loss)
        return stop(losses)

    loss = optimizer.step(rosenbrock(optimizer, x, y), callback)
    assert len(losses) == optimizer.result.nit == 3
    assert loss == losses[-1] == rosenbrock(optimizer, x, y)().item()
    assert not optimizer.result.success


def test_lbfgs_ends_at_the_best_point_when_the_loss_breaks_down():
    x = gl.Tensor(-2.0, requires_grad=True)
    optimizer = LBFGS([x])

    def closure():
        optimizer.zero_grad()
        loss = np.log(x + 3) if x.item() > -2.9 else x * math.nan
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert loss == pytest.approx(math.log(x.item() + 3))
    assert loss <= 0


def test_lbfgs_state_and_copies():
    x, y = gl.Tensor(-1.2, requires_grad=True), gl.Tensor(1.0, requires_grad=True)
    optimizer = LBFGS([x, y], max_iter=5)
    optimizer.step(rosenbrock(optimizer, x, y))
    (u, v), other = pickle.loads(pickle.dumps(((x, y), optimizer)))
    assert other.result == optimizer.result
    assert other.step(rosenbrock(other, u, v)) == optimizer.step(rosenbrock(optimizer, x, y))
    limited = LBFGS([u, v], maxfun=3)
    limited.load_state_dict(optimizer.state_dict())
    assert (limited.steps, limited.param_groups[0]["maxfun"]) == (2, None)
