"""What a program would compute differently, in silence, is refused or computed as NumPy does."""

import copy
import pickle
import random
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import CompileError

X = np.array([3.0, -2.0, 1.0, 0.5])
Y = np.array([-1.0, 4.0, 2.0, 0.0])


def changed(write):
    def fn(x):
        h = x * 2.0
        write(h)
        return h

    return fn


def copied(x):
    return x.copy() if isinstance(x, np.ndarray) else x


def assert_same_or_refused(fn, *calls, refused):
    """Compare a compiled function with itself on each call, or see that it is refused."""
    fast = gl.compile(fn)
    for args in calls:
        given = [copied(x) for x in args]
        if refused:
            with pytest.raises(CompileError):
                fast(*given)
        else:
            np.testing.assert_array_equal(fast(*given), fn(*map(copied, args)))
        for now, before in zip(given, args, strict=True):
            np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize(
    ("write", "refused"),
    [
        (lambda h: h.sort(), False),
        (lambda h: np.copyto(h, 9.0, where=h > 0), True),
        (lambda h: np.copyto(h, -h), False),
        (lambda h: np.add(h, 1, out=h), False),
        (lambda h: np.put(h, [0], 9), True),
        (lambda h: np.putmask(h, h > 0, 9), True),
        (lambda h: np.place(h, h > 0, [9.0]), True),
        (lambda h: np.put_along_axis(h, np.array([0]), 7.0, 0), True),
        (lambda h: np.fill_diagonal(h.reshape(2, 2), 0), True),
        (lambda h: np.divide(1.0, h, out=h, where=h != 0), True),
        (lambda h: np.cumsum(h.copy(), 0, None, h), True),
        (lambda h: np.clip(h, 0, 1, h), True),
        (lambda h: np.take(h.copy(), [0, 0, 0, 0], 0, h), True),
        (lambda h: np.modf(h.copy(), out=(h, np.zeros_like(h))), True),
    ],
)
def test_writes_are_those_of_numpy_or_refused(write, refused):
    assert_same_or_refused(changed(write), (X,), (Y,), refused=refused)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: np.put(x, [0], 9),
        lambda x: np.putmask(x, x > 0, 9),
        lambda x: np.fill_diagonal(x.reshape(2, 2), 0),
    ],
)
def test_a_trace_does_not_change_arrays_of_the_caller(write):
    def fn(x):
        write(x)
        return x * 1.0

    assert_same_or_refused(fn, (X,), refused=True)


def split_first(h):
    np.split(h, 2)[0][...] = 0


def split_then_base(h):
    part = np.split(h, 2)[0]
    h *= 2
    h[:2] = part


def broadcast(h):
    other, _ = np.broadcast_arrays(h, h[0])
    h += 1
    h[0] = other[1]


@pytest.mark.parametrize(
    "write",
    [
        split_first,
        split_then_base,
        broadcast,
        lambda h: np.atleast_1d(h, h)[0].fill(7),
        lambda h: np.einsum("ii->i", h.reshape(2, 2)).fill(0),
    ],
)
def test_views_that_are_not_followed_are_not_written_to(write):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert_same_or_refused(changed(write), (X,), refused=True)


@pytest.mark.parametrize("dtype", [int, np.float16])
def test_a_result_goes_into_an_array_that_can_hold_it(dtype):
    def into(x, y):
        x = x.copy()
        x += y
        return x

    x = np.ones(3, dtype)
    if dtype is int:
        with pytest.raises(TypeError, match="float64 result does not fit into int64"):
            gl.compile(into)(x, np.full(3, 0.5))
    else:
        assert_same_or_refused(into, (x, np.full(3, 0.5)), refused=False)


def inverse(x):
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return np.zeros_like(x)


def reciprocal(x, y):
    try:
        return x / y
    except ZeroDivisionError:
        return x


def power(x, y):
    try:
        return x**y
    except OverflowError:
        return x


@pytest.mark.parametrize(
    ("fn", "good", "bad"),
    [
        (inverse, (np.eye(2),), (np.zeros((2, 2)),)),
        (reciprocal, (1.0, 2.0), (1.0, 0.0)),
        (power, (10.0, 2.0), (10.0, 400.0)),
    ],
)
def test_an_error_that_the_function_catches(fn, good, bad):
    assert_same_or_refused(fn, bad, refused=True)
    assert_same_or_refused(fn, good, bad, good, refused=False)


