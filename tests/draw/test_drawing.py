"""`draw`: results, modules and estimators; what it shows, and that nothing changes."""

import copy
import os
import pickle
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gradlite as gl
from gradlite import nn
from gradlite.draw import Picture, draw, draw_dot
from gradlite.draw.dot import KINDS
from gradlite.draw.scene import Link
from gradlite.engine import Value
from tests.helpers import leaves

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    return X, np.where(X[:, 0] + X[:, 1] > 0, "yes", np.where(X[:, 2] > 0, "no", "maybe"))


@pytest.fixture(scope="module")
def classifier(data):
    model = gl.MLPClassifier((5,), standardize=True, dropout=0.2, max_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        return model.fit(*data)


def root(picture):
    return picture.scene.boxes[picture.scene.root]


def kinds(picture):
    return {box.name: box.kind for box in picture.scene.boxes.values() if box.name}


def operations(picture):
    return [box.op[0] for box in picture.scene.boxes.values() if box.op]


# -- results ----------------------------------------------------------------------------------


def test_a_result_is_drawn_with_the_names_of_what_went_in():
    x, (W,) = np.ones((2, 3)), leaves(np.ones((3, 1)))
    picture = draw((x @ W).sum(), names={"x": x, "W": W})
    assert kinds(picture) == {"x": "input", "W": "parameter"}
    assert operations(picture) == ["np.matmul", "np.sum"]
    assert "<b>W</b><br/>(3, 1) float64<br/>norm 1.7321" in picture.source


def test_gradients_and_lines_of_code_are_shown_where_they_are():
    (x,) = leaves(np.array([3.0, 4.0]))
    with gl.debug():
        out = np.sum(x * x)
    assert "grad norm" not in draw(out).source
    out.backward(retain_graph=True)
    source = draw(out).source
    assert "norm 5.0000<br/>grad norm 10.0000" in source
    assert len(re.findall(r"test_drawing\.py:\d+  out = np", source)) == 2


def test_each_kind_has_a_look_of_its_own_without_its_colours():
    plain = [re.sub(r'"?#\w{6}"?', "", look) for look in KINDS.values()]
    assert len(set(plain)) == len(KINDS) == 6


def test_the_svg_has_the_ids_of_the_scene(graphviz):
    (x,) = leaves(np.ones(3))
    for picture in (draw((x * x).sum()), draw_dot((x * x).sum())):
        ids = {group.get("id") for group in ET.fromstring(picture.svg()).iter(f"{SVG}g")}
        expected = {"graph0"}
        for box in picture.scene.boxes.values():
            expected |= {box.id, *(f"{link.source}-{box.id}" for link in box.inputs)}
            if box.op:
                expected |= {f"{box.id}-op", f"{box.id}-op-{box.id}"}
        assert ids == expected


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(graphviz, monkeypatch):
    laid = []
    lay_out = Picture._laid_out
    monkeypatch.setattr(Picture, "_laid_out", lambda *args: laid.append(args) or lay_out(*args))
    picture = draw(Value(1.0) + 1)
    frame = ET.fromstring(picture._repr_html_())
    assert len(laid) == 1
    assert not any(hasattr(picture, f"_repr_{kind}_") for kind in ("svg", "png", "mimebundle"))
    assert frame.tag == "iframe"
    assert frame.get("sandbox") == "allow-scripts"
    assert frame.get("srcdoc") == picture._drawn("html").decode()


def test_the_legend_explains_the_leaves_that_are_there(graphviz):
    x, (W,) = np.ones((2, 3)), leaves(np.ones((3, 1)))
    out = (x @ W).sum()
    assert re.findall(r'size="8">(\w+)</font></td>', draw(out).source) == ["parameter", "constant"]
    assert "<td" not in draw(W.sum()).source
    assert "<td" not in draw_dot(out).source


# -- modules ----------------------------------------------------------------------------------


class TwoInputs(nn.Module):
    def __init__(self):
        self.gain = nn.Parameter(np.array([1.0, 2.0]))
        self.offset = nn.Parameter(np.array([1.0, 2.0]), requires_grad=False)

    def forward(self, left, right):
        return self.gain * left + right + self.offset


def test_a_module_is_called_on_its_input():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = np.ones((5, 3), np.float32)
    picture = draw(net, x)
    assert kinds(picture) == {
        "x": "input", "0.weight": "parameter", "0.bias": "parameter", "2.weight": "parameter",
        "2.bias": "parameter",
    }  # fmt: skip
    assert operations(picture) == ["gl.linear", "np.tanh", "gl.linear"]
    assert np.array_equal(root(picture).value, net(x).data)


def test_inputs_of_any_number_are_counted():
    class Sum(nn.Module):
        def forward(self, first, *x, scale=2.0):
            return (first + sum(x)) * scale

    inputs = np.ones(2), np.ones(2), np.ones(2)
    assert kinds(draw(Sum(), *inputs)) == {"first": "input", "x[0]": "input", "x[1]": "input"}


def test_inputs_given_by_keyword_have_boxes_as_well():
    X = csr_array([[3.0, 0.0], [0.0, -4.0]])
    picture = draw(nn.Linear(2, 1), X)
    (box,) = (box for box in picture.scene.boxes.values() if box.kind == "input")
    assert (box.name, box.fields) == ("x", ["(2, 2) float64, sparse", "norm 5.0000"])
    (product,) = (box for box in picture.scene.boxes.values() if box.op == ["gl.sparse_matmul"])
    assert Link(box.id, "x") in product.inputs
    assert kinds(draw(nn.Embedding(3, 2), np.array([0, 2])))["indices"] == "input"


def test_inputs_have_the_names_of_the_arguments():
    picture = draw(TwoInputs(), np.ones(2), np.array([1, 2]))
    assert kinds(picture) == {
        "gain": "parameter", "left": "input", "right": "input", "offset": "parameter",
    }  # fmt: skip
    same = draw(TwoInputs(), gl.Tensor(np.ones(2)), gl.Tensor(np.array([1, 2])))
    assert kinds(same) == kinds(picture)


def test_buffers_are_constants_with_names():
    class Centred(nn.Module):
        def __init__(self):
            self.register_buffer("mean", np.array([1.0, 2.0]))

        def forward(self, x):
            return x - self.mean

    assert kinds(draw(Centred(), np.ones(2))) == {"x": "input", "mean": "constant"}


def test_integers_and_lists_are_passed_on():
    assert kinds(draw(nn.Embedding(3, 2), np.array([0, 2])))["weight"] == "parameter"
    assert root(draw(nn.Linear(2, 1), [[1.0, 2.0]])).value.shape == (1, 1)


def test_drawing_a_module_changes_nothing():
    noise = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=noise))
    net[1].eval()
    x = gl.Tensor(np.random.default_rng(1).normal(size=(8, 3)), requires_grad=True)
    net(x).sum().backward()

    def state():
        arrays = [*net.state_dict().values(), *(p.grad for p in net.parameters()), x.grad]
        modes = [module.training for module in net.modules()]
        drawn = (noise.bit_generator.state, np.random.get_state(), random.getstate())
        return pickle.dumps(([array.copy() for array in arrays], modes, drawn))

    before = state()
    with gl.no_grad():
        picture = draw(net, x)
        assert not (x * 1).requires_grad
    assert state() == before
    in_use = copy.deepcopy(net).eval()(x)  # without dropout
    assert np.array_equal(root(picture).value, in_use.data)
    shown = [box for box in picture.scene.boxes.values() if box.name == "0.weight"]
    assert np.array_equal(shown[0].gradient, net[0].weight.grad)


