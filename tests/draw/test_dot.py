"""The pictures of graphs: what is in them, what they leave alone, and what cannot be drawn."""

import html
import random
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import gradlite as gl
from gradlite.draw import Picture, draw, draw_dot, trace
from gradlite.draw import picture as pictures
from gradlite.draw.boxes import number, small
from gradlite.draw.dot import line_of_code
from gradlite.draw.graph import ancestors
from gradlite.draw.outputs import outputs
from gradlite.draw.page import page_data
from gradlite.draw.scene import scene
from gradlite.engine import Value
from gradlite.nn import MLP, Conv2d
from tests.draw.screen import network
from tests.helpers import few, leaves
from tests.specs import SPECS

OLD_NUMPY = np.lib.NumpyVersion(np.__version__) < "2.4.0"


def neuron():
    """Make the result of one neuron, with labels, after backward."""
    x, w, b = Value(2.0, label="x"), Value(-3.0, label="w"), Value(6.5, label="b")
    product = x * w
    total = product + b
    out = total.tanh()
    product.label, total.label, out.label = "x w", "x w + b", "out"
    out.backward()
    return out


def perceptron():
    """Make the output of a network of neurons that ran as arrays, and the network."""
    random.seed(1)
    model = MLP(2, [2, 1])
    return model([1.0, -2.0]), model


def mixed():
    """Make Values of Tensors of Values of a Tensor."""
    (x,) = leaves(np.array([1.0, 2.0]))
    a, b = map(Value, x)
    t = gl.Tensor([a * b, b])
    return Value(np.sum(t * t)) * a, x


def drawn(picture):
    """Read a picture's source: of each box and oval the label and the style; and the arrows."""
    nodes, edges = {}, []
    for line in picture.source.splitlines():
        node = re.fullmatch(r'  (n\w+) \[label="((?:\\.|[^"\\])*)", (.*)\]', line)
        edge = re.fullmatch(r'  (n\w+) -> (n\w+) \[(?:label=" (.*) ", )?id=".*"\]', line)
        if node:
            nodes[node[1]] = node[2], node[3]
        elif edge:
            edges.append((edge[1], edge[2], edge[3] or ""))
    assert len(nodes) == picture.size
    assert {end for a, b, _ in edges for end in (a, b)} <= nodes.keys()
    return nodes, edges


def wires(picture):
    """Read between which labels the arrows of a picture run."""
    nodes, edges = drawn(picture)
    return sorted((nodes[a][0], nodes[b][0]) for a, b, _ in edges)


def labels(picture):
    return [label for label, _ in drawn(picture)[0].values()]


def texts(svg):
    """Read from an SVG the texts of every box and oval, by its name in the source."""
    tag = "{http://www.w3.org/2000/svg}"
    groups = [g for g in ET.fromstring(svg).iter(f"{tag}g") if g.get("class") == "node"]
    return {
        g.find(f"{tag}title").text: [t.text or "" for t in g.iter(f"{tag}text")] for g in groups
    }


# -- trace ------------------------------------------------------------------------------------


def walked(root):
    """Trace as the community's notebooks do: by `_prev`, which here may not recurse."""
    nodes, edges, waiting = set(), set(), [root]
    while waiting:
        value = waiting.pop()
        if value not in nodes:
            nodes.add(value)
            for child in value._prev:
                edges.add((child, value))
                waiting.append(child)
    return nodes, edges


def test_trace_gives_values_and_the_pairs_of_used_and_made():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    assert trace(d) == ({a, b, c, d}, {(a, c), (b, c), (c, d), (a, d)})
    assert trace(a) == ({a}, set())
    square = a * a
    assert trace(square) == ({a, square}, {(a, square)})


@pytest.mark.parametrize("make", [neuron, lambda: perceptron()[0]], ids=["neuron", "network"])
def test_trace_agrees_with_prev(make):
    root = make()
    assert trace(root) == walked(root)


STEPS = (
    lambda x, y: x + y,
    lambda x, y: x * y,
    lambda x, y: x - y,
    lambda x, y: 1 - x / 2,
    lambda x, y: (x + 0.1).tanh(),
    lambda x, y: 2 / (y * y + 1) ** 0.5,
)


