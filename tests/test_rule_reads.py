"""What a rule's code says that it reads decides what the tape keeps: the same on every Python.

Finding too much costs memory; finding too little would be a wrong gradient. What a rule reads is
told by compiled code, which differs from one Python to the next.
"""

import functools
import inspect
import sys

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import RULES, Rule
from gradlite.errors import GraphError

X, Y = np.array([0.5, -1.5, 2.0]), np.array([3.0, 0.25, -1.0])
NOTHING, FIRST, SECOND, BOTH = range(4)


def helper(g, x):
    return g * x


def reassigned(g, ans, x, y):
    x = np.negative(x)
    return g * x


def augmented(g, ans, x, y):
    n = 2
    n *= y.size
    return g * n


def guarded(g, ans, x, y):
    try:
        return g / x.size
    finally:
        x.ndim  # noqa: B018  # metadata, read for nothing


def in_finally(g, ans, x, y):
    try:
        z = g
    finally:
        z = g * x
    return z


def matched(g, ans, x, y):
    match x:
        case np.ndarray():
            return g
        case _:
            return g * 2


def documented(g, ans, x, y):
    """Multiply g by two: x, y and ans are not read."""
    return g * 2.0


def unpacked(g, ans, x, y):
    a, b = g, y
    return a * b


EXACT = {
    "nothing": (lambda g, ans, x, y: g * 2.0, False, NOTHING),
    "an argument": (lambda g, ans, x, y: g * y, False, SECOND),
    "both": (lambda g, ans, x, y: g * x * y, False, BOTH),
    "the output": (lambda g, ans, x, y: g * ans, True, NOTHING),
    "the first of two": (lambda g, ans, x, y: x * g, False, FIRST),
    "the output, first of two": (lambda g, ans, x, y: ans * g, True, NOTHING),
    "twice": (lambda g, ans, x, y: x * x, False, FIRST),
    "metadata": (lambda g, ans, x, y: g * np.zeros(x.shape).ndim * y.size, False, NOTHING),
    "metadata after another variable": (lambda g, ans, x, y: helper(g, y.size), False, NOTHING),
    "metadata before another variable": (lambda g, ans, x, y: x.size * y, False, SECOND),
    "metadata and more": (lambda g, ans, x, y: x.size * g * x, False, FIRST),
    "metadata of the output": (lambda g, ans, x, y: g * ans.size, True, NOTHING),
    "another attribute": (lambda g, ans, x, y: g * x.T, False, FIRST),
    "an attribute of metadata": (lambda g, ans, x, y: g * x.shape.count(3), False, NOTHING),
    "an entry": (lambda g, ans, x, y: g * x[0], False, FIRST),
    "a method": (lambda g, ans, x, y: g * x.sum(), False, FIRST),
    "a helper": (lambda g, ans, x, y: helper(g, x), False, FIRST),
    "a choice": (lambda g, ans, x, y: x if y.size > 1 else g, False, FIRST),
    "a name for it": (lambda g, ans, x, y: (z := x).size * g + 0 * z.size, False, FIRST),
    "a nested function": (lambda g, ans, x, y: (lambda: g * x)(), False, FIRST),
    "a nested default": (lambda g, ans, x, y: (lambda z=x: g * z)(), False, FIRST),
    "a comprehension": (lambda g, ans, x, y: g * np.array([y for _ in x.shape])[0], False, SECOND),
    "a generator": (lambda g, ans, x, y: g * sum(x[i] for i in range(3)), False, FIRST),
    "assigned again": (reassigned, False, FIRST),
    "augmented": (augmented, False, NOTHING),
    "metadata in finally": (guarded, False, NOTHING),
    "in finally": (in_finally, False, FIRST),
    "matched": (matched, False, FIRST),
    "only in the docstring": (documented, False, NOTHING),
    "unpacked": (unpacked, False, SECOND),
    "a parameter": (lambda g, ans, x, y, factor=2.0: g * factor, False, NOTHING),
    "keywords": (lambda g, ans, x, y, **params: g * y, False, SECOND),
    "any number, none": (lambda g, ans, *arrays: g, False, NOTHING),
    "any number": (lambda g, ans, *arrays: g * arrays[1], False, BOTH),
    "any number after the first": (lambda g, ans, x, *more, k=2.0: g * k * more[0], False, SECOND),
    "any number, not the output": (lambda g, ans, x, *more: g * x, False, FIRST),
    "all in one": (lambda g, *rest: g * rest[0] * rest[2], True, BOTH),
    "everything": (lambda *every: every[0] * every[3], True, BOTH),
}