def test_neurons_are_drawn_with_the_names_of_their_weights():
    random.seed(0)
    model = nn.MLP(2, [2, 1])
    picture = draw(model, [1.0, -2.0])
    assert {name: kind for name, kind in kinds(picture).items() if kind == "input"} == {
        "x0": "input", "x1": "input",
    }  # fmt: skip
    weights = [name for name, kind in kinds(picture).items() if kind == "parameter"]
    assert len(weights) == len(model.parameters()) == 9
    shown = {box.name: box.value for box in picture.scene.boxes.values()}
    assert shown["layers.1.neurons.0.w.1"] == model.layers[1].neurons[0].w[1].data
    assert root(picture).value == model([1.0, -2.0]).data
    assert root(draw(model, np.ones((3, 2)))).value.shape == (3,)
    mine = [Value(1.0, label="mine"), Value(-2.0)]
    assert kinds(draw(model, mine)) == kinds(draw(model, mine, names={"x0": mine[0]}))


# -- estimators -------------------------------------------------------------------------------


def test_an_estimator_is_drawn_down_to_its_outputs(classifier, data):
    picture = draw(classifier, data[0])
    assert kinds(picture) == {
        "X": "input", "mean": "constant", "scale": "constant", "0.weight": "parameter",
        "0.bias": "parameter", "3.weight": "parameter", "3.bias": "parameter",
    }  # fmt: skip
    z = root(picture).value
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert p == pytest.approx(classifier.predict_proba(data[0]))


def test_with_targets_it_is_drawn_down_to_the_loss(classifier, data):
    picture = draw(classifier, *data)
    assert kinds(picture)["y"] == "input"
    assert operations(picture)[-1] == "gl.cross_entropy"
    assert root(picture).value == pytest.approx(
        log_loss(data[1], classifier.predict_proba(data[0]))
    )


def test_without_rows_it_is_drawn_on_zeros(classifier):
    picture = draw(classifier)
    (X,) = (box for box in picture.scene.boxes.values() if box.name == "X")
    assert np.array_equal(X.value, np.zeros((1, 4)))
    assert root(picture).value.shape == (1, 3)


