"""The program of a recorded graph: bit for bit what the graph computed, and what backward gives."""

import numpy as np
import pytest
import scipy.sparse

import gradlite as gl
from gradlite.autodiff.node import Node
from gradlite.compiler.graph import graph_program
from tests.compiler.test_every_rule_compiled import weighted
from tests.helpers import leaves, nodes_behind
from tests.rules.test_every_rule import CALLS


def inputs_of(root):
    """Return the leaves and the constant arrays of a graph by name, and the names of results."""
    results = sorted(nodes_behind(root), key=lambda node: node.serial)
    inputs = {}
    for node in results:
        given = zip(node.args, node.parents, strict=True)
        found = [arg if parent is None else parent for arg, parent in given]
        for x in (*found, *(node.params or {}).values()):
            is_leaf = isinstance(x, Node) and x.rule is None
            if is_leaf or (isinstance(x, np.ndarray) and x.ndim):
                inputs.setdefault(id(x), x)
    named = {f"x{i}": x for i, x in enumerate(inputs.values())}
    return named, {node: f"t{i}" for i, node in enumerate(results)}


def program(root):
    inputs, names = inputs_of(root)
    return graph_program(root._node, inputs, names)


def text(root):
    return "\n".join(line.text for line in program(root))


def check(root):
    """Run the program of a graph on the arrays of its leaves, and compare."""
    inputs, _ = inputs_of(root)
    code = text(root)
    assert code
    defined = {}
    exec(code, defined)
    given = {name: getattr(x, "ans", x) for name, x in inputs.items()}
    with np.errstate(all="ignore"):
        value, gradients = defined["value_and_grad"](**given)
        np.sum(root).backward()
    pairs = [(value, root.data)]
    ends = [x for x in inputs.values() if isinstance(x, Node)]
    pairs += [(g, leaf.sink.buffer) for g, leaf in zip(gradients, ends, strict=True)]
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == theirs.dtype
    return code


OPAQUE = (
    "convolve", "conv_input", "conv_weight", "max_pool", "max_unpool", "avg_pool", "avg_unpool",
    "sparse_matmul", "embedding",
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_every_rule(spec, call, dtype):
    points, run = call.draw(dtype)
    with np.errstate(all="ignore"):
        root = weighted(spec, run)(leaves(*points))
    names = {node.rule.name.rpartition(".")[2] for node in nodes_behind(root)}
    if names.isdisjoint(OPAQUE):
        check(root)
    else:
        assert program(root) == []


# -- graphs -----------------------------------------------------------------------------------


rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3))
Y = np.arange(20) % 2


def neuron(dtype):
    x, w = leaves(*np.array([[1.0, 2.0], [-3.0, 1.0]], dtype))
    b = gl.Tensor(dtype(6.5), requires_grad=True)
    return np.tanh(x @ w + b)


def network(dtype):
    W1, b1, W2, b2 = leaves(*(rng.normal(size=s).astype(dtype) for s in [(3, 4), 4, (4, 2), 2]))
    hidden = gl.relu(X.astype(dtype) @ W1 + b1)
    return gl.cross_entropy(hidden @ W2 + b2, Y) + 0.01 * (W1**2).sum()


def squares(dtype):
    return leaves(rng.normal(size=(3, 3)).astype(dtype))[0]


def several_results(dtype):
    u, s, vh = np.linalg.svd(squares(dtype))
    return (u * s) @ vh


def used_again(dtype):
    x = squares(dtype)
    y = x * x + x
    return (y * x + y).sum() + y.sum()


def result_that_is_equal(dtype):
    x = squares(dtype)
    return (np.sin(x) + np.sin(x)).sum() * np.sum(np.sin(x))


