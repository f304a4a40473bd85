"""The scene: what there is to see of a graph, before anybody draws it."""

import random

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.draw.scene import Link, scene
from gradlite.engine import Value
from tests.helpers import leaves


def kinds(seen):
    return {box.name: box.kind for box in seen.boxes.values() if box.name}


def test_boxes_stand_after_what_they_were_made_of():
    x, (W, b) = np.ones((5, 3)), leaves(np.ones((3, 2)), np.zeros(2))
    seen = scene(gl.affine(x, W, b).sum(), {"x": x, "W": W, "b": b})
    boxes = list(seen.boxes.values())
    assert [box.kind for box in boxes] == ["parameter", "parameter", "input", "result", "root"]
    assert [box.name for box in boxes] == ["W", "b", "x", "", ""]
    assert [box.op for box in boxes] == [[], [], [], ["gl.affine"], ["np.sum"]]
    W_box, b_box, x_box, affine, total = boxes
    assert affine.inputs == [Link(W_box.id, "W"), Link(b_box.id, "b"), Link(x_box.id, "x")]
    assert total.inputs == [Link(affine.id, "")]
    assert seen.root == total.id
    assert [seen.boxes[box.id] for box in boxes] == boxes


def test_an_array_that_is_used_twice_has_one_box():
    x, (W,) = np.ones((2, 2)), leaves(np.ones((2, 2)))
    seen = scene((x @ W @ x).sum(), {"x": x})
    assert [box.name for box in seen.boxes.values()].count("x") == 1
    made = [box for box in seen.boxes.values() if box.op == ["np.matmul"]]
    (x_box,) = (box for box in seen.boxes.values() if box.name == "x")
    assert [Link(x_box.id, "x") in box.inputs for box in made] == [True, False]
    assert [Link(x_box.id, "y") in box.inputs for box in made] == [False, True]


def test_values_and_gradients_are_those_that_are_there():
    (x,) = leaves(np.array([3.0, 4.0], np.float32))
    out = (x * x).sum()
    out.backward(retain_graph=True)
    first, product, total = scene(out).boxes.values()
    assert first.value is x._node.ans
    assert first.gradient.tolist() == [6, 8]
    assert product.value.tolist() == [9, 16]
    assert product.gradient is None
    assert total.value == 25
    a = Value(3.0)
    (a * a).backward()
    (box,) = scene(a).boxes.values()
    assert (box.value, box.gradient) == (3.0, 6.0)


def test_parameters_inputs_and_constants_are_told_apart():
    x, mask, t = np.ones(2), np.array([1.0, 0.0]), gl.Tensor([1.0, 2.0])
    (w,) = leaves(np.ones(2))
    frozen = nn.Parameter(np.ones(2), requires_grad=False)
    names = {"x": x, "t": t, "w": w, "frozen": frozen}
    seen = scene((w * x * mask * t * frozen).sum(), names)
    assert kinds(seen) == {"x": "input", "t": "input", "w": "parameter", "frozen": "parameter"}
    assert [box.kind for box in seen.boxes.values() if box.item is mask] == ["constant"]


def test_among_values_labels_tell_inputs_from_constants():
    random.seed(0)
    neuron = nn.Neuron(1)
    seen = scene(neuron([Value(2.0, label="x")]) * 3, {"w": neuron.w[0]})
    assert kinds(seen) == {"x": "input", "w": "parameter"}
    others = [box for box in seen.boxes.values() if not box.inputs and not box.name]
    assert [(box.kind, box.value) for box in others] == [("parameter", 0.0), ("constant", 3)]


def test_a_name_goes_before_a_label():
    x = Value(1.0, label="label")
    assert kinds(scene(x * x, {"name": x})) == {"name": "input"}
    assert kinds(scene(x * x)) == {"label": "input"}


@pytest.mark.parametrize("t", [gl.Tensor([1.0]), gl.Tensor([1.0], requires_grad=True), Value(1.0)])
def test_a_leaf_alone_is_the_root(t):
    seen = scene(t, {"t": t})
    assert [(box.id, box.kind, box.name) for box in seen.boxes.values()] == [
        (seen.root, "root", "t")
    ]


def test_the_line_of_code_is_there_after_debug_mode():
    (x,) = leaves(np.ones(2))
    with gl.debug():
        y = np.sin(x)
    _, recorded, other = scene(y * 2).boxes.values()
    assert "test_scene.py" in recorded.where
    assert recorded.where.endswith("y = np.sin(x)")
    assert other.where == ""


def test_a_value_knows_the_line_that_made_it():
    with gl.debug():
        made = Value(2.0) * 3.0
    seen = scene(made + 1)
    wheres = [box.where for box in seen.boxes.values() if box.op == ["*"]]
    assert len(wheres) == 1
    assert wheres[0].endswith("made = Value(2.0) * 3.0")
    assert seen.boxes[seen.root].where == ""


def test_operations_with_several_results_have_no_value():
    (x,) = leaves(np.eye(2) + 1)
    seen = scene(np.linalg.svd(x)[1].sum())
    (several,) = (box for box in seen.boxes.values() if box.fields == ["3 results"])
    assert several.value is None