def test_random_programs_of_values_are_traced_as_by_prev():
    rng = random.Random(0)
    for _ in range(20):
        values = [Value(1.5), Value(0.5)]
        for _ in range(30):
            values.append(rng.choice(STEPS)(rng.choice(values[-8:]), rng.choice(values)))
        assert trace(values[-1]) == walked(values[-1])


def test_neurons_that_ran_as_arrays_are_traced_one_by_one():
    out, model = perceptron()
    nodes, _ = trace(out)
    assert nodes >= set(model.parameters())
    names = sorted(node._op for node in nodes if node._op)
    # 2 + 1 neurons of 2 inputs each: as many products, as many sums, and 2 activations.
    assert names == ["*"] * 6 + ["+"] * 6 + ["ReLU"] * 2


def test_trace_of_a_tensor_gives_what_is_on_the_tape():
    x, w = leaves(np.ones(3), np.ones(3))
    product = x * w
    total = product.sum()
    nodes, edges = trace(total)
    assert nodes == {x._node, w._node, product._node, total._node}
    assert edges == {
        (x._node, product._node),
        (w._node, product._node),
        (product._node, total._node),
    }
    assert trace(x) == ({x._node}, set())


def test_a_tensor_without_a_graph_stands_for_itself():
    t = gl.Tensor([1.0])
    nodes, edges = trace(t)
    assert [node is t for node in nodes] == [True]
    assert edges == set()


def test_trace_crosses_between_values_and_tensors_in_both_directions():
    out, x = mixed()
    nodes, edges = trace(out)
    kinds = {(type(a).__name__, type(b).__name__) for a, b in edges}
    assert kinds == {
        ("Node", "Node"),
        ("Node", "Value"),
        ("Value", "Value"),
        ("Value", "Node"),
    }
    assert x._node in nodes


@pytest.mark.parametrize("one", [Value(1.0), gl.Tensor(1.0, requires_grad=True)], ids=type)
def test_a_graph_may_be_100000_deep(one):
    x = one
    for _ in range(100_000):
        x = x.tanh() if isinstance(x, Value) else np.tanh(x)
    nodes, edges = trace(x)
    assert (len(nodes), len(edges)) == (100_001, 100_000)
    assert draw_dot(x).size == 200_001


def test_a_graph_that_is_a_circle_ends():
    a, b = Value(1.0), Value(2.0)
    c = a + b
    a._prev = {c}
    assert trace(c)[0] == {a, b, c}


# -- the picture of Values --------------------------------------------------------------------


def test_a_value_is_a_box_and_its_operation_an_oval_before_it():
    x, w = "{x | data 2.0000 | grad -2.2370}", "{w | data -3.0000 | grad 1.4913}"
    b, product = "{b | data 6.5000 | grad 0.7864}", "{x w | data -6.0000 | grad 0.7864}"
    total, out = "{x w + b | data 0.5000 | grad 0.7864}", "{out | data 0.4621 | grad 1.0000}"
    x = x.replace("-2.2370", f"{-3 * (1 - np.tanh(0.5) ** 2):.4f}")
    w = w.replace("1.4913", f"{2 * (1 - np.tanh(0.5) ** 2):.4f}")
    assert wires(draw_dot(neuron())) == sorted(
        [
            (x, "*"), (w, "*"), ("*", product), (product, "+"), (b, "+"), ("+", total),
            (total, "tanh"), ("tanh", out),
        ]
    )  # fmt: skip


def test_a_value_without_a_label_has_no_field_for_it():
    assert labels(draw_dot(Value(2.0))) == ["{data 2.0000 | grad 0.0000}"]


def test_leaves_results_and_the_root_have_different_outlines():
    nodes, _ = drawn(draw_dot(neuron()))
    boxes = {label.split(" |")[0][1:]: style for label, style in nodes.values() if label[0] == "{"}
    round_, thick = "rounded", "penwidth"
    assert {name for name, style in boxes.items() if round_ in style} == {"x", "w", "b"}
    assert {name for name, style in boxes.items() if thick in style} == {"out"}
    assert all("ellipse" in style for label, style in nodes.values() if label[0] != "{")