def test_drawing_an_estimator_changes_nothing(classifier, data):
    before = pickle.dumps(classifier)
    state = pickle.dumps(np.random.get_state())
    draw(classifier, *data)
    assert pickle.dumps(classifier) == before
    assert pickle.dumps(np.random.get_state()) == state


# -- folding ----------------------------------------------------------------------------------


def test_large_graphs_are_folded_unless_told_not_to(graphviz):
    x = Value(0.5)
    for _ in range(100):
        x = x.tanh()
    folded, whole = draw(x), draw(x, fold=False)
    assert (folded.size, whole.size) == (6, 201)
    assert "… 98 more times" in "".join(ET.fromstring(folded.svg()).itertext())


def test_100000_operations_in_a_loop_can_be_drawn(graphviz):
    (x,) = leaves(np.float64(0.5))
    for _ in range(100_000):
        x = np.tanh(x)
    assert draw(x).svg()


def test_what_cannot_be_folded_is_refused(graphviz):
    rng = random.Random(0)
    x = Value(0.5)
    for _ in range(2000):
        x = rng.choice((Value.tanh, Value.sin, Value.cos))(x)
    with pytest.raises(ValueError, match=r"picture would have \d{4} boxes.*draw a part"):
        draw(x).svg()


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["svg", "html", "dot"])
def test_a_file_is_replaced_when_the_new_one_is_complete(suffix, tmp_path, monkeypatch, graphviz):
    path = tmp_path / f"graph.{suffix}"
    path.write_text("old")

    def fail(*args):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            draw(Value(1.0)).save(path)
    assert path.read_text() == "old"
    assert draw(Value(1.0)).save(path) == str(path)
    assert len(path.read_text()) > 100
    assert os.listdir(tmp_path) == [path.name]


def test_the_page_has_a_legend_of_its_own(tmp_path, graphviz):
    picture = draw(nn.Linear(2, 1), np.ones((1, 2)))
    assert ">parameter</text>" in picture.svg()
    page = Path(picture.save(tmp_path / "graph.html")).read_text(encoding="utf-8")
    assert ">parameter</text>" not in page


# -- what cannot be drawn ---------------------------------------------------------------------


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([Value(1.0)],), TypeError, r"not \[Value.*\] \(list\)\. Draw one of its elements"),
        (((),), TypeError, r"not \(\) \(tuple\)\.$"),
        ((np.ones(2),), TypeError, "a module with sample input, or a fitted estimator.*ndarray"),
        ((Value(1.0), np.ones(2)), ValueError, r"only, and Value.* is a result: draw\(result\)"),
        ((nn.Linear(2, 1),), ValueError, r"draw\(module, x\), with an x for this Linear"),
        ((nn.Neuron(2),), ValueError, r"draw\(module, x\), with an x for this Neuron"),
        ((Pair(), np.ones(2)), ValueError, r"This Pair returned \(Tensor.*\(tuple\).*one of its"),
        ((nn.MLP(1, [2]), [1.0]), ValueError, r"This MLP returned \[Value.*\(list\)"),
        ((LogisticRegression(),), TypeError, "estimators of gradlite.*not LogisticRegression"),
        ((gl.MLPClassifier(),), NotFittedError, "not fitted"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_named(arguments, kind, message):
    with pytest.raises(kind, match=message) as error:
        draw(*arguments)
    assert isinstance(error.value, (gl.GradliteError, NotFittedError))


def test_estimators_refuse_what_they_were_not_fitted_for(classifier, data):
    X, y = data
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        draw(classifier, X[:, :3])
    with pytest.raises(ValueError, match="never"):
        draw(classifier, X, np.where(y == "no", "never", y))
    with pytest.raises(gl.GradliteError, match="X and y beside an estimator, not 3 arrays"):
        draw(classifier, X, y, y)
    with pytest.raises(
        TypeError, match=r"not Pipeline\. Draw its last step, with X as that step takes it"
    ):
        draw(make_pipeline(StandardScaler(), classifier), X)
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [0.1]}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"not GridSearchCV\. Draw its best_estimator_\.$"):
        draw(search, X)


@pytest.mark.parametrize("names", [["x"], {1: Value(1.0)}])
def test_wrong_names_are_named(names):
    with pytest.raises(gl.GradliteError, match=r"such as names=\{'x': x\}; not "):
        draw(Value(1.0), names=names)


def test_a_wrong_direction_is_named():
    with pytest.raises(ValueError, match="rankdir must be LR, TB; not 'up'"):
        draw(Value(1.0), rankdir="up")


def test_a_graph_that_backward_has_freed_is_an_error():
    (x,) = leaves(np.ones(3))
    out = np.sin(x).sum()
    out.backward()
    with pytest.raises(RuntimeError, match=r"np\.sum.*retain_graph=True.*draw before"):
        draw(out)
