"""The chain rule with names and numbers: what is put in evaluates to what has arrived."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw.names import names_of
from gradlite.draw.page import page, page_data
from gradlite.draw.scene import scene
from gradlite.engine import Value
from tests.draw.test_mathematics import NUMPY
from tests.helpers import leaves
from tests.specs.elementwise import ELEMENTWISE


def chains(root):
    """Return what each box passes back, by the names of both."""
    data = page_data(scene(root))
    names = {id: box["name"] for id, box in data["boxes"].items()}
    return {
        (names[step["box"]], names[x["box"]]): x.get("chain")
        for step in data["steps"]
        for x in step["arrivals"]
    }


def made(root):
    data = page_data(scene(root))
    return [data["boxes"][id]["made"] for id in data["forward"]]


def neuron():
    x, w, b = Value(2.0, label="x"), Value(-3.0, label="w"), Value(6.5, label="b")
    return (x * w + b).tanh()


def test_it_is_said_in_the_names_and_numbers_of_the_node():
    found = chains(neuron())
    assert found["t3", "t2"]["code"] == "t2.grad += t3.grad * (1 - t3 ** 2)"
    assert found["t3", "t2"]["numbers"] == "1 * (1 - 0.4621 ** 2) = 0.7864"
    assert found["t2", "b"] == {
        "code": "b.grad += t2.grad", "numbers": "0.7864", "mathml": "", "where": "",
    }  # fmt: skip
    assert found["t1", "w"]["code"] == "w.grad += t1.grad * x"
    assert found["t1", "w"]["numbers"] == "0.7864 * 2 = 1.573"
    assert found["t1", "x"]["numbers"] == "0.7864 * -3 = -2.359"
    assert made(neuron()) == [
        "t1 = x * w = 2 * -3", "t2 = t1 + b = -6 + 6.5", "t3 = tanh(t2) = tanh(0.5)",
    ]  # fmt: skip


def test_what_is_taken_twice_gets_both_parts_in_one_line():
    a = Value(3.0, label="a")
    assert chains(a * a)["t1", "a"]["code"] == "a.grad += t1.grad * a + t1.grad * a"
    assert chains(a * a)["t1", "a"]["numbers"] == "1 * 3 + 1 * 3 = 6"
    (x,) = leaves(np.array(3.0))
    assert chains(x * x)["t1", "p1"]["numbers"] == "1 * 3 + 1 * 3 = 6"


def test_of_arrays_the_numbers_are_of_the_first_element():
    x, y = leaves(np.array([[2.0, 1.0]]), np.array([5.0, 7.0]))
    found = chains(np.sum(x * y))
    assert found["t1", "p1"]["numbers"] == "1 * 5 = 5"
    assert found["t1", "p1"]["where"] == "[0, 0]"
    assert found["t1", "p2"]["code"] == "p2.grad += t1.grad * p1"
    assert found["t1", "p2"]["numbers"] == ""  # summed over what was broadcast
    passed_on = chains(np.sum(np.add(x, [[3.0, 4.0]]) * [[5.0, 6.0]]))["t1", "p1"]
    assert (passed_on["numbers"], passed_on["where"]) == ("5", "[0, 0]")


def test_a_loss_says_the_share_of_one_element():
    (x,) = leaves(np.array([0.0, 1.0]))
    found = chains(gl.nn.bce_with_logits(x, np.array([1.0, 0.0])))["t1", "p1"]
    assert found["code"] == "p1.grad += t1.grad * ((sigmoid(p1) - c1) / n)"
    assert found["numbers"] == "1 * ((sigmoid(0) - 1) / 2) = -0.25"


def test_products_of_matrices_are_said_in_names():
    x, W, b = leaves(np.ones((2, 3)), np.ones((3, 4)), np.ones(4))
    found = chains(gl.affine(x, W, b).sum())
    assert found["t1", "p2"]["code"] == "p2.grad += p1.T @ t1.grad"
    assert found["t1", "p3"]["code"] == "p3.grad += t1.grad.sum(0)"
    assert found["t2", "t1"]["code"] == "t1.grad += t2.grad"
    assert chains((x @ np.ones(3)).sum())["t1", "p1"] is None  # of a vector, it is another


NUMBERS = {**NUMPY, "inf": np.inf, "nan": np.nan}


@pytest.mark.parametrize("spec", ELEMENTWISE, ids=lambda spec: spec.name)
def test_the_numbers_that_are_put_in_give_what_arrives(spec):
    points, run = spec.calls[0].draw()
    try:
        out = run(spec.prepared(), *leaves(*points))
    except (TypeError, ValueError):
        pytest.skip("an older NumPy does not take this call")
    data = page_data(scene(out * 2.0))
    told = [x for step in data["steps"] for x in step["arrivals"]]
    assert len(told) > 1
    for x in told:
        *terms, total = x["chain"]["numbers"].split(" = ")
        assert float(total) == pytest.approx(x["amount"]["number"], rel=1e-3)
        for term in terms:
            with np.errstate(all="ignore"):
                assert eval(term, dict(NUMBERS)) == pytest.approx(float(total), rel=0.01, abs=2e-3)
        assert ("<math" in x["chain"]["mathml"]) == bool(terms)


def test_what_has_no_numbers_says_no_chain_rule_and_breaks_nothing():
    own = Value(27.0, (Value(3.0),), "cube")
    own._backward = lambda: None
    assert None in chains(own * 1.0).values()
    assert chains(Value(10**400) + Value(2))["t1", "2"]["numbers"] == ""
    x = gl.Tensor([0.5, 2.0], requires_grad=True)
    assert chains(np.sum(x[np.array([1, 1])]))["t1", "p1"] is None


# -- names ------------------------------------------------------------------------------------


def test_no_two_boxes_that_can_be_named_apart_have_one_name():
    t1, a = Value(1.0, label="t1"), Value(2.0)
    found = names_of(scene((t1 * a + a).tanh()))
    assert list(found.values()) == ["t1", "2", "t2", "t3", "t4"]
    x = gl.Tensor(np.ones((2, 2)), requires_grad=True)
    names = names_of(scene((x * np.ones(2) @ np.ones((2, 1))).sum(), {"c1": x}))
    assert sorted(names.values()) == ["c1", "c2", "c3", "t1", "t2", "t3"]


def title(root):
    html = page(scene(root), "<svg></svg>")
    return html[html.index("<title>") + 7 : html.index("</title>")]


def test_a_title_is_never_an_operation_alone():
    n, b = Value(-2.0, label="n"), Value(0.5, label="b")
    assert title(n + b) == "The graph of n + b = -1.5000"
    assert title((n + b) ** 2) == "The graph of t1**2 = 2.2500"
    assert title(((n + b) * n).tanh()) == "The graph of tanh(t2) = 0.9951"
    long = Value(1.0, label="a name that is as long as a sentence is")
    assert title(long * 2) == "The graph of t1 = 2.0000"
    (x,) = leaves(np.array([1.0, 2.0]))
    assert title(np.exp(x)) == "The graph of exp(p1)"
    assert title(Value(3.0)) == "The graph of t1 = 3.0000"
