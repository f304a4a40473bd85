"""Plain formulas of the optimisers, and small runs for the tests."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.optim import LBFGS, OPTIMIZERS

SHAPES = [(2, 3), (), (4,)]
STEPS = 20

# Each formula takes a start and the gradients of one parameter, and gives where it ends: numbers
# in float64, nothing in place, nothing shared.


def sgd(p, grads, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    velocity = None
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        step = g + momentum * velocity if nesterov else velocity
        p = p - lr * (step if momentum else g)
    return p


def averages(p, grads, betas, weight_decay=0, maximize=False):
    """Yield the step's number, the gradient and Adam's averages; the parameters are sent back."""
    m = v = 0
    for t, g in enumerate(grads, 1):
        g = (-g if maximize else g) + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = yield t, g, m, v


def descend(p, grads, betas, step, weight_decay=0, maximize=False, decoupled=0):
    """Follow the step that each gradient asks for, after a decoupled decay."""
    moments = averages(p, grads, betas, weight_decay, maximize)
    found = next(moments)
    while True:
        p = p - decoupled * p - step(*found)
        try:
            found = moments.send(p)
        except StopIteration:
            return p


def adam(p, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, decoupled=0, **rest):
    largest = 0

    def step(t, g, m, v):
        nonlocal largest
        largest = np.maximum(largest, v) if amsgrad else v
        return lr * (m / (1 - betas[0] ** t)) / (np.sqrt(largest / (1 - betas[1] ** t)) + eps)

    return descend(p, grads, betas, step, decoupled=lr * decoupled, **rest)


def adamw(p, grads, weight_decay=0.01, **settings):
    return adam(p, grads, decoupled=weight_decay, **settings)


def nadam(
    p,
    grads,
    lr=2e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0,
    momentum_decay=4e-3,
    decoupled_weight_decay=False,
    **rest,
):
    def mu(t):
        return betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def step(t, g, m, v):
        now, following = (1 - np.prod([mu(i + 1) for i in range(n)]) for n in (t, t + 1))
        ahead = (1 - mu(t)) / now * g + mu(t + 1) / following * m
        return lr * ahead / (np.sqrt(v / (1 - betas[1] ** t)) + eps)

    own = weight_decay * decoupled_weight_decay
    return descend(p, grads, betas, step, weight_decay - own, decoupled=lr * own, **rest)


def radam(
    p,
    grads,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0,
    decoupled_weight_decay=False,
    **rest,
):
    def step(t, g, m, v):
        limit = 2 / (1 - betas[1]) - 1
        known = 1 - betas[1] ** t
        rho = limit - 2 * t * betas[1] ** t / known
        m = m / (1 - betas[0] ** t)
        if rho <= 5:
            return lr * m
        r = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        return lr * m * np.sqrt(r * known) / (np.sqrt(v) + eps)

    own = weight_decay * decoupled_weight_decay
    return descend(p, grads, betas, step, weight_decay - own, decoupled=lr * own, **rest)


def adamax(p, grads, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, **rest):
    largest = 0

    def step(t, g, m, v):
        nonlocal largest
        largest = np.maximum(betas[1] * largest, abs(g) + eps)
        return lr / (1 - betas[0] ** t) * m / largest

    return descend(p, grads, betas, step, **rest)


def rmsprop(
    p,
    grads,
    lr=1e-2,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0,
    momentum=0,
    centered=False,
    maximize=False,
):
    v = mean = b = 0
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
        p = p - lr * b
    return p


def adagrad(
    p,
    grads,
    lr=1e-2,
    lr_decay=0,
    weight_decay=0,
    initial_accumulator_value=0,
    eps=1e-10,
    maximize=False,
):
    v = initial_accumulator_value
    for t, g in enumerate(grads):
        g = (-g if maximize else g) + weight_decay * p
        v = v + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(v) + eps)
    return p


def adadelta(p, grads, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, maximize=False):
    v = u = 0
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        v = rho * v + (1 - rho) * g**2
        d = np.sqrt((u + eps) / (v + eps)) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d
    return p


def lion(p, grads, lr=1e-4, betas=(0.9, 0.99), weight_decay=0):
    m = 0
    for g in grads:
        p = p - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * p)
        m = betas[1] * m + (1 - betas[1]) * g
    return p


CASES = {
    sgd: [
        {},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"lr": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    adam: [
        {},
        {"maximize": True},
        {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.7)},
        {"lr": 0.1, "amsgrad": True, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "weight_decay": 0.1},
    ],
    adamw: [
        {},
        {"lr": 0.1, "amsgrad": True, "maximize": True},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "weight_decay": 0.3},
    ],
    nadam: [
        {},
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "weight_decay": 0.1, "momentum_decay": 0.3},
    ],
    radam: [
        {},  # six steps before the first rectified one
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
        {"lr": 0.1, "betas": (0.9, 0.6)},  # none, and a limit of 4
        {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1},
    ],
    adamax: [
        {},
        {"maximize": True},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "weight_decay": 0.1},
    ],
    rmsprop: [
        {},
        {"maximize": True, "weight_decay": 0.1},
        {"lr": 0.1, "alpha": 0.8, "eps": 0.1, "weight_decay": 0.1},
        {"momentum": 0.9},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1},
    ],
    adagrad: [
        {},
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1},
        {"maximize": True},
        {"initial_accumulator_value": 0.5, "eps": 0.1},
    ],
    adadelta: [
        {},
        {"maximize": True},
        {"lr": 0.5, "rho": 0.7, "eps": 0.1, "weight_decay": 0.1},
    ],
    lion: [{}, {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.1}],
}
STEPPERS = {name: kind for name, kind in OPTIMIZERS.items() if kind is not LBFGS}
every = pytest.mark.parametrize("name", STEPPERS)


def cases():
    return list(_cases())


def _cases():
    for formula, settings in CASES.items():
        for i, kwargs in enumerate(settings):
            yield pytest.param(formula, kwargs, id=f"{formula.__name__}-{i}")


def fresh(shapes=SHAPES, dtype=float, seed=0):
    rng = np.random.default_rng(seed)
    return [gl.Tensor(rng.normal(size=shape), requires_grad=True, dtype=dtype) for shape in shapes]


def draw(shapes=SHAPES, steps=STEPS, seed=1):
    """Gradients: for each step, one for each parameter."""
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape) for shape in shapes] for _ in range(steps)]


def send(p, g):
    """Let a backward pass bring the gradient g to p."""
    (p * np.asarray(g, p.dtype)).sum().backward()


def run(optimizer, params, grads):
    """Step with each row of gradients; None for a parameter leaves it without one."""
    for row in grads:
        optimizer.zero_grad()
        for p, g in zip(params, row, strict=True):
            if g is not None:
                send(p, g)
        optimizer.step()


def values(params):
    return [p.data.copy() for p in params]


def assert_same(params, others):
    for p, q in zip(params, others, strict=True):
        assert np.array_equal(p.data, q.data)


def interesting(name):
    """The richest settings of an optimiser."""
    return {formula.__name__: settings[-1] for formula, settings in CASES.items()}[name]
