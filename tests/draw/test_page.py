"""The page of a graph, as a program reads it."""

import json
import re

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw.boxes import number
from gradlite.draw.folding import fold
from gradlite.draw.page import page, page_data, summary
from gradlite.draw.scene import scene
from gradlite.engine import Value
from gradlite.nn import MLP
from tests.draw.screen import EVIL
from tests.helpers import leaves
from tests.specs import SPECS

# -- what it tells ----------------------------------------------------------------------------


def told(root):
    """Return the data of the page of a graph, and its boxes by name."""
    data = page_data(scene(root))
    return data, {box["name"]: box for box in data["boxes"].values()}


def test_the_steps_are_told_with_the_boxes_that_they_are_of():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    data, _ = told(a * b + a)
    names = {id: box["name"] for id, box in data["boxes"].items()}
    assert [
        (names[step["box"]], [(names[x["box"]], x["total"]) for x in step["arrivals"]])
        for step in data["steps"]
    ] == [
        ("t2", [("t1", {"number": 1.0}), ("a", {"number": 1.0})]),
        ("t1", [("a", {"number": -2.0}), ("b", {"number": 2.0})]),
    ]
    assert data["seed"] == {"number": 1.0}


def test_the_rule_of_an_operation_stands_once_and_its_arguments_by_name():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    data, boxes = told((x * y) * y + x**3)
    rules = [[formula["source"] for formula in rule["formulas"]] for rule in data["rules"]]
    assert ["lambda g, ans, x, y: g * y", "lambda g, ans, x, y: g * x"] in rules
    assert len(rules) == 3  # of *, **, +
    (power,) = [box for box in boxes.values() if box["op"] == ["**3"]]
    assert [(a["name"], a.get("is")) for a in power["arguments"]] == [("x", None), ("y", "3")]
    assert data["boxes"][power["arguments"][0]["box"]]["name"] == "x"


def test_arrays_among_the_parameters_of_an_operation_are_arguments_with_a_box():
    (x,) = leaves(np.array([1.0, 2.0]))
    data, boxes = told(x[np.array([1, 1])])
    _, index = boxes["t1"]["arguments"]
    assert (index["name"], data["boxes"][index["box"]]["value"]["rows"]) == ("index", [[1.0, 1.0]])


def test_leaves_that_are_folded_away_are_counted():
    x = leaves(np.array([1.0, 2.0]))[0]
    for _ in range(40):
        x = np.tanh(x * leaves(np.array(0.5))[0])
    shown = fold(scene(x))
    data = page_data(shown)
    visible = [box for box in data["boxes"].values() if box["kind"] == "a parameter"]
    assert len(visible) + data["folded"]["a parameter"] == 41
    assert "a result" not in data["folded"]
    assert not page_data(scene(Value(2.0) * 3))["folded"]


def test_gradients_that_reach_a_box_of_repeats_together_are_counted():
    data = page_data(fold(scene(MLP(8, [16, 1])([0.5] * 8))))
    counted = []
    for step in data["steps"]:
        to = [arrival["box"] for arrival in step["arrivals"]]
        assert len(set(to)) == len(to)
        counted += [arrival for arrival in step["arrivals"] if "shape" in arrival["amount"]]
    assert {arrival["amount"]["shape"] for arrival in counted} >= {"14 gradients"}
    assert all(arrival["total"] is None for arrival in counted)


def test_a_user_written_derivative_is_called_that():
    a = Value(3.0)
    own = Value(27.0, (a,), "cube")
    own._backward = lambda: None
    _, boxes = told(own * 1.0)
    (own,) = [box for box in boxes.values() if box["op"] == ["cube"]]
    assert (own["rule"], own["note"]) == (None, "The derivative is a user-defined function.")


def test_arrays_are_told_in_short():
    x = np.arange(80.0).reshape(8, 10) / 7
    told = summary(x)
    assert told["shape"] == "(8, 10)"
    assert told["norm"] == pytest.approx(np.sqrt((x**2).sum()), rel=1e-11)
    assert (told["min"], told["max"], told["mean"]) == (0.0, 11.2857142857, 5.64285714286)
    assert np.allclose(told["rows"], x[:6, :6], rtol=1e-11)
    assert told["more"]
    assert summary(x[0, :3])["rows"] == [[0.0, 0.142857142857, 0.285714285714]]
    assert not summary(x[0, :3])["more"]
    assert summary(x.reshape(2, 4, 10))["rows"] == summary(x[:4])["rows"]
    assert summary(np.zeros((0, 3))) == {"shape": "(0, 3)", "dtype": "float64"}
    assert summary(np.float32(0.5)) == {"shape": "()", "dtype": "float32", "number": 0.5}