GRAPHS = {
    "neuron": neuron,
    "network": network,
    "norm": lambda dtype: np.linalg.norm(squares(dtype)),
    "norm at 0": lambda dtype: np.linalg.norm(squares(dtype) * 0),
    "softmax": lambda dtype: gl.softmax(squares(dtype), axis=0)[1],
    "part": lambda dtype: squares(dtype)[1, ::-1],
    "elements": lambda dtype: squares(dtype)[[0, 0], [1, 1]],
    "many elements": lambda dtype: squares(dtype)[np.arange(30) % 3],
    "mask": lambda dtype: squares(dtype)[np.eye(3) > 0],
    "cholesky": lambda dtype: np.linalg.cholesky(squares(dtype) * 0 + 2 * np.eye(3, dtype=dtype)),
    "where": lambda dtype: np.where(np.eye(3) > 0, np.log(abs(x := squares(dtype))), x),
    "zeros of a branch": lambda dtype: np.log(gl.relu(squares(dtype) * 0)) * 0,
    "stack": lambda dtype: np.mean(np.stack([x := squares(dtype), x * 2])),
    "several results": several_results,
    "used again": used_again,
    "equal results": result_that_is_equal,
    "integers": lambda dtype: squares(dtype) * np.arange(9).reshape(3, 3) + np.uint8(3),
    "bytes": lambda dtype: (squares(dtype) - np.full((3, 3), 200, np.uint8)) ** 2,
    "constant": lambda dtype: squares(dtype) * np.linspace(0, 1, 9).reshape(3, 3)[::-1],
    "erf": lambda dtype: gl.erf(squares(dtype)),
    "view": lambda dtype: squares(dtype).T.reshape(-1).copy() * 2,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("graph", GRAPHS)
def test_graphs(graph, dtype):
    if dtype is np.float16 and graph in ("norm", "norm at 0", "cholesky", "several results", "erf"):
        pytest.skip("NumPy's linalg and scipy.special have no half precision")
    with np.errstate(all="ignore"):
        root = GRAPHS[graph](dtype)
    check(root)


def test_dropout_keeps_the_numbers_that_were_drawn():
    net = gl.nn.Sequential(gl.nn.Linear(3, 4), gl.nn.Dropout(0.5), gl.nn.LayerNorm(4))
    check(net(X).sum())


# -- the text ---------------------------------------------------------------------------------


def test_the_text_of_a_neuron():
    assert text(neuron(np.float64)) == (
        "import numpy as np\n"
        "\n\n"
        "def value_and_grad(x0, x1, x2):\n"
        "    t0 = x0 @ x1\n"
        "    t1 = t0 + x2\n"
        "    t2 = np.tanh(t1)\n"
        "    # the gradient of t2 with respect to t2\n"
        "    grad_t2 = np.ones_like(t2)\n"
        "    # back through tanh: t2\n"
        "    g1 = grad_t2 * t2\n"
        "    g2 = g1 * t2\n"
        "    grad_t1 = grad_t2 - g2\n"
        "    # back through matmul: t0\n"
        "    grad_x0 = grad_t1 * x1      # (2,) float64\n"
        "    grad_x1 = grad_t1 * x0      # (2,) float64\n"
        "    return t2, (grad_x0, grad_x1, grad_t1)"
    )


def test_every_result_has_a_line():
    x = squares(np.float64)
    code = check(x.T[0][::2])
    assert "    t0 = x0.T " in code
    assert "    t1 = t0[0] " in code
    assert "    t2 = t1[::2] " in code


@gl.primitive
def doubled_if_any_is_positive(x):
    some = np.any(x > 0)
    return x * (some + 1) if some else x


gl.defvjp(doubled_if_any_is_positive, lambda g, ans, x: g * (ans / x))


def test_the_program_asks_nothing_of_the_numbers():
    assert "Retrace" not in check(doubled_if_any_is_positive(squares(np.float64)))


def test_lines_belong_to_steps():
    root = neuron(np.float64)
    _, names = inputs_of(root)
    steps = [
        (line.step.phase, names[line.step.node], line.text.partition("=")[0].strip())
        for line in program(root)
        if line.step is not None and "=" in line.text
    ]
    assert steps == [
        ("forward", "t0", "t0"),
        ("forward", "t1", "t1"),
        ("forward", "t2", "t2"),
        ("seed", "t2", "grad_t2"),
        ("backward", "t2", "g1"),
        ("backward", "t2", "g2"),
        ("backward", "t2", "grad_t1"),
        ("backward", "t0", "grad_x0"),
        ("backward", "t0", "grad_x1"),
    ]


def test_a_gradient_that_is_constant():
    x, y = leaves(np.ones(2), np.ones(2))
    assert "np.full((2,), 0.0, np.float64)" in check(x * np.floor(y))


def test_the_graph_stays_as_it_is():
    x = squares(np.float64)
    root = (x**2).sum()
    program(root)
    assert x.grad is None
    root.backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)


# -- no program -------------------------------------------------------------------------------


@gl.primitive
def asks_for_a_number(x):
    return x * float(x.sum())


gl.defvjp(asks_for_a_number, lambda g, ans, x: g)


@gl.primitive(opaque=True)
def opaque(x):
    return x * 2


gl.defvjp(opaque, lambda g, ans, x: g * 2)


@gl.primitive
def with_an_odd_rule(x):
    return x * 2


gl.defvjp(with_an_odd_rule, lambda g, ans, x: [float(part) for part in np.ravel(g)])


@pytest.mark.parametrize(
    "f",
    [
        asks_for_a_number,
        opaque,
        with_an_odd_rule,
        lambda x: scipy.sparse.eye_array(3) @ x,
        lambda x: gl.nn.Conv2d(1, 1, 2)(x[None, None]),
    ],
)
def test_what_cannot_be_traced_has_no_program(f):
    (x,) = leaves(np.eye(3))
    assert program(f(x)) == []


def test_constants_that_are_too_large_to_be_written_out():
    (x,) = leaves(np.ones(500))
    index = rng.permutation(500)
    assert program(x[(index,)]) == []
    check(x[index])  # an input
