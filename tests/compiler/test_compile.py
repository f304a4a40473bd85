"""What a compiled function takes, returns, checks and refuses."""

import math
import subprocess
import sys
import threading
import tracemalloc
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import CompileError

X = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def programs(compiled):
    return sum(map(len, compiled._programs.values()))


# -- arguments and results --------------------------------------------------------------------


def test_a_program_for_each_shape_type_and_structure():
    fast = gl.compile(lambda x: np.sum(x["a"] * 2))
    for x in ({"a": X}, {"a": X + 1}, {"a": X[0]}, {"a": X.astype("f")}, {"a": X, "b": X}):
        assert fast(x) == np.sum(x["a"] * 2)
    assert programs(fast) == 4


def test_python_floats_may_differ_and_take_the_type_of_arrays():
    fast = gl.compile(lambda x, rate: x - rate * 0.5 * x)
    for rate in (0.5, 0.25):
        ans = fast(X.astype("f"), rate)
        assert ans.dtype == np.float32
        np.testing.assert_array_equal(ans, X.astype("f") - rate * 0.5 * X.astype("f"))
    assert programs(fast) == 1


def test_numpy_floats_keep_their_type():
    fast = gl.compile(lambda x, rate: x * rate)
    assert fast(X.astype("f"), np.float64(0.5)).dtype == np.float64


def test_ints_bools_and_strings_are_constants():
    fast = gl.compile(lambda x, n, how: np.sum(x**n) if how == "sum" else x * n)
    assert fast(X, 2, "sum") == np.sum(X**2)
    assert fast(X, 3, "sum") == np.sum(X**3)
    np.testing.assert_array_equal(fast(X, True, "times"), X)
    assert programs(fast) == 3


def test_keywords_and_defaults():
    @gl.compile
    def fast(x, y=2.0, *, z):
        return x * y + z

    np.testing.assert_array_equal(fast(X, z=X), X * 2 + X)
    np.testing.assert_array_equal(fast(X, 3.0, z=X), X * 3 + X)
    np.testing.assert_array_equal(fast(X, z=1.0, y=5.0), X * 5 + 1)
    assert fast.__name__ == "fast"


Pair = namedtuple("Pair", "left right")


def test_trees_come_back_in_their_own_kinds():
    fast = gl.compile(
        lambda t: {"p": Pair(t[0] + 1, [t[1]["k"]]), "o": OrderedDict(a=t[0], n=None)}
    )
    ans = fast((X, {"k": X[0]}))
    assert type(ans["p"]) is Pair
    assert type(ans["o"]) is OrderedDict
    assert ans["o"]["n"] is None
    np.testing.assert_array_equal(ans["p"].left, X + 1)
    np.testing.assert_array_equal(ans["p"].right[0], X[0])


def test_results_are_arrays_of_their_own():
    fast = gl.compile(lambda x: (x, x * 2, x.T, (x * 2).T, np.ones(2)))
    x = X.copy()
    first = fast(x)
    for part in first:
        part += 100
    for ours, theirs in zip(fast(x), (X, X * 2, X.T, (X * 2).T, np.ones(2)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(x, X)


def test_a_large_result_outlives_the_next_call():
    fast = gl.compile(lambda x: np.tanh(np.sin(x) * 2))
    x = np.linspace(0, 1, 10_000)
    first = fast(x)
    kept = first.copy()
    fast(x + 1)
    np.testing.assert_array_equal(first, kept)


def test_arguments_are_not_written_to():
    def f(x):
        x += 1
        x[0] = 0
        return np.sum(x)

    x = X.copy()
    assert gl.compile(f)(x) == f(X.copy())
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::2]])
def test_any_layout(layout):
    f = gl.value_and_grad(lambda x: np.sum(np.tanh(x.reshape(-1)) * x.T.reshape(-1)))
    value, gradient = gl.compile(f)(layout(X))
    expected = f(layout(X))
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])


