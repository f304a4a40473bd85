"""The backward pass in steps: what backward() computes, in order, with nothing changed."""

import random

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw.steps import steps
from gradlite.engine import Value
from gradlite.errors import DivisionError, GraphError
from gradlite.nn import MLP
from tests.helpers import leaves
from tests.specs import SPECS


def arrived(root, g):
    """Take all steps; return the gradients that they end with."""
    return {x: total for step in steps(root, g) for x, _, total in step.arrivals}


def in_order(root, g):
    """Write the steps with labels in place of Values."""
    return [
        (step.item.label, step.g, [(x.label, amount, total) for x, amount, total in step.arrivals])
        for step in steps(root, g)
    ]


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


# -- Values -----------------------------------------------------------------------------------


def test_a_result_passes_on_its_complete_gradient_by_the_chain_rule():
    x, y = Value(2.0, label="x"), Value(5.0, label="y")
    s = x + y
    p = s * x
    s.label, p.label = "s", "p"
    assert in_order(p, 3.0) == [
        ("p", 3.0, [("s", 6.0, 6.0), ("x", 21.0, 21.0)]),
        ("s", 6.0, [("x", 6.0, 27.0), ("y", 6.0, 6.0)]),
    ]


def test_a_leaf_has_nothing_to_pass_on():
    assert list(steps(Value(1.0), 1.0)) == []


def test_a_network_of_values_gets_what_backward_gives():
    random.seed(2)
    model = MLP(3, [4, 4, 1])
    x = [Value(0.5), Value(-1.0), Value(2.0)]
    out = (model(x) - 1) ** 2 / 3
    found = arrived(out, 1.0)
    out.backward()
    assert any(p.grad for p in model.parameters())
    assert [found[p] for p in [*model.parameters(), *x]] == [
        p.grad for p in [*model.parameters(), *x]
    ]


def test_no_gradient_of_a_value_changes():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c.tanh() + c
    d.backward()
    before = [v.grad for v in (a, b, c, d)]
    list(steps(d, 1.0))
    assert [v.grad for v in (a, b, c, d)] == before
    a.grad = b.grad = 0.0
    d.backward()
    assert [v.grad for v in (a, b, c, d)] == before


def test_a_user_written_backward_is_called_as_backward_calls_it():
    a = Value(3.0)
    cube = Value(27.0, (a,), "cube")

    def backward():
        a.grad += 27.0 * cube.grad

    cube._backward = backward
    a.grad = 5.0
    assert arrived(cube * 2, 1.0)[a] == 54.0
    assert a.grad == 5.0


def test_inputs_may_be_replaced_by_younger_ones():
    a = Value(3.0)
    cube = Value(125.0, (a,), "cube")
    five = a + 2.0

    def backward():
        five.grad += 75.0 * cube.grad

    cube._prev, cube._backward = {five}, backward
    assert arrived(cube, 1.0) == {five: 75.0, a: 75.0, five._inputs[1]: 75.0}


def test_a_value_that_is_its_own_input_is_an_error():
    a = Value(1.0)
    b = a + 2.0
    a._prev = {b}
    with pytest.raises(GraphError, match="is an input of itself"):
        list(steps(b, 1.0))


def test_an_infinite_derivative_is_the_error_of_backward():
    a = Value(0.0)
    a.grad = 7.0
    with pytest.raises(DivisionError, match="The derivative is infinite"):
        list(steps(a**0.5, 1.0))
    assert a.grad == 7.0


# -- Tensors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.module}-{spec.name}")
@pytest.mark.filterwarnings("ignore")
def test_every_rule_contributes_what_it_contributes_to_backward(spec):
    call = spec.calls[0]
    points, run = call.draw(np.float32)
    xs = leaves(*points)
    try:
        output = run(spec.prepared(), *xs)
    except (TypeError, ValueError, AttributeError):
        pytest.skip("an older NumPy does not take this call")
    parts = output if isinstance(output, (tuple, list)) else [output]
    out = sum(np.sum(part * part) for part in parts if part.requires_grad)
    found = arrived(out._node, np.ones_like(out._data))
    out.backward()
    for x in xs:
        assert x._node not in found if x.grad is None else same(found[x._node], x.grad)