def test_the_root_is_outlined_even_if_it_is_a_leaf_or_used_twice():
    ((_, style),) = drawn(draw_dot(Value(1.0)))[0].values()
    assert "rounded" in style
    assert "penwidth" in style


def test_a_value_used_twice_by_one_operation_has_one_arrow():
    a = Value(2.0)
    assert len(drawn(draw_dot(a + a))[1]) == 2


def test_user_defined_operations_are_drawn():
    a, b = Value(1.0, label="a"), Value(2.0, label="b")
    mine = Value(3.0, (a, b), "mine", label="c")
    assert labels(draw_dot(mine)).count("mine") == 1
    nameless = Value(3.0, (a,))
    assert wires(draw_dot(nameless)) == [
        ("{a | data 1.0000 | grad 0.0000}", "{data 3.0000 | grad 0.0000}")
    ]
    childless = Value(3.0, (), "drawn from a hat")
    assert labels(draw_dot(childless)) == ["{data 3.0000 | grad 0.0000}", "drawn from a hat"]


def test_the_source_is_the_same_every_time():
    assert draw_dot(neuron()).source == draw_dot(neuron()).source
    assert draw_dot(perceptron()[0]).source == draw_dot(perceptron()[0]).source


def test_the_direction_is_left_to_right_by_default():
    assert "rankdir=LR" in draw_dot(neuron()).source
    assert "rankdir=TB" in draw_dot(neuron(), rankdir="TB").source


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (1.23456, "1.2346"),
        (-0.5, "-0.5000"),
        (3, "3.0000"),
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (0.00012, "0.0001"),
        (1.5e-5, "1.500e-05"),
        (-2e7, "-2.000e+07"),
        (999999.0, "999999.0000"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (10**400, "1" + 56 * "0" + "..."),
        (None, "None"),
    ],
)
def test_numbers_say_something_whatever_their_size(x, text):
    assert number(x) == text


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (2, "2"),
        (0.1, "0.1"),
        (np.float32(0.1), "0.1"),
        (np.array(True), "True"),
        (np.zeros((2, 3), int), "(2, 3) int64"),
        (csr_array(np.eye(2)), "(2, 2) float64, sparse"),
        ((slice(None), 0, None), "(:, 0, None)"),
        ((slice(1, None, 2),), "(1::2,)"),
        ((..., 0), "(..., 0)"),
        (np.dtype("f4"), "float32"),
        ("mean", "mean"),
        ([1] * 100, "[1, 1, 1, 1, 1, 1, 1,..."),
        (tuple(range(100)), "(0, 1, 2, 3, 4, 5, 6,..."),
    ],
)
def test_parameters_are_written_in_a_few_characters(x, text):
    assert small(x) == text


def test_a_folder_may_be_called_in_whatever_way():
    where = "/work in progress/net.py:3 in forward\n    return x + 1"
    assert line_of_code(where) == "net.py:3  return x + 1"


# -- text that means something to Graphviz ----------------------------------------------------


def bare(text):
    """Write what cannot be printed in ASCII, and leave spaces away, which Graphviz merges."""
    visible = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return "".join("".join(visible).split())


@few(60)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
@example('"')
@example("\\")
@example('\\"')
@example("a\\nb\\N\\G\\l")
@example("{a | b} <port> c")
@example("two\nlines")
@example("&lt;&amp;&#65; & <b>bold</b>")
@example("größe 数 ∂f/∂x 🙂")
@example("\x00\x1b[0m\x7f")
@example("]; evil [label=x]")
@example("// comment /* # */")
def test_labels_are_drawn_as_they_are(label):
    pytest.importorskip("pygraphviz", reason="pygraphviz draws the pictures: extra viz")
    op = label.replace("{", "(") + "!"
    out = Value(1.0, (Value(2.0, label=label),), _op=op)
    for function in (draw_dot, draw):
        found = texts(function(out).svg())
        assert bare("".join(found["n0"])) == f"{bare(label)}data2.0000grad0.0000"
        assert bare("".join(found["n1made"])) == bare(op)