def test_a_write_through_a_reshape_in_two_layouts():
    def f(x):
        y = x * 2
        y.reshape(-1)[0] = 100.0
        return y

    fast = gl.compile(f)
    for x in (X, np.asfortranarray(X), X[:, ::2], X):
        np.testing.assert_array_equal(fast(x), f(x))


def test_with_tensors_the_function_runs_on_the_tape():
    fast = gl.compile(lambda x: np.sum(np.sin(x)))
    np.testing.assert_array_equal(gl.grad(fast)(X), np.cos(X))
    t = gl.Tensor(X, requires_grad=True)
    fast(t).backward()
    np.testing.assert_array_equal(t.grad, np.cos(X))


def test_a_compiled_function_inside_another_is_part_of_its_program():
    inner = gl.compile(lambda x: np.sin(x) * 2)
    outer = gl.compile(gl.grad(lambda x: np.sum(inner(x))))
    np.testing.assert_array_equal(outer(X), 2 * np.cos(X))
    assert "cos" in outer.source


@pytest.mark.parametrize(
    "transform",
    [
        gl.grad,
        gl.hessian,
        lambda f: lambda x: gl.hvp(f, x, np.ones(3)),
        lambda f: lambda x: gl.jvp(f, (x,), (np.ones(3),)),
        lambda f: lambda x: gl.vjp(f, x)[1](2.0),
        lambda f: gl.jacobian(gl.grad(f)),
        lambda f: gl.grad(lambda x: np.sum(gl.grad(f)(x) ** 2)),
    ],
)
def test_transforms(transform):
    f = transform(lambda x: np.sum(x**3) + np.prod(np.sin(x)) + x @ np.outer(x, x) @ x)
    x = np.array([0.3, -0.5, 2.0])
    for ours, theirs in (
        zip(np.atleast_1d(gl.compile(f)(x)), np.atleast_1d(f(x)), strict=True)
        if not isinstance(f(x), tuple)
        else zip(gl.compile(f)(x), f(x), strict=True)
    ):
        np.testing.assert_array_equal(ours, theirs)


# -- ways through the function ----------------------------------------------------------------


def test_an_if_that_depends_on_numbers_is_traced_again():
    @gl.compile
    def fast(x):
        if np.sum(x) > 0:
            return x * 2
        return x - 1

    for x in (X + 1, X - 1, X + 2, X - 2):
        np.testing.assert_array_equal(fast(x), x * 2 if np.sum(x) > 0 else x - 1)
    assert programs(fast) == 2
    assert "Retrace" in fast.source


def test_loops_are_written_out():
    def newton(x):
        for _ in range(5):
            x = x - (x**2 - 2) / (2 * x)
        return x

    assert gl.compile(newton)(1.0) == newton(1.0)


