"""What a function changes, draws or is refused, wherever it does so, is refused and taken back."""

import copy
import itertools
import types
from collections import deque

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import CompileError
from tests.compiler.test_refused import X, assert_same_or_refused


class Far:
    """Remembers in places that no attribute of the function leads to at once."""

    shared = 0

    def __init__(self):
        self.inner = types.SimpleNamespace(own=Plain())
        self.table = {"nested": [0]}
        self.queue, self.marks = deque([0], maxlen=2), {0}
        self.array = np.zeros(1)
        self.legacy, self.rng = np.random.RandomState(0), np.random.default_rng(0)


class Plain:
    calls = 0


FAR = Far()
TOTAL = 0


def adds():
    global TOTAL
    TOTAL += 1


def counts():
    FAR.inner.own.calls += 1


def nests():
    FAR.table["nested"][0] += 1


def queues():
    FAR.queue.append(1)


def marks():
    FAR.marks.add(len(FAR.marks))


def fills():
    FAR.array += 1


def shares():
    Far.shared += 1


def defaults(memory=[]):  # noqa: B006 -- that is the point
    memory.append(1)


def draws():
    FAR.rng.normal()


def draws_legacy():
    FAR.legacy.normal()


def draws_globally():
    np.random.normal()


def state():
    far = vars(FAR) | {"inner": vars(FAR.inner.own), "rng": FAR.rng.bit_generator.state}
    legacy = FAR.legacy.get_state()[2], np.random.get_state()[2]
    return copy.deepcopy((repr(far), legacy, TOTAL, Far.shared, defaults.__defaults__))


@pytest.mark.parametrize(
    "change",
    [
        *(adds, counts, nests, queues, marks, fills, shares, defaults),
        *(draws, draws_legacy, draws_globally),
    ],
)
def test_what_is_changed_or_drawn_anywhere_is_refused_and_taken_back(change):
    def helper(x):
        change()
        return x * 2

    before = state()
    with pytest.raises(CompileError, match=r"changes when|draws random"):
        gl.compile(lambda x: helper(x))(X)
    assert state() == before


@pytest.mark.parametrize("made", [itertools.count(1), iter([1, 2]), (i for i in range(3))])
def test_what_is_used_up_is_refused(made):
    with pytest.raises(CompileError, match="after each use"):
        gl.compile(lambda x: x * next(made))(X)
    assert next(made) in (0, 1)


def tries(ask):
    def fn(x):
        try:
            return x * ask(x)
        except Exception:
            return x * 0

    return fn


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: float(x[0]),
        lambda x: x.tolist()[0],
        lambda x: len(x.tobytes()),
        lambda x: np.asarray(x),
        lambda x: x[x > 0],
        lambda x: np.zeros(4).__setitem__(0, x[0]),
    ],
)
def test_a_refusal_that_the_function_catches(ask):
    assert_same_or_refused(tries(ask), (X,), refused=True)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x * 2 if hasattr(x, "tobytes") else x,
        lambda x: x * 2 if getattr(x, "ctypes", None) else x,
        lambda x: x * 2 if getattr(x, "base", 0) is None else x,
    ],
)
def test_attributes_that_only_arrays_have(fn):
    assert_same_or_refused(fn, (X,), refused=True)


TENSOR = gl.Tensor(np.ones(1))


def written():
    TENSOR.data[0] += 1


def assigned():
    TENSOR.data = TENSOR.data + 1


def augmented():
    global TENSOR
    TENSOR += 1


@pytest.mark.parametrize("change", [written, assigned, augmented])
def test_tensors_that_count_are_refused(change):
    def fn(x):
        change()
        return x * TENSOR.data

    assert_same_or_refused(fn, (X,), refused=True)
    assert float(TENSOR.data[0]) == 1.0
