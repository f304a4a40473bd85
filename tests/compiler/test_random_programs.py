"""Random programs: what they compute compiled is what they compute uncompiled, bit for bit."""

import numpy as np
import pytest

import gradlite as gl

SHAPES = [(3, 4), (4,), (3, 1), ()]
UNARY = [
    np.tanh, np.sin, np.negative, np.square, np.abs, np.exp, gl.sigmoid, gl.relu,
    lambda x: x * 0.5, lambda x: 1.0 - x, lambda x: x**2, lambda x: x / 4, lambda x: x.copy(),
]  # fmt: skip
BINARY = [np.add, np.subtract, np.multiply, np.maximum, lambda x, y: x / (2.0 + y * y)]
REDUCE = [np.sum, np.mean, np.max, lambda x, axis: np.sum(x, axis=axis, keepdims=True)]


def squash(x):
    return np.tanh(x)


def random_program(rng):
    """Draw a list of steps on a growing pool of arrays, in place and through views among them."""
    steps = []
    for _ in range(int(rng.integers(4, 12))):
        kind = rng.choice(["unary", "binary", "reduce", "inplace", "view", "write", "branch"])
        steps.append((kind, rng.integers(0, 1000, 4)))
    return steps


def fit(x, y):
    """Whether two arrays broadcast."""
    pairs = zip(x.shape[::-1], y.shape[::-1], strict=False)
    return all(1 in pair or len({*pair}) == 1 for pair in pairs)


def run(steps, arrays):
    pool = [x * 1.0 for x in arrays]  # in memory of their own
    for kind, (a, b, c, d) in steps:
        x, y = pool[a % len(pool)], pool[b % len(pool)]
        if kind == "unary":
            pool.append(squash(UNARY[c % len(UNARY)](x)))
        elif kind == "binary" and fit(x, y):
            pool.append(BINARY[c % len(BINARY)](x, y))
        elif kind == "reduce" and x.ndim:
            pool.append(REDUCE[c % len(REDUCE)](x, axis=int(d % x.ndim)))
        elif kind == "inplace" and x.ndim and fit(x, y) and (x + y).shape == x.shape:
            if c % 3 == 0:
                x += y * 1.0
            elif c % 3 == 1:
                x *= 0.5
            else:
                x -= np.sin(y)
            pool[a % len(pool)] = x
        elif kind == "view" and x.ndim:
            pool.append([x.T, x.reshape(-1), x[::-1], x[..., :1]][c % 4] + 0.25)
        elif kind == "branch":
            pool.append(x + 1.0 if np.sum(x) > 0 else x - 1.0)
    return sum(np.sum(np.cos(x)) for x in pool)


def written(steps, arrays):
    """The same with writes through views, which Tensors do not take: plain arrays only."""
    pool = [x * 1.0 for x in arrays]
    for kind, (a, b, c, d) in steps:
        x, y = pool[a % len(pool)], pool[b % len(pool)]
        if kind == "write" and x.ndim:
            view = [x.T, x.reshape(-1), x[::-1], x[..., :1]][c % 4]
            if d % 3 == 0:
                view[...] = np.sum(y)
            elif d % 3 == 1:
                view += 1.5
            else:
                x[0] = -0.5
        elif kind == "inplace" and x.ndim:
            x *= 0.5
        elif kind == "binary":
            pool.append(BINARY[c % len(BINARY)](x, y))
        else:
            pool.append(squash(UNARY[c % len(UNARY)](x)))
    return tuple(pool)


@pytest.mark.parametrize("block", range(20))
def test_values_and_gradients(block):
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        steps = random_program(rng)
        dtype = np.float32 if seed % 3 == 0 else np.float64
        f = gl.value_and_grad(lambda arrays, steps=steps: run(steps, arrays))
        compiled = gl.compile(f)
        for _ in range(3):
            arrays = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
            kept = [x.copy() for x in arrays]
            with np.errstate(all="ignore"):
                expected, ours = f(arrays), compiled(arrays)
            np.testing.assert_array_equal(ours[0], expected[0], err_msg=f"seed {seed}")
            for a, b, x, copy in zip(ours[1], expected[1], arrays, kept, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"seed {seed}")
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("block", range(10))
def test_writes_through_views(block):
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        steps = random_program(rng)
        compiled = gl.compile(lambda arrays, steps=steps: written(steps, arrays))
        for _ in range(2):
            arrays = [rng.normal(size=shape) for shape in SHAPES]
            ours, expected = compiled(arrays), written(steps, arrays)
            for a, b in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"seed {seed}")