class Doubling:
    def vjp(self, g, ans, x, y):
        return 2 * g * y

    @classmethod
    def of_class(cls, g, ans, x, y):
        return 2 * g * ans

    def __call__(self, g, ans, x, y):
        return 2 * g * x


def decorated(vjp):
    @functools.wraps(vjp)
    def wrapper(*args, **params):
        return vjp(*args, **params)

    return wrapper


def evaluated(expression):
    """Compute with the variables of the caller, as numexpr.evaluate does."""
    return eval(expression, {}, dict(sys._getframe(1).f_locals))


def executed(g, ans, x, y):
    names = {"g": g, "z": None, "at": lambda name: sys._getframe(2).f_locals[name]}
    exec("z = g * at('x')", names)
    return names["z"]


def deleted(g, ans, x, y):
    del y
    return g * x


def long(g, ans, x, y):
    return g


# So many names that instructions need more room for their arguments.
exec(
    "def long(g, ans, x, y):\n"
    + "".join(f"    if g is None: return name_{i}\n" for i in range(300))
    + "    return g * x.T * y.size",
)

SAFE = {
    "by keyword": (lambda g, ans, x, y: helper(g=g, x=y), False, SECOND),
    "a comprehension's own": (lambda g, ans, x, y: g * sum(y for y in range(3)) * x, False, FIRST),
    "both of a name": (lambda g, ans, x, y: sum([y for x in range(2)]) * g, False, SECOND),
    "metadata in a nested function": (lambda g, ans, x, y: (lambda: g * y * x.size)(), False, 2),
    "deleted": (deleted, False, FIRST),
    "long": (long, False, FIRST),
    "a partial function": (
        functools.partial(lambda k, g, ans, x, y: k * g * x * ans, 2.0), True, FIRST,
    ),
    "a bound method": (Doubling().vjp, False, SECOND),
    "a class method": (Doubling.of_class, True, NOTHING),
    "an object": (Doubling(), False, FIRST),
    "a decorated function": (decorated(lambda g, ans, x, y: g * ans * y), True, SECOND),
    "a static method": (staticmethod(lambda g, ans, x, y: g * x), False, FIRST),
    "a ufunc": (np.frompyfunc(lambda g, ans, x, y: g * x, 4, 1), False, FIRST),
    "locals": (lambda g, ans, x, y: g * locals()["y"], False, SECOND),
    "some local": (lambda g, ans, x, y: g * list(locals().values())[2], False, FIRST),
    "vars": (lambda g, ans, x, y: g * vars()["ans"], True, NOTHING),
    "eval": (lambda g, ans, x, y: eval("g * " + "xy"[1]), False, SECOND),
    "exec": (executed, False, FIRST),
    "a frame": (lambda g, ans, x, y: g * sys._getframe().f_locals[chr(120)], False, FIRST),
    "its own frame": (
        lambda g, ans, x, y: g * inspect.currentframe().f_locals[chr(121)], False, SECOND,
    ),
    "a nested frame": (
        lambda g, ans, x, y: (lambda: g * sys._getframe(1).f_locals[chr(121)])(), False, 2,
    ),
    "an expression": (lambda g, ans, x, y: evaluated("g * abs(ans) + x"), True, FIRST),
}  # fmt: skip


def found(vjp):
    return Rule(np.add, (vjp, None)).saved_inputs[1]