def test_where_keeps_the_other_branch_out_as_in_backward():
    (x,) = leaves(np.array([0.0, 2.0]))
    with np.errstate(divide="ignore"):
        out = np.sum(np.where(x.data > 0, np.log(np.abs(x)), 0.0))
    assert np.array_equal(arrived(out._node, 1.0)[x._node], [0.0, 0.5])


def test_no_sink_no_hook_and_no_graph_of_tensors_is_touched():
    w, v = leaves(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    h = w * v
    h.retain_grad()
    seen = []
    w.register_hook(seen.append)
    h.register_hook(seen.append)
    out = np.sum(h)
    v.grad = np.ones(2)
    list(steps(out._node, 1.0))
    assert (seen, w.grad, h.grad) == ([], None, None)
    assert np.array_equal(v.grad, [1.0, 1.0])
    out.backward()
    assert np.array_equal(w.grad, v.data)


def test_a_result_used_twice_collects_both_contributions_first():
    (x,) = leaves(np.array([1.0, 2.0]))
    y = np.exp(x)
    out = np.sum(y * y)
    names = {out._node: "out", y._node: "y", x._node: "x"}
    passed = [
        (names.get(s.item, "y y"), [names.get(x, "y y") for x, _, _ in s.arrivals])
        for s in steps(out._node, 1.0)
    ]
    assert passed == [("out", ["y y"]), ("y y", ["y", "y"]), ("y", ["x"])]


def test_a_graph_that_was_freed_is_the_error_that_drawing_gives():
    (x,) = leaves(np.array([1.0]))
    out = np.sum(np.exp(x))
    out.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        list(steps(out._node, 1.0))


# -- both -------------------------------------------------------------------------------------


def test_gradients_cross_between_values_and_tensors():
    (x,) = leaves(np.array([1.0, 2.0]))
    a, b = map(Value, x)
    t = gl.Tensor([a * b, b])
    out = Value(np.sum(t * t)) * a
    found = arrived(out, 1.0)
    assert x.grad is None
    assert a.grad == 0.0
    out.backward()
    assert np.allclose(found[x._node], x.grad, rtol=1e-15)
    assert found[a] == pytest.approx(a.grad)
    # (a^2 b^2 + b^2) a at (1, 2), by hand
    assert np.allclose(x.grad, [3 * 4 + 4, 2 * 2 + 2 * 2])


def test_where_keeps_the_other_branch_out_below_values_as_well():
    (x,) = leaves(np.array([0.0, 4.0]))
    with np.errstate(divide="ignore"):
        out = Value(np.sum(np.where(x.data > 0, np.log(np.abs(x)), 0.0))) * 2
        masked = np.sum(np.where(x.data > 0, np.log(np.abs(x)), 0.0) * Value(2.0))
    assert np.array_equal(arrived(out, 1.0)[x._node], [0.0, 0.5])
    assert np.array_equal(arrived(masked._node, 1.0)[x._node], [0.0, 0.5])


def test_no_node_changes_where_values_and_tensors_meet():
    (x,) = leaves(np.array([1.0, 2.0]))
    a = Value(3.0)
    total = np.sum(x * a)
    out = Value(total) + a
    node = total._node
    fields = ("parents", "args", "params", "ans", "serial", "sink")
    before = [getattr(node, name) for name in fields]
    found = arrived(out, 1.0)
    assert [getattr(node, name) for name in fields] == before
    assert (a.grad, x.grad) == (0.0, None)
    out.backward()
    assert found[a] == a.grad == 4.0
    assert np.array_equal(found[x._node], x.grad)
