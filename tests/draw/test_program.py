"""The program on the page of a graph."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw.folding import fold
from gradlite.draw.page import page_data
from gradlite.draw.program import LARGEST
from gradlite.draw.scene import scene
from gradlite.engine import Value
from tests.draw.browser import resize
from tests.draw.screen import EVIL, KEYS, layers, mlp, network, neuron
from tests.helpers import leaves


def told(root, names=None):
    """Return the data of the page, and the text of the program."""
    data = page_data(scene(root, names))
    return data, "\n".join(line["code"] for line in data["program"])


def run(text, *args):
    """Run a program on its inputs."""
    defined = {}
    exec(text, defined)
    return defined["value_and_grad"](*args)


# -- what it says -----------------------------------------------------------------------------


def test_a_neuron_of_values():
    out, inputs = neuron()
    _, text = told(out)
    assert "def value_and_grad(x, w, b):\n    t1 = x * w\n    t2 = t1 + b\n" in text
    value, gradients = run(text, *(x.data for x in inputs))
    out.backward()
    np.testing.assert_allclose(value, out.data, rtol=1e-15)
    np.testing.assert_allclose(gradients, [x.grad for x in inputs], rtol=1e-15)


def test_every_operation_of_values():
    a, b, c = (Value(x, label=name) for x, name in ((0.5, "a"), (-1.5, "b"), (2, "c")))
    out = (a * b - 3 / c + c**2 + c**a).sigmoid() + (a.log() + b.exp()).tanh() * b.relu()
    out = out + a.sqrt() * abs(b) + a.sin() * c.cos() + b.relu() * 1.0 + 2**a
    _, text = told(out)
    names = text.partition("value_and_grad(")[2].partition(")")[0].split(", ")
    value, gradients = run(text, *({"a": a, "b": b, "c": c}[name].data for name in names))
    out.backward()
    np.testing.assert_allclose(value, out.data, rtol=1e-14)
    known = {"a": a.grad, "b": b.grad, "c": c.grad}
    np.testing.assert_allclose(gradients, [known[name] for name in names], rtol=1e-14)


@pytest.mark.parametrize(
    ("out", "signature"),
    [
        (Value(2.0) * Value(3.0) + 1, "(v1, v2)"),
        (Value(2.0).tanh(), "(v1)"),
        (Value(2.0, label="x") * 3, "(x)"),
        (3 * Value(2.0, label="x") + Value(4.0) * Value(5.0), "(x, v1, v2)"),
    ],
)
def test_numbers_beside_values_are_written_out(out, signature):
    assert f"value_and_grad{signature}:" in told(out)[1]


@pytest.mark.parametrize("make", [mlp, lambda: network()[0], layers])
def test_networks(make):
    root = make()
    seen = scene(root)
    data = page_data(fold(seen))
    assert {"forward", "seed", "backward"} <= {line.get("phase") for line in data["program"]}
    assert {line["box"] for line in data["program"] if "box" in line} <= data["boxes"].keys()
    assert any(line["code"].startswith("    return ") for line in data["program"])


def test_lines_stand_with_their_steps():
    out, _ = neuron()
    data, _ = told(out)
    names = {box: about["name"] for box, about in data["boxes"].items()}
    assert [
        (line["phase"], names[line["box"]])
        for line in data["program"]
        if "box" in line and "#" not in line["code"]
    ] == [
        ("forward", "t1"), ("forward", "t2"), ("forward", "out"), ("seed", "out"),
        ("backward", "out"), ("backward", "out"), ("backward", "out"),
        ("backward", "t1"), ("backward", "t1"),
    ]  # fmt: skip


def test_names_become_identifiers():
    x, w = leaves(np.ones(3), np.ones(3))
    y = np.arange(3.0)
    _, text = told((x * w * y).sum(), {"0.weight": x, EVIL: w, "lambda": y})
    signature = text.partition("value_and_grad(")[2].partition(")")[0].split(", ")
    assert signature[::2] == ["weight_0", "lambda_"]
    assert signature[1].isidentifier()
    np.testing.assert_array_equal(run(text, np.ones(3), np.ones(3), y)[0], 3)


def test_an_array_that_is_used_again_is_one_input():
    (x,) = leaves(np.ones(3))
    c = np.array([1.0, 2.0, 3.0])
    assert "value_and_grad(x, c):" in told((x * c + c).sum(), {"x": x, "c": c})[1]


# -- where there is none ----------------------------------------------------------------------


@gl.primitive
def with_side_effects(x):
    CALLS.append(1)
    return x * 2


gl.defvjp(with_side_effects, lambda g, ans, x: g * 2)
CALLS = []


def own_backward():
    x = Value(2.0, label="x")
    out = Value(4.0, (x,), "double")
    out._backward = lambda: setattr(x, "grad", x.grad + 2 * out.grad)
    return out


def loop(times):
    (x,) = leaves(np.ones(2))
    for _ in range(times):
        x = np.tanh(x)
    return x


@pytest.mark.parametrize(
    "root",
    [
        gl.Tensor([1.0, 2.0]),
        gl.Tensor([1.0, 2.0], requires_grad=True),
        Value(2.0),
        own_backward(),
        Value(gl.Tensor(2.0, requires_grad=True)) * 3,
        gl.Tensor([1.0, 2.0], requires_grad=True) * Value(2.0),
        with_side_effects(gl.Tensor([1.0, 2.0], requires_grad=True)),
        loop(LARGEST),
    ],
)
def test_graphs_without_a_program(root):
    assert told(root)[0]["program"] == []
    assert len(CALLS) == 1


def test_a_program_of_the_largest_graph():
    assert told(loop(LARGEST - 1))[1]


# -- on the page ------------------------------------------------------------------------------


def test_it_is_folded_until_it_is_asked_for(show):
    screen = show(neuron()[0])
    assert screen.text("#program") == "The same computation as a NumPy program"
    screen.find("#program summary").click()
    assert "t1 = x * w" in screen.text("#program pre")
    assert not show(Value(2.0)).find("#program").is_displayed()


def test_the_lines_of_a_step_are_marked(show):
    screen = show(neuron()[0])
    screen.find("#program summary").click()
    marked = "return [...document.querySelectorAll('#program .now')].map((x) => x.textContent)"
    found = []
    for _ in range(7):
        screen.press(KEYS["right"])
        found.append([line.strip().partition(" =")[0] for line in screen.run(marked)])
    assert found == [
        ["t1"],
        ["t2"],
        ["out"],
        ["# the gradient of out with respect to out", "grad_out"],
        ["# back through tanh: out", "g1", "g2", "grad_t2"],
        [],  # the gradient of a sum is that of its terms: no line
        ["# back through multiply: t1", "grad_x", "grad_w"],
    ]


@pytest.mark.parametrize("size", [(1280, 900), (390, 844), (360, 740)])
def test_it_scrolls_inside_itself_to_the_lines_of_the_step(show, browser, size):
    screen = show(network()[0])
    resize(browser, *size)
    browser.refresh()
    screen.find("#program summary").click()
    steps = int(screen.find("#scrub").get_attribute("max"))
    for _ in range(steps):
        screen.press(KEYS["right"])
        sees = screen.run(
            "const box = document.querySelector('#program pre').getBoundingClientRect();"
            "const line = document.querySelector('#program .now')?.getBoundingClientRect();"
            "return !line || (line.top >= box.top && line.bottom <= box.bottom)"
        )
        assert sees
    root = "document.documentElement"
    assert screen.run(f"return [{root}.scrollWidth, {root}.scrollHeight]") == list(size)
    assert screen.find("#canvas").rect["height"] >= 100


def test_its_summary_is_the_only_stop_of_the_tab_key(show):
    screen = show(network()[0])
    screen.find("#program summary").click()
    screen.press("\ue004")
    assert screen.run("return document.activeElement.id") == "panel"


def test_a_name_cannot_leave_the_program(show):
    x = Value(2.0, label=EVIL)
    screen = show(x * 3)
    screen.find("#program summary").click()
    assert "script_img_src" in screen.text("#program pre")