def test_long_labels_are_cut_and_other_objects_written():
    assert labels(draw_dot(Value(1.0, label="x" * 1000)))[0].startswith("{" + 57 * "x" + "... |")
    value = Value(1.0)
    value.label = 7
    assert labels(draw_dot(value)) == ["{7 | data 1.0000 | grad 0.0000}"]


# -- the picture of Tensors -------------------------------------------------------------------


def test_a_tensor_shows_shape_dtype_and_norms():
    x, w = leaves(np.array([3.0, 4.0], np.float32), np.array([1.0, 0.0], np.float32))
    out = (x * w).sum()
    out.backward(retain_graph=True)
    assert labels(draw_dot(out)) == [
        "{(2,) float32 | norm 5.0000 | grad norm 1.0000}",
        "{(2,) float32 | norm 1.0000 | grad norm 5.0000}",
        "{(2,) float32 | norm 3.0000}",
        "np.multiply",
        "{() float32 | data 3.0000}",
        "np.sum",
    ]


def test_a_plain_tensor_is_one_box():
    assert labels(draw_dot(gl.Tensor([[3.0, 4.0]]))) == ["{(1, 2) float64 | norm 5.0000}"]
    assert labels(draw_dot(gl.Tensor([-3]))) == ["{(1,) int64 | data -3.0000}"]
    assert labels(draw_dot(gl.Tensor(np.zeros((0, 3))))) == ["{(0, 3) float64 | norm 0.0000}"]
    with gl.no_grad():
        hidden = gl.Tensor(2.0, requires_grad=True) * 2
    assert labels(draw_dot(hidden)) == ["{() float64 | data 4.0000}"]


def test_arguments_are_named_where_their_order_matters():
    out, _ = network()
    nodes, edges = drawn(draw_dot(out))
    beside = {(nodes[b][0], role) for _, b, role in edges if role}
    assert beside == {
        ("gl.affine", "x"), ("gl.affine", "W"), ("gl.affine", "b"), ("gl.cross_entropy", "logits"),
        ("gl.cross_entropy", "target"), ("np.power\\ny=2", "x"),
    }  # fmt: skip
    (x,) = leaves(np.ones(2))
    assert [role for *_, role in drawn(draw_dot(x - x))[1]] == ["", "x, y"]
    assert [role for *_, role in drawn(draw_dot(np.stack([x, x * 2])))[1]][-2:] == ["0", "1"]


def test_what_is_no_tensor_is_shown_small():
    out, _ = network()
    nodes, _ = drawn(draw_dot(out))
    plain = [label for label, style in nodes.values() if "plaintext" in style]
    assert sorted(plain) == ["(5, 3) float64", "(5,) int64"]
    assert "np.multiply\\n0.01" in labels(draw_dot(out))
    (x,) = leaves(np.ones((2, 3)))
    assert labels(draw_dot(x.sum(axis=0, keepdims=True)))[-1] == "np.sum\\naxis=0\\nkeepdims=True"
    assert labels(draw_dot(x[:, 1:]))[-1].endswith("index=(:, 1:)")
    assert labels(draw_dot(x.reshape(3, 2)))[-1] == "np.reshape\\nshape=(3, 2)"


def test_the_frame_of_a_convolution_is_written_out():
    out = Conv2d(1, 2, 3, padding=1)(np.ones((1, 1, 4, 4)))
    assert labels(draw_dot(out))[-1].split("\\n") == [
        "gl.convolve", "kernel=(3, 3)", "stride=(1, 1)", "padding=((1, 1), (1, 1))",
        "dilation=(1, 1)", "groups=1",
    ]  # fmt: skip


def test_gradients_of_results_are_shown_where_they_are_kept():
    (x,) = leaves(np.array([3.0, 4.0]))
    y = x * x
    y.retain_grad()
    out = y.sum()
    out.backward(create_graph=True)
    assert "{(2,) float64 | norm 18.3576 | grad norm 1.4142}" in labels(draw_dot(out))
    assert labels(draw_dot(x)) == ["{(2,) float64 | norm 5.0000 | grad norm 10.0000}"]
    assert trace(x.grad)[0] > {x._node}  # it can be differentiated, so it has a graph itself