def test_errors_of_floating_point_numbers_are_not_caught():
    def fn(x):
        with np.errstate(divide="raise"):
            try:
                return 1.0 / x
            except FloatingPointError:
                return np.zeros_like(x)

    assert_same_or_refused(fn, (Y,), (X,), refused=True)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, k: x * (2 if k in {0.5, 1.0} else 3),
        lambda x, k: x * {0.5: 2.0}.get(k, 3.0),
        lambda x, k: x * len({k, 0.5}),
        lambda x, k: x * len(set(x)) * k,
        lambda x, k: x * round(k, 1),
        lambda x, k: x * float(f"{k:.1f}"),
        lambda x, k: x[: np.argmax(x)] * k,
    ],
)
def test_numbers_are_no_keys_texts_or_bounds(fn):
    assert_same_or_refused(fn, (X, 0.5), refused=True)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: np.mean(x, dtype="f4"),
        lambda x: np.mean(x, 0, np.float32),
        lambda x: np.sum(x, 0, np.float32),
        lambda x: np.mean(x, where=np.array([True, False, True, True])),
        lambda x: (x * 1j).real,
        lambda x: x.reshape(np.array([2, 2])),
    ],
)
def test_arguments_and_types_that_few_functions_have(fn):
    assert_same_or_refused(fn, (X,), (Y,), refused=False)


class Holder:
    def __init__(self):
        self.factor = 1.0
        self.rng = np.random.default_rng(0)
        self.python = random.Random(0)

    def draw(self, x):
        return x * self.rng.normal()

    @gl.compile
    def scaled(self, x):
        """Scale."""
        return x * self.factor


HOLDER = Holder()


@pytest.mark.parametrize(
    "fn",
    [
        HOLDER.draw,
        lambda x: x * HOLDER.rng.normal(),
        lambda x: x * HOLDER.python.random(),
        lambda x: x * random.random(),
    ],
)
def test_draws_are_refused_wherever_the_generator_is(fn):
    with pytest.raises(CompileError, match="random numbers"):
        gl.compile(fn)(X)


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_a_generator_as_an_argument_is_refused(kind):
    with pytest.raises(CompileError, match="generator"):
        gl.compile(lambda x, rng: x * rng.normal())(X, kind(0))


def test_objects_as_arguments_may_change():
    holder = Holder()
    fast = gl.compile(lambda holder, x: x * holder.factor)
    for factor in (1.0, 2.0):
        holder.factor = factor
        np.testing.assert_array_equal(fast(holder, X), factor * X)
        np.testing.assert_array_equal(holder.scaled(X), factor * X)


def test_objects_with_arrays_are_not_returned():
    def fn(x):
        holder = Holder()
        holder.x = x
        return holder

    for made in (fn, lambda x: (row * 2 for row in x), lambda x: lambda: x):
        with pytest.raises(CompileError, match="returns a "):
            gl.compile(made)(X)


@gl.compile
def doubled(x):
    return x * 2


def test_compiled_functions_can_be_copied_and_pickled():
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    for fast in (gl.compile(np.negative), gl.compile(gl.relu)):
        fast(X)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fast))(X), fast(X))
    np.testing.assert_array_equal(copy.deepcopy(gl.compile(lambda x: x + 1))(X), X + 1)


def step(weights, slope):
    weights["w"] -= 0.1 * slope


@pytest.mark.parametrize(
    ("fn", "first"),
    [
        (step, {"w": X}),
        (lambda w, slope: np.subtract(w, slope, out=w) is None, X),
        (lambda w, slope: w.__setitem__(0, slope[0]), X),
    ],
)
def test_a_step_in_place_that_returns_nothing_is_refused(fn, first):
    with pytest.raises(CompileError, match="return the new ones"):
        gl.compile(fn)(first, Y)


SCRIPT = """
import numpy as np, gradlite as gl
from joblib import Parallel, delayed

@gl.compile
def doubled(x):
    return x * 2

if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(doubled)(np.array([i])) for i in (1.0, 2.0)))
"""


def test_joblib_takes_compiled_functions_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=100
    )
    assert run.stdout == "[array([2.]), array([4.])]\n", run.stderr


@pytest.mark.parametrize(
    "constant", [np.array([0.0, -0.0]), np.full(2, -0.0), np.full(2, np.nan), np.zeros((0, 2))]
)
def test_constants_keep_their_bits_and_shapes_in_memory_and_in_files(constant, tmp_path):
    def fn(x):
        return np.concatenate([x / constant, np.copysign(x, constant), constant.reshape(-1, 2)])

    x = np.ones((constant.shape[0] if constant.ndim == 2 else 1, 2))
    fast = gl.compile(fn)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(fast(x), fn(x))
        fast.save(tmp_path / "saved.py")
        saved = runpy.run_path(str(tmp_path / "saved.py"))
        np.testing.assert_array_equal(saved["fn"](x), fn(x))


def test_a_file_says_why_it_cannot_go_on(tmp_path):
    def fn(x):
        return x * 2 if x[0] > 0 else x

    fast = gl.compile(fn)
    fast(X)
    fast.save(tmp_path / "saved.py")
    saved = runpy.run_path(str(tmp_path / "saved.py"))
    with pytest.raises(ValueError, match="another way through the function"):
        saved["fn"](Y)