@pytest.mark.parametrize("name", EXACT)
def test_exactly_what_a_rule_reads_is_kept(name):
    vjp, ans, arrays = EXACT[name]
    assert found(vjp) == (ans, arrays)


@pytest.mark.parametrize("name", SAFE)
def test_at_least_what_a_rule_reads_is_kept(name):
    vjp, ans, arrays = SAFE[name]
    keep_ans, keep = found(vjp)
    assert keep_ans >= ans
    assert keep & arrays == arrays


def gradient(vjp):
    """The gradient by an intermediate result, of which only the graph knows."""
    operation = gl.primitive(lambda x, y: np.sin(x) * y)
    gl.defvjp(operation, vjp, None)
    try:
        x = gl.Tensor(X, requires_grad=True)
        operation(x * 1.0, gl.Tensor(Y, requires_grad=True) * 1.0).sum().backward()
    finally:
        del RULES[operation]
    return x.grad


@pytest.mark.parametrize("name", [*EXACT, *SAFE])
def test_every_rule_finds_what_it_reads(name):
    vjp, *_ = {**EXACT, **SAFE}[name]
    expected = vjp(np.ones(3), np.sin(X) * Y, X, Y)
    np.testing.assert_array_equal(gradient(vjp), np.asarray(expected, float))


def test_rules_of_any_number_of_arrays():
    cases = {
        (lambda i, g, ans, *arrays: g * arrays[i]): (False, -1),
        (lambda i, g, ans, *arrays: g): (False, 0),
        (lambda i, g, ans, *arrays, axis=0: g * ans * axis): (True, 0),
        (lambda i, g, ans, first, *more: g * first.size): (False, 0),
        (lambda i, *rest: rest[1]): (True, -1),
        (lambda *every: every[2]): (True, -1),
        functools.partial(lambda k, i, g, ans, *arrays: g, 1): (True, -1),
    }
    for variadic, expected in cases.items():
        assert Rule(np.add, (), variadic).saved_inputs[-1] == expected


def traced(vjp):
    def trace(frame, event, arg):
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        vjp(np.ones(3), X * Y, X, Y)
        return found(vjp)
    finally:
        sys.settrace(before)


def monitored(vjp):
    monitoring, tool = sys.monitoring, 4
    events = monitoring.events
    every = events.LINE | events.INSTRUCTION | events.PY_START | events.PY_RETURN
    monitoring.use_tool_id(tool, "test")
    try:
        monitoring.set_local_events(tool, vjp.__code__, every)
        vjp(np.ones(3), X * Y, X, Y)
        return found(vjp)
    finally:
        monitoring.set_local_events(tool, vjp.__code__, 0)
        monitoring.free_tool_id(tool)


def run_often(vjp):
    for _ in range(200):  # the interpreter puts instructions for arrays in place of general ones
        vjp(np.ones(3), X * Y, X, Y)
    return found(vjp)


WAYS = [traced, run_often, *([monitored] if sys.version_info >= (3, 12) else [])]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EXACT)
def test_a_debugger_coverage_or_much_use_changes_nothing(name, way):
    vjp, ans, arrays = EXACT[name]
    assert way(vjp) == (ans, arrays)


hidden = locals


@pytest.mark.parametrize(
    "compute", [np.negative, np.ones_like, np.asarray, np.sum, lambda x: x * 2.0, lambda x: x[0]]
)
def test_what_is_read_in_a_way_that_nobody_can_see_is_an_error(compute):
    def vjp(g, ans, x, y):
        return np.ones(3) * compute(hidden()[chr(120)])

    assert found(vjp) == (False, NOTHING)
    with pytest.raises((GraphError, TypeError)):
        gradient(vjp)


def test_the_error_names_the_remedy():
    def vjp(g, ans, x, y):
        return g * hidden()[chr(120)]

    with pytest.raises(GraphError, match="name the argument there"):
        gradient(vjp)