def test_weights_of_neurons_on_the_tape_show_the_gradients_of_their_values():
    _, model = perceptron()
    out = model(np.array([[1.0, -2.0], [0.5, 0.5]])).sum()
    out.backward(retain_graph=True)
    weights = [p for n in model.layers[0].neurons for p in n.w]
    norm = [np.linalg.norm([getattr(p, what) for p in weights]) for what in ("data", "grad")]
    assert norm[1] > 0
    expected = f"{{(2, 2) float64 | norm {norm[0]:.4f} | grad norm {norm[1]:.4f}}}"
    assert expected in labels(draw_dot(out))


# -- what the tape has not kept ---------------------------------------------------------------


def same(a, b):
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.module}-{spec.name}")
@pytest.mark.filterwarnings("ignore")
def test_every_operation_can_be_carried_out_again(spec):
    checked = 0
    for call in spec.calls:
        points, run = call.draw()
        try:
            with np.errstate(all="ignore"):
                output = run(spec.prepared(), *leaves(*points))
                parts = output if isinstance(output, (tuple, list)) else [output]
                outs = [(part, part * 1) for part in parts if part.requires_grad]
        except (TypeError, ValueError, AttributeError):
            continue  # an older NumPy does not take this call
        for part, out in outs:
            found = outputs(ancestors(out._node))
            assert all(array is not None for array in found.values()), call
            assert same(np.asarray(found[part._node]), part.data), call
            assert draw_dot(out).size >= 3
            checked += 1
    assert checked or OLD_NUMPY


def test_dropped_arrays_of_a_whole_network_are_found():
    rng = np.random.default_rng(3)
    x, (W, b) = rng.normal(size=(6, 3)), leaves(rng.normal(size=(3, 2)), np.zeros(2))
    steps = [x @ W]
    steps.append(steps[-1] + b)
    steps.append(gl.softmax(steps[-1]))
    steps.append(steps[-1].T)
    steps.append(np.linalg.svd(steps[-1], full_matrices=False)[1])
    steps.append(steps[-1].mean())
    steps.append(steps[-1] * 2)
    found = outputs(ancestors(steps[-1]._node))
    for step in steps:
        assert np.allclose(found[step._node], step.data, rtol=1e-14)
    assert "2 results" not in (text := draw_dot(steps[-1]).source)
    assert "{3 results}" in text.replace("\\", "")


def with_local_names(g, ans, x, y):
    twice = 2 * g
    return twice * y / 2


@pytest.mark.parametrize(
    ("vjp", "names"),
    [
        (lambda g, ans, *xs: g * xs[1], ["xs[0]", "xs[1]"]),
        (lambda g, *rest: g * rest[2], ["rest[1]", "rest[2]"]),
        (lambda *given: given[0] * given[3], ["given[2]", "given[3]"]),
        (lambda g, ans, x, *others: g * others[0], ["x", "others[0]"]),
        (with_local_names, ["x", "y"]),
        (partial(with_local_names), ["", ""]),
    ],
)
def test_arguments_are_named_as_the_rule_takes_them(vjp, names):
    product = gl.primitive(lambda x, y: x * y)
    gl.defvjp(product, vjp, vjp)
    x, y = leaves(np.ones(2), np.ones(2))
    seen = scene(product(x, y))
    assert [link.role for link in seen.boxes[seen.root].inputs] == names
    assert len(page_data(seen)["boxes"][seen.root]["arguments"]) == 2


def test_user_functions_are_not_called_again():
    calls = []

    @gl.primitive
    def noisy(x):
        calls.append(x)
        return x + len(calls)

    gl.defvjp(noisy, lambda g, ans, x: g)
    (x,) = leaves(np.ones(3))
    out = (noisy(x) * 2).sum()
    assert "{(3,)}" in labels(draw_dot(out))
    assert len(calls) == 1
    # Where the tape has kept the output, for the next operation or for this one, it is shown.
    out = (noisy(x) * x).sum()
    assert "{(3,) float64 | norm 5.1962}" in labels(draw_dot(out))
    gl.defvjp(noisy, lambda g, ans, x: g * ans)
    out = (noisy(x) * 2).sum()
    assert "{(3,) float64 | norm 6.9282}" in labels(draw_dot(out))
    assert len(calls) == 3