def test_threads_do_not_share_buffers():
    fast = gl.compile(gl.grad(lambda x: np.sum(np.tanh(x * x) ** 2)))
    inputs = [np.random.default_rng(i).normal(size=5_000) for i in range(4)]
    expected = [fast(x) for x in inputs]
    wrong = []

    def work(x, right):
        for _ in range(50):
            if not np.array_equal(fast(x), right):
                wrong.append(1)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_large_is_allocated_once_warm():
    fast = gl.compile(lambda x: np.sum(np.tanh(np.sin(x) * 2 + x) ** 2))
    x = np.linspace(0, 1, 100_000)
    fast(x), fast(x)
    tracemalloc.start()
    fast(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


# -- what is refused --------------------------------------------------------------------------

RNG = np.random.default_rng(0)
WEIGHT = gl.Tensor(np.ones(4), requires_grad=True)


def fill(x):
    a = np.zeros(3)
    a[0] = x[0, 0]
    return a


def add_to(x):
    a = np.zeros((3, 4))
    a += x
    return a


@pytest.mark.parametrize(
    ("f", "match"),
    [
        (lambda x: x[x > 0], r"np\.where\(mask, x, 0\)"),
        (lambda x: np.nonzero(x), "shape depends on numbers"),
        (lambda x: np.unique(x), "shape depends on numbers"),
        (lambda x: float(np.sum(x)), r"float\(\)"),
        (lambda x: math.exp(np.sum(x)), "np.exp in place of math.exp"),
        (lambda x: np.sum(x).item(), r"item\(\)"),
        (lambda x: list(range(np.argmax(x))), "an index or a count"),
        (lambda x: np.asarray(x), "np.asarray"),
        (lambda x: x * np.random.rand(), "draws random numbers"),
        (lambda x: x * RNG.normal(), "draws random numbers"),
        (fill, "np.zeros_like"),
        (add_to, "np.zeros_like"),
        (lambda x: np.sum(x @ WEIGHT), "Pass parameters as arguments"),
    ],
)
def test_what_no_program_can_do_is_an_error_that_names_the_line(f, match):
    with pytest.raises(CompileError, match=match) as error:
        gl.compile(f)(X)
    assert error.value.args[0].rpartition("\n  at ")[2]
    assert isinstance(error.value, gl.GradliteError)


def test_there_is_no_source_before_the_first_call():
    with pytest.raises(CompileError, match="first call"):
        _ = gl.compile(np.sin).source


# -- the text ---------------------------------------------------------------------------------


def test_the_source_reads_as_numpy():
    @gl.compile
    @gl.value_and_grad
    def neuron(w, b, x):
        out = np.tanh(x @ w + b)
        return np.sum(out)

    neuron(np.array([0.5, -1.0]), 0.25, np.array([1.0, 2.0]))
    assert (
        neuron.source
        == """\
import numpy as np
from numpy import add, dot, tanh


def neuron(w, b, x):
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # out = np.tanh(x @ w + b)
        t1 = dot(x, w)
        t2 = t1 + b
        out = tanh(t2)
        # return np.sum(out)
        t3 = add.reduce(out, axis=None)
        # back through tanh: out = np.tanh(x @ w + b)
        t4 = out * out
        t5 = 1.0 - t4
        # back through matmul: out = np.tanh(x @ w + b)
        grad_w = t5 * x                  # (2,) float64
    return (t3, grad_w)
"""
    )


def in_numpy_alone(folder, code):
    """Run code in a Python that has NumPy and no gradlite."""
    block = "import sys; sys.modules['gradlite'] = None\n"
    ran = subprocess.run(
        [sys.executable, "-c", block + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ran.returncode, ran.stderr
    return ran.stdout


def test_a_saved_program_needs_numpy_alone(tmp_path):
    table = np.random.default_rng(0).normal(size=(4, 30))

    @gl.compile
    @gl.value_and_grad
    def loss(params, x):
        return np.mean(np.tanh(x @ params["w"] + table) ** 2)

    params, x = {"w": np.full((4, 30), 0.1)}, X
    x = np.vstack([X, X[:1]])
    value, gradient = loss(params, x)
    loss.save(tmp_path / "step.py")
    printed = in_numpy_alone(
        tmp_path,
        "import numpy as np, step\n"
        f"x = np.array({x.tolist()})\n"
        "value, gradient = step.loss({'w': np.full((4, 30), 0.1)}, x)\n"
        "print(repr(float(value)), repr(float(gradient['w'].sum())))\n",
    )
    assert printed.split() == [repr(float(value)), repr(float(gradient["w"].sum()))]


def test_a_saved_program_that_meets_other_numbers_says_so(tmp_path):
    fast = gl.compile(lambda x: x * 2 if np.sum(x) > 0 else x)
    fast(np.ones(2))
    fast.save(tmp_path / "step.py")
    code = (
        "import numpy as np, step\ntry: step.function(-np.ones(2))\n"
        "except ValueError as e: print(type(e).__name__)"
    )
    assert in_numpy_alone(tmp_path, code).strip() == "Retrace"


MASK = X > 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x[:, [0, 2, 0]] ** 2).sum(),
        lambda x: (x[[1, 1], [2, 3]] ** 2).sum(),
        lambda x: (x[MASK] ** 2).sum(),
        lambda x: (np.take(x, [[0, 1], [1, 1]], axis=0) ** 2).sum(),
        lambda x: np.tensordot(x, x**2),
        lambda x: (np.tensordot(x, x, ((0,), (0,))) ** 2).sum(),
        lambda x: (np.inner(x, x) ** 2).sum(),
    ],
)
def test_indices_and_contractions_need_numpy_alone(f, tmp_path):
    slope = gl.compile(gl.grad(f))
    slope(X)
    slope.save(tmp_path / "step.py")
    defined = {}
    exec((tmp_path / "step.py").read_text(), defined)
    np.testing.assert_array_equal(defined[slope._latest.name](X), gl.grad(f)(X))


