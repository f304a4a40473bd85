"""Random scalar programs: the same here, in the reference, and as Tensors of no dimension."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
import gradlite.nn
from gradlite.engine import Value
from gradlite.scalar import neural_net
from tests.helpers import few
from tests.scalar import reference
from tests.scalar.reference import nodes

# -- expressions ------------------------------------------------------------------------------

TENSOR_FUNCTIONS = {
    "tanh": np.tanh,
    "relu": gl.relu,
    "exp": np.exp,
    "log": np.log,
    "sigmoid": gl.sigmoid,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "abs": np.abs,
}


def apply(name, x):
    """Call a function by its name, of whichever kind `x` is."""
    return TENSOR_FUNCTIONS[name](x) if isinstance(x, gl.Tensor) else getattr(x, name)()


def away_from_zero(x):
    return x + 0.5 if abs(float(x.data)) < 1e-3 else x


def bounded(x):
    return x if abs(float(x.data)) < 20 else apply("tanh", x)


# Each stays where it is defined and moderate. x and y are made earlier, c is a number.
STEPS = {
    "x + y": lambda x, y, c: x + y,
    "x - y": lambda x, y, c: x - y,
    "x * y": lambda x, y, c: x * y,
    "x / y": lambda x, y, c: x / (y * y + 0.5),
    "x ** y": lambda x, y, c: (apply("tanh", x) + 2) ** apply("tanh", y),
    "x + c": lambda x, y, c: x + c,
    "c + x": lambda x, y, c: c + x,
    "x - c": lambda x, y, c: x - c,
    "c - x": lambda x, y, c: c - x,
    "x * c": lambda x, y, c: x * c,
    "c * x": lambda x, y, c: c * x,
    "x / c": lambda x, y, c: x / (abs(c) + 0.5),
    "c / x": lambda x, y, c: c / (apply("sigmoid", x) + 0.25),
    "c ** x": lambda x, y, c: (abs(c) + 0.5) ** apply("tanh", x),
    "x ** 2": lambda x, y, c: x**2,
    "x ** 3": lambda x, y, c: x**3,
    "x ** -1": lambda x, y, c: (x * x + 1) ** -1,
    "x ** 0.5": lambda x, y, c: (x * x + 1) ** 0.5,
    "-x": lambda x, y, c: -x,
    "sum": lambda x, y, c: sum([x, y, x]),
    "tanh": lambda x, y, c: apply("tanh", x),
    "sigmoid": lambda x, y, c: apply("sigmoid", x),
    "sin": lambda x, y, c: apply("sin", x),
    "cos": lambda x, y, c: apply("cos", x),
    "exp": lambda x, y, c: apply("exp", x * 0.1),
    "log": lambda x, y, c: apply("log", x * x + 0.5),
    "sqrt": lambda x, y, c: apply("sqrt", x * x + 0.5),
    "relu": lambda x, y, c: apply("relu", away_from_zero(x)),
    "abs": lambda x, y, c: apply("abs", away_from_zero(x)),
}
LEAVES = 3
DATA = st.floats(-2, 2, allow_subnormal=False).map(lambda x: round(x, 3)) | st.integers(-2, 2)


@st.composite
def programs(draw):
    """Numbers for the leaves, and steps: (operation, two that were made before, a number)."""
    steps = []
    for made in range(LEAVES, LEAVES + draw(st.integers(1, 14))):
        earlier = st.integers(0, made - 1)
        step = st.tuples(st.sampled_from(list(STEPS)), earlier, earlier, DATA)
        steps.append(draw(step))
    return draw(st.lists(DATA, min_size=LEAVES, max_size=LEAVES)), steps


def run(program, leaf):
    """Carry out a program; give the leaves and what each step made."""
    data, steps = program
    made = [leaf(x) for x in data]
    for name, i, j, c in steps:
        made.append(bounded(STEPS[name](made[i], made[j], c)))
    return made


def tensor_leaf(x):
    return gl.Tensor(float(x), requires_grad=True)


def close(found, expected):
    expected = np.array(expected, float)
    np.testing.assert_allclose(
        np.array(found, float), expected, rtol=1e-9, atol=1e-11 * (1 + np.abs(expected).max())
    )


@few(200)
@given(programs())
def test_random_programs_have_the_values_and_gradients_of_the_reference_and_of_tensors(program):
    ours, twins, tensors = (run(program, leaf) for leaf in (Value, reference.Value, tensor_leaf))
    close([v.data for v in ours], [v.data for v in twins])
    close([v.data for v in tensors], [v.data for v in twins])
    for made in (ours, twins, tensors):
        made[-1].backward()
    close([v.grad for v in ours], [v.grad for v in twins])
    leaves = [0.0 if t.grad is None else t.grad for t in tensors[:LEAVES]]
    close(leaves, [v.grad for v in twins[:LEAVES]])


@few(100)
@given(programs(), st.data())
def test_random_programs_go_back_from_several_roots_whoever_looks_in_between(program, data):
    ours, twins = run(program, Value), run(program, reference.Value)
    indices = st.integers(0, len(ours) - 1)
    for root in data.draw(st.lists(indices, min_size=1, max_size=4), label="roots"):
        ours[root].backward()
        twins[root].backward()
        for seen in data.draw(st.lists(indices, max_size=2), label="looked at"):
            nodes(ours[seen])
    close([v.grad for v in ours], [v.grad for v in twins])


@few(100)
@given(programs(), st.booleans())
def test_random_programs_have_the_nodes_of_the_reference(program, look_first):
    ours, twins = run(program, Value), run(program, reference.Value)
    if look_first:
        nodes(ours[-1])
    ours[-1].backward()
    twins[-1].backward()
    kinds = [Counter(node.op for node in nodes(made[-1])) for made in (ours, twins)]
    assert kinds[0] == kinds[1]
    gradients = [sorted(node.grad for node in nodes(made[-1])) for made in (ours, twins)]
    close(*gradients)


@few(100)
@given(programs(), st.lists(st.booleans(), min_size=20, max_size=20))
def test_random_programs_may_cross_between_values_and_tensors_anywhere(program, crossings):
    data, steps = program
    leaves = [(Value if crossings[i] else tensor_leaf)(x) for i, x in enumerate(data)]
    made = list(leaves)
    for (name, i, j, c), crossing in zip(steps, crossings[LEAVES:], strict=False):
        x = bounded(STEPS[name](made[i], made[j], c))
        if crossing:
            x = Value(x) if isinstance(x, gl.Tensor) else gl.Tensor(x)
        made.append(x)
    twins = run(program, reference.Value)
    close([v.data for v in made], [v.data for v in twins])
    made[-1].backward()
    twins[-1].backward()
    found = [0.0 if v.grad is None else v.grad for v in leaves]
    close(found, [v.grad for v in twins[:LEAVES]])


# -- networks ---------------------------------------------------------------------------------

CLASSES = {"micrograd": gradlite.nn, "neural_net": neural_net}
NUMBERS = st.floats(-2, 2).map(lambda x: round(x, 2))
ACTIONS = st.one_of(
    st.tuples(st.just("call"), st.tuples(NUMBERS, NUMBERS)),
    st.tuples(st.just("call on Values"), st.tuples(NUMBERS, NUMBERS)),
    st.tuples(st.just("call on results"), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.tuples(st.just("update"), st.floats(0.5, 1.5)),
    st.tuples(st.just("write"), NUMBERS),
    st.tuples(st.just("replace"), NUMBERS),
    st.tuples(st.just("read"), st.integers(0, 9)),
    st.tuples(st.just("look"), st.integers(0, 9)),
    st.tuples(st.just("backward"), st.integers(0, 9)),
)


def act(net, value, actions):
    """Carry out actions on a network; give all results and all leaves."""
    made, leaves = [value(0.5)], []
    for action, what in actions:
        if action == "update":
            for p in net.parameters():
                p.data *= what
        elif action == "write":
            net.layers[-1].neurons[0].w[0].data = what
        elif action == "replace":
            net.layers[0].neurons[0].w[1] = value(what)
        elif action.startswith("call"):
            inputs = list(what)
            if action == "call on Values":
                inputs = list(map(value, what))
                leaves += inputs
            elif action == "call on results":
                inputs = [made[i % len(made)] for i in what]
            out = net(inputs)
            made += out if isinstance(out, list) else [out]
        else:
            picked = made[what % len(made)]
            if action == "backward":
                (picked * picked).backward()
            elif action == "read":
                assert isinstance(picked.data, float)
            elif value is Value:
                nodes(picked)
    return made, [*net.parameters(), made[0], *leaves]


@pytest.mark.parametrize("dialect", list(CLASSES))
@few(60)
@given(
    nouts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    actions=st.lists(ACTIONS, min_size=2, max_size=12),
)
def test_random_scripts_with_a_network_have_the_numbers_of_the_reference(
    dialect, nouts, seed, actions
):
    random.seed(seed)
    model = CLASSES[dialect].MLP(2, nouts)
    random.seed(seed)
    twin = reference.MLP(2, nouts, dialect)
    made, leaves = act(model, Value, actions)
    expected, twins = act(twin, reference.Value, actions)
    close([v.data for v in made], [v.data for v in expected])
    close([v.grad for v in leaves], [v.grad for v in twins])