def test_where_an_operation_fails_now_the_shape_is_shown():
    @gl.primitive
    def once(x):
        calls.append(x)
        if len(calls) > 1:
            raise RuntimeError("not again")
        return x[:2].copy()

    calls: list[np.ndarray] = []
    gl.defvjp(once, lambda g, ans, x: np.concatenate([g, 0 * g]))
    (x,) = leaves(np.arange(4.0))
    out = once(x) * 2
    boxes = labels(draw_dot(out))
    assert "{(2,)}" in boxes
    assert "{(2,) float64 | norm 2.0000}" in boxes  # of the root


def test_values_on_the_tape_show_their_numbers_and_the_constants_among_them():
    a, b = Value(3.0), Value(4.0)
    assert "{(2,) float64 | norm 5.0000}" in labels(draw_dot(gl.Tensor([a, b]) * 2))
    assert "{(2,) float64 | norm 5.0000}" in labels(draw_dot(gl.Tensor([a, 4.0]) * 2))
    assert "{(2,) float64 | norm 5.0000}" in labels(draw_dot(gl.Tensor([a, 4.0])))


def test_values_and_tensors_are_drawn_together():
    out, _ = mixed()
    picture = draw_dot(out)
    names = labels(picture)
    assert names.count("tensor") == 3
    assert sum(name.startswith("np.stack") for name in names) == 1
    assert ("tensor", "{data 8.0000 | grad 0.0000}") in wires(picture)


# -- nothing changes --------------------------------------------------------------------------


@pytest.mark.parametrize("before", [False, True], ids=["before backward", "between"])
def test_drawing_a_network_changes_nothing(before):
    def run(draw):
        loss, parameters = network()
        if before:
            loss.backward(retain_graph=True)
        if draw:
            held = {node: (node.ans, node.args, node.params) for node in trace(loss)[0]}
            draw_dot(loss)
            after = {node: (node.ans, node.args, node.params) for node in trace(loss)[0]}
            assert all(x is y for n in held for x, y in zip(held[n], after[n], strict=True))
        loss.backward()
        return [p.grad for p in parameters]

    assert all(map(np.array_equal, run(True), run(False)))


def test_drawing_values_changes_nothing():
    def run(draw):
        out, model = perceptron()
        for _ in range(2):
            if draw:
                draw_dot(out)
            out.backward()
        return [p.grad for p in model.parameters()]

    assert run(True) == pytest.approx(run(False), rel=1e-12)


def test_drawing_mixed_graphs_changes_nothing():
    def run(draw):
        out, x = mixed()
        if draw:
            numbers = [node for node in trace(out)[0] if isinstance(node, Value)]
            for value in numbers:
                value.grad = 0.25
            draw_dot(out)
            assert {value.grad for value in numbers} == {0.25}
            for value in numbers:
                value.grad = 0.0
        out.backward()
        return x.grad

    assert np.array_equal(run(True), run(False))