def test_a_variable_may_have_the_name_of_a_function_that_is_called():
    import scipy.special as sp

    def inside(x):
        gammaln = sp.gammaln(x)
        return gammaln + np.exp(x)

    for f in (
        lambda erf: sp.erf(erf) + 1,
        lambda x, expit: sp.expit(x) + expit,
        lambda exp: np.exp(exp),
        inside,
    ):
        args = [np.abs(X) + 0.5] * f.__code__.co_argcount
        np.testing.assert_array_equal(gl.compile(f)(*args), f(*args))


def test_what_calls_other_packages_cannot_be_saved(tmp_path):
    import scipy.special

    fast = gl.compile(lambda x: scipy.special.expit(x))
    fast(X)
    with pytest.raises(CompileError, match=r"scipy.special.expit"):
        fast.save(tmp_path / "step.py")


# -- modules ----------------------------------------------------------------------------------


def network():
    rng = np.random.default_rng(0)
    return gl.nn.Sequential(
        gl.nn.Linear(4, 16, rng=rng),
        gl.nn.BatchNorm1d(16),
        gl.nn.ReLU(),
        gl.nn.Dropout(0.5, rng=np.random.default_rng(1)),
        gl.nn.Linear(16, 3, rng=rng),
    )


def step_in_place(net):
    with gl.no_grad():
        for p in net.parameters():
            p *= 1.5


@pytest.mark.parametrize(
    "change",
    [
        step_in_place,
        lambda net: net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()}),
        lambda net: setattr(net[0].weight, "data", np.ones((16, 4), np.float32)),
        lambda net: net.train(),
        lambda net: setattr(net[1], "eps", 0.5),
        lambda net: setattr(net, "2", gl.nn.Tanh()),
        lambda net: setattr(net[4], "bias", gl.nn.Parameter(np.ones(3, np.float32))),
        lambda net: net.astype(np.float64),
    ],
)
def test_a_module_is_read_in_each_call(change):
    net, twin = network().eval(), network().eval()
    fast, x = gl.compile(net), X.astype("f")
    for _ in range(2):
        ours, theirs = fast(x), twin(x)
        assert isinstance(ours, gl.Tensor)
        assert not ours.requires_grad
        np.testing.assert_array_equal(ours.data, theirs.data)
        change(net)
        change(twin)


def test_a_module_in_training_draws_and_keeps_statistics():
    net, twin = network(), network()
    fast = gl.compile(net)
    for _ in range(3):
        np.testing.assert_array_equal(fast(X.astype("f")).data, twin(X.astype("f")).data)
    for (name, ours), (_, theirs) in zip(net.named_buffers(), twin.named_buffers(), strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert net[3].rng.bit_generator.state == twin[3].rng.bit_generator.state


def test_a_saved_module_has_its_parameters(tmp_path):
    net = network().eval()
    fast = gl.compile(net)
    ans = fast(X.astype("f"))
    fast.save(tmp_path / "net.py")
    code = (
        "import numpy as np, net\n"
        "x = np.linspace(-1.0, 1.0, 12).reshape(3, 4).astype('f')\n"
        "print(net.forward(x).tolist())"
    )
    assert in_numpy_alone(tmp_path, code).strip() == str(ans.data.tolist())
