"""What optimisers do not take, and what they say then."""

import math

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.errors import GraphError
from gradlite.optim import LBFGS

p = gl.Tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: optim.SGD([]), ValueError, "no parameters. A generator yields them only once"),
        (lambda: optim.SGD([{"params": []}]), ValueError, "no parameters"),
        (lambda: optim.SGD(p), TypeError, "Tensor in place of parameters: pass a list"),
        (lambda: optim.SGD({"p": p}), TypeError, "dict in place of parameters: pass a list"),
        (lambda: optim.SGD(lambda: [p]), TypeError, r"pass module.parameters\(\)"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, "0 is a ndarray: make it gl.Tensor"),
        (lambda: optim.SGD([("w", 1.0)]), TypeError, "w is a float"),
        (lambda: optim.SGD([p * 2]), GraphError, "0 is the result of an operation"),
        (lambda: optim.SGD([("a", p), ("b", p)]), ValueError, "a and b are the same parameter"),
        (
            lambda: optim.SGD([{"params": [p]}, {"params": [p]}]),
            ValueError,
            "0 and 1 are the same parameter",
        ),
        (
            lambda: optim.SGD([("a", p), ("a", gl.Tensor([1.0], requires_grad=True))]),
            ValueError,
            "two parameters are called a",
        ),
        (lambda: optim.SGD([{"params": [p]}, p]), TypeError, "a group is a dict with 'params'"),
        (
            lambda: optim.SGD([{"params": [p], "momemtum": 0.9}]),
            TypeError,
            "unknown hyperparameter 'momemtum': did you mean 'momentum'",
        ),
        (lambda: optim.SGD([p], lr=-1), ValueError, "SGD: lr must be a number, 0 or more"),
        (lambda: optim.SGD([p], lr=math.nan), ValueError, "not nan"),
        (lambda: optim.SGD([p], lr="fast"), ValueError, "not 'fast'"),
        (lambda: optim.SGD([{"params": [p], "lr": -1}]), ValueError, "lr must be"),
        (lambda: optim.SGD([p], momentum=-0.1), ValueError, "momentum must be"),
        (lambda: optim.SGD([p], nesterov=True), ValueError, "nesterov=True needs momentum"),
        (
            lambda: optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True),
            ValueError,
            "nesterov=True needs momentum above 0 and dampening=0",
        ),
        (lambda: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas must be two numbers"),
        (lambda: optim.Adam([p], betas=0.9), ValueError, "betas must be two numbers.*not 0.9"),
        (lambda: optim.Adadelta([p], rho=1.0), ValueError, "rho must be a number.* below 1"),
        (
            lambda: optim.Adam([p], fused=True, foreach=None),
            TypeError,
            "Adam: omit fused, foreach: there is one implementation",
        ),
        (lambda: optim.RMSprop([p], alpha=1.0), ValueError, "alpha must be a number.* below 1"),
        (lambda: LBFGS([p], max_iter=0), ValueError, "positive integers, not 0"),
        (
            lambda: LBFGS([{"params": [p]}, {"params": [gl.Tensor([1.0], requires_grad=True)]}]),
            ValueError,
            "takes one group of parameters",
        ),
    ],
)
def test_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_repr():
    assert (
        repr(optim.Lion([p]))
        == "<Lion(lr=0.0001, betas=(0.9, 0.99), weight_decay=0.0) of 1 parameters>"
    )


@pytest.mark.parametrize("rate", ["fast", None, np.array([0.1, 0.2])])
def test_a_schedule_that_gives_no_number(rate):
    p = gl.Tensor([1.0], requires_grad=True)
    optimizer = gl.optim.Adam([p], lr=lambda step: rate)
    p.grad = 1.0
    with pytest.raises(TypeError, match=r"Adam: the schedule returned .* in step 0\. A schedule"):
        optimizer.step()