def test_nothing_is_recorded_or_inspected():
    x, y = leaves(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    with np.errstate(all="ignore"):
        out = np.log(y) + np.tanh(x)
    with gl.debug():
        boxes = labels(draw_dot(out))
    assert "{(2,) float64 | norm inf}" in boxes


# -- writing it down --------------------------------------------------------------------------

MAGIC = {
    "svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "ps": b"%!PS", "eps": b"%!PS",
    "gif": b"GIF8", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff", "svgz": b"\x1f\x8b",
    "dot": b"digraph", "html": b"<!",
}  # fmt: skip


def test_every_format_has_a_line_here():
    assert MAGIC.keys() == set(pictures.FORMATS)


@pytest.mark.parametrize("format", MAGIC)
def test_a_picture_is_written_in_the_format_asked_for(format, tmp_path, graphviz):
    path = draw_dot(neuron(), format=format).render(tmp_path / "gout")
    assert path == str(tmp_path / f"gout.{format}")
    assert Path(path).read_bytes().startswith(MAGIC[format])
    other = draw_dot(neuron()).save(str(tmp_path / f"other.{format.upper()}"))
    assert Path(other).read_bytes().startswith(MAGIC[format])


def test_render_appends_the_suffix_once(tmp_path, monkeypatch, graphviz):
    monkeypatch.chdir(tmp_path)
    assert draw_dot(neuron()).render("gout") == "gout.svg"
    assert draw_dot(neuron()).render("gout.svg") == "gout.svg"
    assert draw_dot(neuron(), format="png").render("v1.2") == "v1.2.png"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gout.svg", "v1.2.png"]


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
@pytest.mark.parametrize(
    "make", [neuron, lambda: perceptron()[0], lambda: network()[0], lambda: mixed()[0]],
    ids=["neuron", "perceptron", "network", "mixed"],
)  # fmt: skip
def test_the_svg_shows_every_label_and_every_arrow(make, rankdir, graphviz):
    picture = draw_dot(make(), rankdir=rankdir)
    svg = picture.svg()
    expected = [re.split(r" \| |\\n", label.strip("{}")) for label in labels(picture)]
    assert sorted(texts(svg).values()) == sorted(expected)
    assert svg.count('class="edge"') == len(drawn(picture)[1])
    width, height = (float(re.search(rf'{k}="(\d+)pt"', svg)[1]) for k in ("width", "height"))
    assert (width > height) == (rankdir == "LR")


def test_the_source_needs_no_graphviz_and_drawing_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = draw_dot(neuron())
    assert "x w + b" in picture.source
    assert picture.save(tmp_path / "graph.dot")
    for show in (picture.svg, lambda: picture.render(tmp_path / "gout")):
        with pytest.raises(ImportError, match=r"pip install 'gradlite\[viz\]'") as error:
            show()
        assert isinstance(error.value, gl.GradliteError)
    assert [p.name for p in tmp_path.iterdir()] == ["graph.dot"]


def test_importing_draw_loads_neither_graphviz_nor_pictures():
    code = "import gradlite.draw, sys; print('pygraphviz' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_drawing_is_silent_on_stderr(graphviz):
    code = (
        "from gradlite.draw import draw_dot; from gradlite.engine import Value\n"
        "print(len(draw_dot(Value(1.0) * 2).svg()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1000
    assert done.stderr == ""


def test_what_graphviz_says_on_stderr_is_passed_on(graphviz, capsys):
    source = 'digraph { a [label="x", fontname="no such font", shape="no such shape"] }'
    Picture(scene(Value(1.0)), lambda named: source).svg()
    said = capsys.readouterr().err
    assert "no such shape" in said
    assert "Fontconfig" not in said


def test_the_layout_can_be_interrupted(graphviz, tmp_path):
    code = (
        "import sys\n"
        "from gradlite.draw import layout\n"
        "from gradlite.draw import draw_dot; from gradlite.engine import Value\n"
        "layout.__file__ = sys.argv[1]\n"
        "print('begins', flush=True)\n"
        "draw_dot(Value(1.0) * 2).svg()\n"
    )
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    command = [sys.executable, "-c", code, str(slow)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"begins\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert b"KeyboardInterrupt" in said


def test_pictures_can_be_drawn_in_threads(graphviz):
    svgs = []
    threads = [Thread(target=lambda: svgs.append(draw_dot(neuron()).svg())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(svgs) == 8
    assert len(set(svgs)) == 1


# -- what cannot be drawn ---------------------------------------------------------------------


def test_a_graph_too_large_to_read_is_refused_at_once(tmp_path, graphviz):
    x = Value(1.0)
    for _ in range(400):
        x = x.tanh()
    picture = draw_dot(x)
    with pytest.raises(ValueError, match=r"801 boxes.*than the 700.*draw a part") as error:
        picture.render(tmp_path / "gout")
    assert isinstance(error.value, gl.GradliteError)
    with pytest.raises(gl.GradliteError):
        picture.svg()
    assert picture.save(tmp_path / "gout.dot")  # for other tools


def looped(steps):
    x, w, h = Value(0.5), Value(0.5), Value(0.5)
    for _ in range(steps):
        h = (w * h + x).tanh()
    return h


def shared_results(steps):
    """Make results, not leaves, that every step takes."""
    x, w, h = Value(0.5).exp(), Value(0.5).exp(), Value(0.5)
    for _ in range(steps):
        h = (w * h + x).tanh()
    return h


def unrolled(steps):
    rng = np.random.default_rng(0)
    W, U, b = leaves(*(rng.normal(size=s) for s in [(4, 4), (3, 4), (4,)]))
    h = np.zeros((2, 4))
    for _ in range(steps):
        h = np.tanh(h @ W + rng.normal(size=(2, 3)) @ U + b)
    return (h * h).sum()


@pytest.mark.parametrize(
    ("make", "size"),
    [(lambda: looped(115), 693), (lambda: shared_results(114), 691), (lambda: unrolled(60), 668)],
    ids=["looped", "shared results", "unrolled"],
)
def test_a_large_graph_is_laid_out_in_good_time(make, size, graphviz):
    # Long arrows are what takes time: with all of them, these take from one to several minutes.
    picture = draw_dot(make())
    assert picture.size == size
    start = time.perf_counter()
    svg = picture.svg()
    assert time.perf_counter() - start < 20
    boxes = picture.scene.boxes.values()
    ids = set(re.findall(r'<g id="([^"]+)" class="edge"', html.unescape(svg)))
    assert ids >= {f"{link.source}-{box.id}" for box in boxes for link in box.inputs}
    assert svg.count('class="edge"') == picture.source.count(" -> ")


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (3.0, r"3\.0 \(float\) has no graph: pass a Value or a Tensor"),
        (None, "None"),
        ("x", "'x'"),
        (np.ones(3), "ndarray"),
        ([Value(1.0), Value(2.0)], "Draw one of its elements"),
        (MLP(1, [1]), "MLP of .* the result of a computation"),
    ],
    ids=repr,
)
def test_a_root_without_a_graph_is_named(root, message):
    for function in (trace, draw_dot):
        with pytest.raises(TypeError, match=message) as error:
            function(root)
        assert isinstance(error.value, gl.GradliteError)


def test_a_graph_that_backward_has_freed_is_an_error():
    (x,) = leaves(np.ones(3))
    y = np.sin(x)
    y.sum().backward()
    for root in (y, y * 2, Value((y * 2).sum())):
        for function in (trace, draw_dot):
            with pytest.raises(RuntimeError, match=r"np\.sin.*retain_graph=True.*draw before"):
                function(root)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rankdir": "RL"}, "rankdir must be LR, TB; not 'RL'"),
        ({"rankdir": None}, "rankdir must be LR, TB; not None"),
        ({"format": "docx"}, "format must be svg, png, pdf, .*; not 'docx'"),
    ],
)
def test_unknown_settings_name_the_choices(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        draw_dot(Value(1.0), **wrong)
    assert isinstance(error.value, gl.GradliteError)


@pytest.mark.parametrize("path", ["graph", "graph.txt", "svg"])
def test_save_needs_a_suffix_that_it_knows(path, tmp_path):
    with pytest.raises(ValueError, match="suffix of a picture's file must be svg, png"):
        draw_dot(Value(1.0)).save(tmp_path / path)


def test_a_missing_folder_is_named(tmp_path, graphviz):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*missing'") as error:
        draw_dot(Value(1.0)).render(tmp_path / "missing" / "gout")
    assert isinstance(error.value, gl.GradliteError)
    assert list(tmp_path.iterdir()) == []


def test_what_graphviz_refuses_is_an_error(graphviz):
    with pytest.raises(gl.GradliteError, match="Graphviz could not draw this as svg"):
        Picture(scene(Value(1.0)), lambda named: "digraph { oh [ }").svg()


def test_a_picture_says_what_it_is():
    assert repr(draw_dot(neuron())) == "<picture of 9 boxes and ovals>"