def test_what_is_not_finite_can_be_told_too():
    told = summary(np.array([1.0, np.nan, -np.inf]))
    assert told["rows"] == [[1.0, "nan", "-inf"]]
    json.dumps(told, allow_nan=False)


def test_a_number_beyond_all_floats_is_told_in_its_first_digits():
    data, _ = told(Value(10**400))
    (box,) = data["boxes"].values()
    assert box["value"] == {"number": number(10**400)}


def test_a_result_without_a_gradient_has_no_steps_and_says_so():
    data, _ = told(gl.Tensor([1.0, 2.0]))
    assert (data["seed"], data["steps"]) == (None, [])
    assert "does not require a gradient" in data["problem"]


def test_a_derivative_that_fails_is_told_in_its_words():
    data, _ = told(Value(0.0) ** 0.5)
    assert "The derivative is infinite" in data["problem"]
    assert ["**0.5"] in [box["op"] for box in data["boxes"].values()]


def test_an_array_starts_from_ones():
    (x,) = leaves(np.array([1.0, 2.0]))
    assert told(x * 3)[0]["seed"]["rows"] == [[1.0, 1.0]]


def unrolled(count):
    """Make a loop of `count` rounds with one weight."""
    (w,) = leaves(np.array([0.5, 0.9]))
    h = gl.Tensor([1.0, 1.0], requires_grad=True)
    for _ in range(count):
        h = np.tanh(h * w) + 0.1
    return h.sum(), w


def test_what_is_folded_is_one_step():
    out, w = unrolled(60)
    seen = fold(scene(out))
    (folded,) = seen.repeats
    data = page_data(seen)
    (step,) = [step for step in data["steps"] if step["box"] == folded]
    at = data["steps"].index(step)
    into = [x["total"] for s in data["steps"][:at] for x in s["arrivals"] if x["box"] == folded]
    assert into
    assert set(into) == {None}
    assert len(data["steps"]) <= len(data["boxes"])
    assert not any(x["box"] == s["box"] for s in data["steps"] for x in s["arrivals"])
    (of_w,) = [box.id for box in seen.boxes.values() if box.item is w._node]
    (to_w,) = [x for x in step["arrivals"] if x["box"] == of_w]
    out.backward()
    totals = [x["total"] for s in data["steps"] for x in s["arrivals"] if x["box"] == to_w["box"]]
    assert np.allclose(totals[-1]["rows"], [w.grad], rtol=1e-11)
    before = totals[totals.index(to_w["total"]) - 1]["rows"]
    assert np.allclose(np.add(before, to_w["amount"]["rows"]), to_w["total"]["rows"], rtol=1e-9)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.module}-{spec.name}")
@pytest.mark.filterwarnings("ignore")
def test_every_operation_has_a_page(spec):
    points, run = spec.calls[0].draw()
    try:
        output = run(spec.prepared(), *leaves(*points))
    except (TypeError, ValueError, AttributeError):
        pytest.skip("an older NumPy does not take this call")
    part = output[0] if isinstance(output, (tuple, list)) else output
    data, _ = told(part * 1)
    assert data["problem"] == ""
    assert data["rules"]
    formulas = [formula for rule in data["rules"] for formula in rule["formulas"]]
    assert all(formula["source"] and formula["mathml"] for formula in formulas)
    json.dumps(data, allow_nan=False)


def test_the_page_asks_for_nothing_and_labels_stay_text():
    a = Value(1.0, label=EVIL)
    html = page(scene(a * 2), '<?xml version="1.0"?><svg id="picture"></svg>')
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert 'id="picture"' in html
    assert "<?xml" not in html
    outside = re.findall(r"""(?:src|href)=["']([^"']+)|url\(([^)]+)\)|@import""", html)
    assert outside == [("data:,", "")]
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert EVIL in {box["name"] for box in data["boxes"].values()}
