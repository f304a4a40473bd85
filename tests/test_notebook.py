"""What notebooks show: the HTML of Tensors, Modules and estimators."""

import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.engine import Value
from gradlite.nn import MLP


def parsed(shown):
    """The element that is shown. A parser for XML takes nothing that is not closed or escaped."""
    return ElementTree.fromstring(f"<page>{shown._repr_html_()}</page>").find("div")


def tables(tensor):
    """The rows of each table, by its caption."""
    return {
        table.find("caption").text: [[cell.text for cell in row] for row in table.iter("tr")]
        for table in parsed(tensor).iter("table")
    }


def tints(tensor):
    return [cell.get("style", "") for cell in parsed(tensor).iter("td")]


def test_a_tensor_shows_its_numbers_and_its_gradient():
    x = gl.Tensor([[1.0, -2.0], [0.25, 4.0]], requires_grad=True)
    (x * x).sum().backward()
    head = [None, "0", "1"]
    assert tables(x) == {
        "data": [head, ["0", "1", "-2"], ["1", "0.25", "4"]],
        "grad": [head, ["0", "2", "-4"], ["1", "0.5", "8"]],
    }


def test_the_first_line_tells_what_a_tensor_is_and_where_it_came_from():
    x = gl.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    facts = [
        [part.text for part in parsed(t).find("div")] for t in (x.detach(), x, np.tanh(x), x @ x.T)
    ]
    assert facts == [
        ["Tensor", "shape (2, 3)", "float32"],
        ["Tensor", "shape (2, 3)", "float32", "requires_grad"],
        ["Tensor", "shape (2, 3)", "float32", "requires_grad", "result of np.tanh"],
        ["Tensor", "shape (2, 2)", "float32", "requires_grad", "result of np.matmul"],
    ]
    assert parsed(nn.Linear(2, 1).weight).find("div/b").text == "Parameter"


def test_long_axes_are_cut_in_the_middle():
    rows = tables(gl.Tensor(np.arange(30 * 13).reshape(30, 13)))["data"]
    assert len(rows) == 1 + 13
    assert rows[0] == [None, *"012345", None, *map(str, range(7, 13))]
    assert rows[6][:2] == ["5", "65"]
    assert rows[7] == [None] + ["…"] * 13
    assert rows[13][-1] == "389"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (3.5, {"data": [["3.5"]]}),
        ([1, 2], {"data": [["0", "1"], ["1", "2"]]}),
        ([True], {"data": [["0"], ["True"]]}),
        (np.zeros((0, 2)), {"data": [[None, "0", "1"]]}),
        (np.zeros((2, 0, 3)), {"data[0, :, :]": [[None]]}),
        (np.ones((3, 3, 1, 1)), {"data[0, 0, :, :]": [[None, "0"], ["0", "1"]]}),
    ],
    ids=["a number", "one axis", "booleans", "no rows", "no numbers", "four axes"],
)
def test_any_number_of_axes(data, expected):
    assert tables(gl.Tensor(data)) == expected


def test_cells_are_tinted_by_sign_and_size():
    low, half, zero, high = tints(gl.Tensor([-4.0, -2.0, 0.0, 4.0]))
    assert low == "background: rgba(0, 114, 178, 0.55)"
    assert half == low.replace("0.55", "0.28")
    assert zero == ""
    assert high == "background: rgba(213, 94, 0, 0.55)"


def test_what_is_no_number_stands_out():
    nan, inf, one, zero = tints(gl.Tensor([np.nan, -np.inf, 1.0, 0.0]))
    assert nan == inf != ""
    assert one.endswith("0.55)")
    assert set(tints(gl.Tensor([0.0, 0.0]))) == {""}
    assert zero == ""


def test_a_gradient_that_can_be_differentiated_again():
    x = gl.Tensor([3.0], requires_grad=True)
    (x**2).sum().backward(create_graph=True)
    assert tables(x)["grad"] == [["0"], ["6"]]


class Titled(nn.Module):
    def __init__(self):
        self.scale = nn.Parameter(np.ones(2), requires_grad=False)
        self.inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.outer = self  # a module may know the one it is part of

    def extra_repr(self):
        return "a < b & c"


def test_a_module_is_a_tree_that_folds():
    root = parsed(Titled()).find("div/details")
    lines = [" ".join(line.itertext()) for line in root.iter() if line.tag in ("summary", "div")]
    assert lines == [
        "Titled(a < b & c) 11 parameters",
        "scale (2,) float64, frozen",
        "inner: Sequential 9 parameters",
        "0: Linear(2, 3) 9 parameters",
        "weight (3, 2) float32",
        "bias (3,) float32",
        "1: ReLU()",
    ]
    assert [fold.get("open") for fold in root.iter("details")] == ["", "", None]


def test_a_module_alone_is_unfolded():
    assert parsed(nn.Linear(2, 1)).find("div/details").get("open") == ""
    assert "".join(parsed(nn.ReLU()).itertext()) == "ReLU()"


def test_a_value_shows_its_number_and_its_gradient():
    a = Value(2.0, label="<a>")
    b = a * a
    b.backward()
    assert list(tables_of_pairs(a).items()) == [("data", "2"), ("grad", "4")]
    assert "".join(parsed(a).find("div").itertext()) == "Value<a>"
    assert "".join(parsed(b).find("div").itertext()) == "Valuemade by *"
    assert tables_of_pairs(Value(10**400))["data"] == str(10**400)


def tables_of_pairs(value):
    return {row[0].text: row[1].text for row in parsed(value).iter("tr")}


def test_a_network_of_values_shows_its_layers_and_its_weights():
    model = MLP(2, [3, 1])
    (model([0.5, -1.0]) * 2).backward()
    root = parsed(model)
    said = ["".join(line.itertext()) for line in root.iter() if line.tag in ("summary", "div")]
    assert "MLP13 parameters" in said
    assert "layers[0]: Layer9 parameters" in said
    assert "neurons[2]: Neuron3 parameters" in said
    bias = model.layers[1].neurons[0].b
    assert f"b{bias.data:.6g}, grad {bias.grad:.6g}" in said
    assert bias.grad == 2.0
    assert [fold.get("open") for fold in root.iter("details")][:3] == ["", "", None]


def test_estimators_show_scikit_learns_diagram():
    shown = gl.MLPClassifier((8,), alpha=0.5)._repr_html_()
    assert "sk-top-container" in shown
    assert "MLPClassifier" in shown


def test_a_large_tensor_is_shown_without_a_copy_of_it():
    x = gl.Tensor(np.ones((1000, 1000)))
    x._repr_html_()
    tracemalloc.start()
    try:
        x._repr_html_()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < x.data.nbytes / 10
