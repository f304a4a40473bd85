"""What people write: a compiled function does the same, or says that it cannot."""

import functools
import math
import pickle
import random
import weakref

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.errors import CompileError, GradliteError

X = np.linspace(-1.0, 2.0, 12).reshape(3, 4)
V = np.array([0.5, -1.5, 2.0])
INTS = np.arange(6)


def constant_changed_after_use(x):
    a = np.zeros(4)
    y = x + a
    a[0] = 5.0
    return y


def mask_in_a_loop(x):
    m, rows = np.zeros(4), []
    for i in range(4):
        m[:] = 0
        m[i] = 1
        rows.append(x @ m)
    return np.stack(rows)


def numbers_are_rebound(x):
    s = np.sum(x)
    t = s
    t += 1
    return s, t


def moving_average(x):
    s, out = x[0], []
    for value in x:
        s *= 0.5
        s += 0.5 * value
        out.append(s)
    return np.stack(out)


def float_is_rebound(x, t):
    t += 0.5
    return x * t


def int_sum(x):
    s = np.sum(x)
    s += 0.5
    return s


def sorted_in_place(x):
    y = x * 2
    y.sort()
    return y


def flat_of_columns(x):
    y = x * 2
    y[:, ::2].flat[1] = 100.0
    return y


def split_and_written(x):
    y = x * 2
    a, _ = np.split(y, 2, axis=1)
    a[...] = 0
    return y


def diagonal_by_einsum(x):
    y = x[:, :3] * 2
    np.einsum("ii->i", y)[...] = 0
    return y


def filled_diagonal(x):
    y = x * 2
    np.fill_diagonal(y, 0)
    return y


def where_out(x):
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


def copied_where(x):
    y = x * 2
    np.copyto(y, 0.0, where=y > 0)
    return y


def until_argmax(x):
    return x[: np.argmax(x) + 1]


def fallback(x):
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return x


def in_place_on_integers(x):
    y = x * 2
    y += 0.5
    return y


GOOD, BAD = np.eye(2) * 2, -np.eye(2)
CALLS = [
    (constant_changed_after_use, (X,), (X + 1,)),
    (mask_in_a_loop, (X,), (X + 1,)),
    (numbers_are_rebound, (X,), (X + 1,)),
    (moving_average, (V,), (V + 1,)),
    (float_is_rebound, (X, 1.0), (X, 2.0)),
    (int_sum, (INTS,), (INTS + 1,)),
    (sorted_in_place, (V,), (-V,)),
    (flat_of_columns, (X,), (X + 1,)),
    (split_and_written, (X,), (X + 1,)),
    (diagonal_by_einsum, (X,), (X + 1,)),
    (filled_diagonal, (X,), (X + 1,)),
    (where_out, (X,), (-X,)),
    (copied_where, (X,), (-X,)),
    (until_argmax, (V,), (-V,)),
    (fallback, (GOOD,), (BAD,), (GOOD,)),
    (fallback, (BAD,), (GOOD,)),
    (in_place_on_integers, (INTS,)),
    (lambda x, n: np.mean(x[:n]), (V, np.int64(2)), (V, np.int64(3))),
    (lambda x, n: np.repeat(x, n), (V, np.array([1, 2, 0])), (V, np.array([0, 0, 1]))),
    (lambda t: (-2.0) ** t, (2.0,), (3.0,)),
    (lambda x: np.sum(x, 0, np.float64), (X.astype("f"),)),
    (lambda x: np.mean(x, dtype=np.float32), (X,)),
    (lambda x: x.sum(0, np.float64), (X.astype("f"),)),
    (lambda x: x / 1, (INTS,)),
    (lambda x: np.ldexp(x, 2), (X,)),
    (lambda z: z.real, (X + 1j,)),
    (lambda x: {"inf": x, "nan": x, math.inf: x}, (X,)),
    (lambda x: np.copysign(x, np.array([0.0, -0.0, 0.0])), (V,)),
    (lambda x: np.sum(x) ** 3, (X,), (X + 0.1,)),
    (lambda x: (x[::-1] @ x, x[::2] @ x[::2]), (np.sin(np.arange(101.0)),)),
    (lambda x: x * 1024 * 1024, (np.array([0.001], np.float16),)),
    (gl.grad(lambda x: np.sum(x)), (X,)),
    (gl.hessian(lambda x: x @ x), (V,)),
    (lambda np, x: np * x, (V, V)),
    (lambda Retrace: Retrace * 2, (V,)),
    (lambda arg1, *rest: arg1 + rest[0], (V, V)),
    (lambda x: np.random.normal() * x, (V,)),
    (lambda x: random.random() * x, (V,)),
    (lambda x, rng: x * rng.normal(), (V, np.random.default_rng(0))),
    (lambda x, rng=np.random.default_rng(0): x * rng.normal(), (V,)),  # noqa: B008  # meant: a default
    (functools.partial(lambda rng, x: x * rng.normal(), np.random.default_rng(0)), (V,)),
    (lambda x: (part for part in x), (V,)),
    (lambda x: map(np.sin, x), (V,)),
    (lambda x: gl.vjp(np.sin, x), (V,)),
    (lambda d: {**d, "y": d["x"]}, ({"x": V, 1: V},), ({"x": V, True: V},)),
]


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(map(repr, a)) == list(map(repr, b))
        a, b = tuple(a.values()), tuple(b.values())
    if isinstance(a, (tuple, list)):
        for x, y in zip(a, b, strict=True):
            same(x, y)
        return
    np.testing.assert_array_equal(a, b)
    assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("case", CALLS, ids=map(str, range(len(CALLS))))
def test_it_is_the_same_or_an_error(case):
    f, *calls = case
    compiled = gl.compile(f)
    for args in calls:
        try:
            with np.errstate(all="ignore"):
                expected = f(*args)
        except TypeError:
            with pytest.raises(TypeError):
                compiled(*args)
            continue
        try:
            with np.errstate(all="ignore"):
                ours = compiled(*args)
        except CompileError:
            continue
        same(ours, expected)


MUST_RUN = [0, 1, 2, 3, 4, 5, 6, 17, 19, 20, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31, 32]


@pytest.mark.parametrize("number", MUST_RUN)
def test_these_have_programs(number):
    f, *calls = CALLS[number]
    compiled = gl.compile(f)
    with np.errstate(all="ignore"):
        compiled(*calls[0])
    assert compiled.source


def test_a_global_array_has_the_value_of_the_first_call():
    table = np.arange(4.0)
    fast = gl.compile(lambda x: x + table)
    fast(X)
    table[:] = 100.0
    np.testing.assert_array_equal(fast(X), X + np.arange(4.0))


def test_a_read_only_argument_is_not_written_to():
    x = X.copy()
    x.flags.writeable = False

    def f(x):
        x += 1
        return x

    with pytest.raises(ValueError, match="read-only"):
        gl.compile(f)(x)


class Scaled:
    factor = 2.0

    @gl.compile
    def apply(self, x):
        return x * self.factor


def test_methods_and_pickles():
    np.testing.assert_array_equal(Scaled().apply(X), X * 2)
    fast = pickle.loads(pickle.dumps(gl.compile(np.sin)))
    np.testing.assert_array_equal(fast(X), np.sin(X))


def test_what_counts_is_refused():
    calls = []

    def f(x):
        calls.append(1)
        return x * len(calls)

    with pytest.raises(CompileError, match="calls"):
        gl.compile(f)(X)
    assert not calls


def test_augmented_assignment_to_zeros_inside_grad():
    def f(b):
        x = np.zeros_like(b)
        x += b * b
        return np.sum(x)

    np.testing.assert_array_equal(gl.compile(gl.grad(f))(V), 2 * V)


class Choosing(nn.Module):
    """Dropout, and then a choice that depends on numbers."""

    def __init__(self):
        self.drop = nn.Dropout(0.5, rng=np.random.default_rng(0))

    def forward(self, x):
        h = self.drop(x)
        return h * 2 if np.sum(x) > 0 else np.sqrt(h)


@pytest.mark.parametrize("signs", [(1, -1, 1, -1), (-1, 1), (1, 1, -1, -1, 1)])
def test_a_choice_after_draws_draws_once(signs):
    plain, compiled = Choosing(), Choosing()
    fast = gl.compile(compiled)
    for sign in signs:
        x = sign * np.ones(20)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(fast(x).data, plain(x).data)
    assert compiled.drop.rng.bit_generator.state == plain.drop.rng.bit_generator.state


def test_an_error_after_draws_draws_once():
    plain, compiled = Choosing(), Choosing()
    fast = gl.compile(compiled)
    fast(np.ones(20)), plain(np.ones(20))
    for model in (fast, plain):
        with pytest.raises(FloatingPointError), np.errstate(all="raise"):
            model(np.full(20, 1e308))
    assert compiled.drop.rng.bit_generator.state == plain.drop.rng.bit_generator.state


@pytest.mark.parametrize("transform", [lambda f: f, gl.grad, gl.value_and_grad])
def test_arguments_are_not_kept(transform):
    fast = gl.compile(transform(lambda x: np.sum(np.tanh(x) ** 2)))
    x = np.ones(10_000)
    kept = weakref.ref(x)
    fast(x)
    del x
    assert kept() is None


# -- rules of users ---------------------------------------------------------------------------


@gl.primitive
def swish(x, beta=1.0):
    return x / (1 + np.exp(-beta * x))


gl.defvjp(swish, lambda g, ans, x, beta=1.0: g * (ans * beta + (1 - ans * beta) * ans / x))


@gl.primitive
def longest(*xs):
    return np.stack([np.sum(x * x) for x in xs])


gl.defvjp(longest, variadic=lambda i, g, ans, *xs: 2 * g[i] * xs[i])


@gl.primitive
def by_element(x):
    return x * 3


gl.defvjp(by_element, lambda g, ans, x: [g[i] * 3 for i in range(len(x))])


@gl.primitive
def halves(x):
    return x[:1] * 2, x[1:] * 3


gl.defvjp(halves, lambda g, ans, x: np.concatenate([g[0] * 2, g[1] * 3]), multiple_outputs=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(swish(x)),
        lambda x: np.sum(swish(x, beta=2.0) ** 2),
        lambda x: np.sum(longest(x, 2 * x, x) ** 2),
        lambda x: np.sum(by_element(x) * x),
        lambda x: np.sum(halves(x)[1] ** 2) + np.sum(halves(x)[0]),
    ],
)
def test_rules_of_users(f):
    for transform in (gl.grad, gl.hessian):
        np.testing.assert_array_equal(gl.compile(transform(f))(V), transform(f)(V))


@pytest.mark.parametrize(
    ("slope", "message"),
    [
        (lambda g, ans, x: g * 1j, "complex"),
        (lambda g, ans, x: g[:1], "shape"),
        (lambda g, ans, x: None, "None"),
    ],
)
def test_wrong_rules_of_users_are_errors(slope, message):
    @gl.primitive
    def same(x):
        return x * 1

    gl.defvjp(same, slope)
    with pytest.raises(GradliteError, match=message):
        gl.compile(gl.grad(lambda x: np.sum(same(x))))(V)
