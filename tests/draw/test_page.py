"""The page of a graph, as a program reads it and as a person sees it in a browser."""

import json
import random
import re

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rule import RULES
from gradlite.draw import draw_dot
from gradlite.draw.boxes import number
from gradlite.draw.dot import KINDS
from gradlite.draw.folding import fold
from gradlite.draw.formulas import defined, explained, formulas_of
from gradlite.draw.mathematics import entry_of
from gradlite.draw.page import page, page_data, summary
from gradlite.draw.page import part as part_of_page
from gradlite.draw.scene import scene
from gradlite.engine import Value
from gradlite.nn import MLP
from tests.draw.browser import chromium, complaints, requests, resize
from tests.helpers import leaves
from tests.specs import SPECS

EVIL = "</script><img src=x onerror=alert(1)>$data&amp;<b>"


def neuron():
    """Make the output of a neuron, with labels."""
    x, w, b = Value(2.0, label="x"), Value(-3.0, label="w"), Value(6.5, label="b")
    out = (x * w + b).tanh()
    out.label = "out"
    return out, [x, w, b]


def network():
    """Make the loss of a small network, and its parameters."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    W1, b1, W2, b2 = parameters = leaves(*(rng.normal(size=s) for s in [(3, 4), 4, (4, 2), 2]))
    logits = gl.affine(gl.relu(gl.affine(x, W1, b1)), W2, b2)
    return gl.cross_entropy(logits, y) + 0.01 * (W1**2).sum(), parameters


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
        answer = run(spec.prepared(), *leaves(*points))
    except (TypeError, ValueError, AttributeError):
        pytest.skip("an older NumPy does not take this call")
    part = answer[0] if isinstance(answer, (tuple, list)) else answer
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


# -- in a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("pygraphviz", reason="pygraphviz draws the pictures: extra viz")
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        started.get("about:blank")
        requests(started)
        yield started


class Screen:
    """A page in the browser, and what a person can do there."""

    def __init__(self, browser, root, path):
        self.browser = browser
        picture = draw_dot(root)
        self.ids = {id(box.item): box.id for box in picture.scene.boxes.values()}
        self.url = f"file://{picture.save(path)}"
        resize(browser, 1280, 800)
        browser.get(self.url)

    def run(self, script, *args):
        return self.browser.execute_script(script, *args)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def box(self, item):
        item = item._node if isinstance(item, gl.Tensor) else item
        return self.find(f"#{self.ids[id(item)]}")

    def choose(self, item):
        self.box(item).click()

    def press(self, *keys):
        self.find("body").send_keys(*keys)

    def gradient(self):
        """Read the gradient of the box that is selected."""
        alone = self.run("return document.querySelector('#gradient .number')?.textContent")
        if alone is not None:
            return float(alone)
        cells = "[...row.cells].map((cell) => Number(cell.title))"
        rows = "[...document.querySelectorAll('#gradient tr')]"
        return np.array(self.run(f"return {rows}.map((row) => {cells})"))

    def seen(self):
        """Read all that changes with the steps."""
        parts = "['canvas', 'panel', 'said', 'counter']"
        return self.run(f"return {parts}.map((id) => document.getElementById(id).innerHTML)")


@pytest.fixture
def show(browser, tmp_path):
    complaints(browser)
    requests(browser)
    yield lambda root: Screen(browser, root, tmp_path / "graph.html")
    assert complaints(browser) == []


KEYS = {
    "up": "\ue013", "right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010",
    "enter": "\ue007",
}  # fmt: skip


def test_the_page_opens_without_a_request(show, browser):
    screen = show(neuron()[0])
    assert browser.title == f"The graph of out = {neuron()[0].data:.4f}"
    assert screen.text("#counter") == "step 0 of 7"
    assert screen.text("#said") == (
        "out is computed from x, w and b. Step through the computation, then back through it."
    )
    assert requests(browser) == [screen.url]


def test_a_click_shows_rule_value_and_gradient(show):
    out, (x, *_) = neuron()
    screen = show(out)
    screen.press(KEYS["end"])
    screen.choose(x)
    assert (screen.text("h2"), screen.text("#value .number")) == ("x", "2")
    screen.choose(out)
    assert screen.text("h2") == "out"
    python = screen.find("#rule details")
    assert python.get_attribute("open") is None
    assert "lambda g, ans, x: g - g * ans * ans" in python.get_attribute("textContent")
    assert screen.find("#rule math").size["height"] > 10
    beside = "getComputedStyle(document.querySelector('#rule .fit')).overflowY"
    assert screen.run(f"return {beside}") == "hidden"  # no bar to scroll a formula by a hair
    assert float(screen.text("#value .number")) == pytest.approx(out.data, rel=1e-11)
    assert screen.gradient() == 1.0


def test_at_the_end_values_have_the_gradients_of_backward(show):
    random.seed(3)
    model = MLP(2, [2, 1])
    out = (model([0.5, -1.0]) - 1) ** 2
    screen = show(out)
    screen.press(KEYS["end"], "0")
    out.backward()
    for p in model.parameters():
        screen.choose(p)
        assert screen.gradient() == pytest.approx(p.grad, rel=1e-11)
    assert any(p.grad for p in model.parameters())


def test_at_the_end_tensors_have_the_gradients_of_backward(show):
    loss, parameters = network()
    screen = show(loss)
    screen.press(KEYS["end"], "0")
    loss.backward()
    for p in parameters:
        screen.choose(p)
        assert np.allclose(screen.gradient(), p.grad, rtol=1e-11, atol=0)


def test_steps_back_undo_steps_forward(show):
    screen = show(neuron()[0])
    forward = [screen.seen()]
    for _ in range(7):
        screen.find("#next").click()
        forward.append(screen.seen())
    assert len(set(map(str, forward))) == 8
    assert not screen.find("#next").is_enabled()
    for seen in forward[-2::-1]:
        screen.find("#back").click()
        assert screen.seen() == seen
    assert not screen.find("#back").is_enabled()


def test_gradients_add_up_in_their_boxes(show):
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    screen = show(a * b + a)
    screen.run("stepTo(turn)")
    shown = []
    for _ in range(3):
        classes = set(screen.box(a).get_attribute("class").split()) & {"arriving", "complete"}
        shown.append((screen.box(a).text.split("\n")[-1], *classes))
        screen.press(KEYS["right"])
    assert shown == [("grad",), ("grad 1.0000", "arriving"), ("grad -2.0000", "complete")]


def test_the_box_of_a_tensor_has_a_place_for_its_gradient(show):
    loss, (W1, *_) = network()
    screen = show(loss)
    id = screen.box(W1).get_attribute("id")
    screen.run("zoom(1 / view.k); bring(arguments[0])", id)
    field = screen.box(W1).find_element("css selector", ".gradient")
    assert field.text == "grad"
    screen.run("stepTo(last); bring(arguments[0])", id)
    loss.backward()
    assert field.text == f"grad norm {np.linalg.norm(W1.grad):.4f}"
    inside, box = field.rect, screen.box(W1).find_element("css selector", "path").rect
    assert box["x"] <= inside["x"] <= box["x"] + box["width"] - inside["width"]


def test_everything_can_be_done_with_keys(show):
    out, (x, *_) = neuron()
    screen = show(out)
    counts = []
    for key in ("right", "right", "left", "end", "home"):
        screen.press(KEYS[key])
        counts.append(int(screen.text("#counter").split()[1]))
    assert counts == [1, 2, 1, 7, 0]
    screen.box(x).send_keys(KEYS["enter"])
    assert screen.text("h2") == "x"
    scales = [screen.run("return view.k")]
    for key in "+-0":
        screen.press(key)
        scales.append(screen.run("return view.k"))
    assert scales[1] > scales[0] == pytest.approx(scales[2])
    for button in ("first", "back", "play", "next", "last", "closer", "farther", "fit"):
        assert screen.find(f"#{button}").accessible_name


def test_the_mouse_drags_and_zooms_and_a_drag_selects_nothing(show, browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    out, (x, *_) = neuron()
    screen = show(out)
    before = screen.box(x).rect
    actions = ActionChains(browser, duration=0)
    actions.click_and_hold(screen.box(x)).move_by_offset(30, 40).release().perform()
    after = screen.box(x).rect
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((30, 40), abs=1)
    assert screen.text("h2") == "out"
    origin = ScrollOrigin.from_element(screen.box(x))
    actions.scroll_from_origin(origin, 0, -300).perform()
    zoomed = screen.box(x).rect["width"]
    assert zoomed > 1.3 * after["width"]
    actions.click_and_hold(screen.find("svg")).move_to_element(
        screen.find("h2")
    ).release().perform()
    screen.find("#closer").click()  # the drag ended elsewhere
    assert screen.box(x).rect["width"] > 1.2 * zoomed


def test_two_fingers_zoom(show):
    screen = show(neuron()[0])
    before = screen.run("return view.k")
    touch = (
        "(type, pointerId, clientX) => new PointerEvent(type, {pointerId, clientX, bubbles: true})"
    )
    screen.run(
        f"const at = {touch};"
        "canvas.dispatchEvent(at('pointerdown', 1, 300));"
        "canvas.dispatchEvent(at('pointerdown', 2, 400));"
        "dispatchEvent(at('pointermove', 2, 500));"
        "dispatchEvent(at('pointerup', 1, 300)); dispatchEvent(at('pointerup', 2, 500));"
    )
    assert screen.run("return view.k") == pytest.approx(2 * before)


def test_play_goes_on_to_the_end(show, browser):
    from selenium.webdriver.support.wait import WebDriverWait

    screen = show(neuron()[0])
    screen.run("const real = setInterval; setInterval = (f) => real(f, 20);")
    screen.find("#play").click()
    WebDriverWait(browser, 5, 0.02).until(lambda _: screen.text("#counter") == "step 7 of 7")
    assert screen.find("#play").accessible_name == "Play"


def test_labels_do_no_harm(show):
    a = Value(2.0, label=EVIL)
    screen = show(a * a)
    screen.press(KEYS["end"])
    screen.choose(a)
    assert screen.text("h2") == EVIL
    assert screen.run("return document.images.length") == 0
    assert screen.gradient() == 4.0


def test_an_empty_array_has_an_empty_gradient(show):
    (x,) = leaves(np.zeros((0, 3)))
    screen = show(np.sum(x * 2.0))
    screen.press(KEYS["end"])
    screen.choose(x)
    assert "(0, 3)" in screen.text("#gradient")


def test_small_measures_are_short(show):
    (x,) = leaves(np.array([1.0, 2.0]))
    screen = show(np.sum(x * (1e-5 / 3)))
    screen.press(KEYS["end"])
    screen.choose(x)
    measures = dict(re.findall(r"(\w+)\n(\S+)", screen.text("#gradient .measures")))
    assert measures["mean"] == "3.33333e-6"


def test_only_the_main_button_drags(show, browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.mouse_button import MouseButton

    out, (x, *_) = neuron()
    screen = show(out)
    before = screen.box(x).rect
    actions = ActionChains(browser, duration=0)
    actions.move_to_element(screen.box(x))
    actions.w3c_actions.pointer_action.pointer_down(MouseButton.MIDDLE)
    actions.move_by_offset(30, 40).perform()
    assert screen.box(x).rect == before
    actions.reset_actions()


@pytest.mark.parametrize("size", [(1280, 800), (844, 330), (320, 440)])
def test_the_buttons_cover_no_box_that_is_shown(show, browser, size):
    screen = show(network()[0])
    resize(browser, *size)
    browser.refresh()
    for _ in range(4):
        current, zoom = screen.find(".current").rect, screen.find("#zoom").rect
        assert current["y"] + current["height"] <= zoom["y"]
        screen.press(KEYS["right"])


def test_a_phone_that_is_turned_shows_the_selected_box_still(show, browser):
    screen = show(network()[0])
    for size in ((844, 390), (390, 844)):
        resize(browser, *size)
        browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )
        box, canvas = screen.find(".chosen").rect, screen.find("#canvas").rect
        for start, length in (("x", "width"), ("y", "height")):
            assert canvas[start] <= box[start]
            assert box[start] + box[length] <= canvas[start] + canvas[length]


def test_a_box_that_a_key_leads_to_comes_into_sight(show, browser):
    screen = show(network()[0])
    resize(browser, 390, 844)
    browser.refresh()
    screen.run("view.x = -1000; look()")
    assert screen.find(".chosen.node").rect["x"] < 0
    screen.press("\ue004")  # tab
    assert screen.run("return document.activeElement.matches('.chosen.node')")
    assert screen.find(".chosen.node").rect["x"] >= 0


def test_all_boxes_are_one_stop_of_the_tab_key(show):
    out, (x, *_) = neuron()
    screen = show(out)
    stops = "return document.querySelectorAll('svg [tabindex=\"0\"]').length"
    assert screen.run(stops) == 1
    screen.press("\ue004")
    for _ in range(5):
        screen.find(":focus").send_keys(KEYS["up"])
    assert screen.find(":focus").get_attribute("id") == screen.box(x).get_attribute("id")
    screen.find(":focus").send_keys(KEYS["enter"])
    assert (screen.text("h2"), screen.run(stops)) == ("x", 1)


def test_what_a_box_is_called_tells_its_numbers_and_whether_it_has_its_turn(show):
    out, (x, *_) = neuron()
    screen = show(out)
    assert screen.box(out).get_attribute("aria-label") == f"out, {out.data:.4f}"
    screen.press(KEYS["right"])
    assert screen.box(out).get_attribute("aria-label") == "out"  # yet to be computed
    assert screen.find("[aria-current=step]").get_attribute("aria-label") == "t1, -6.0000"
    screen.press(KEYS["end"])
    out.backward()
    assert screen.box(x).get_attribute("aria-label") == f"x, 2.0000, gradient {x.grad:.4f}"


def test_a_leaf_has_nothing_behind_it(show):
    screen = show(Value(3.0, label="x"))
    assert screen.text("#said") == "x is given, not computed."
    screen.press(KEYS["end"])
    told = "The gradient of x with respect to itself is 1. There is nothing to pass it back to."
    assert screen.text("#said").endswith(told)
    assert not screen.find("#next").is_enabled()


def test_a_label_from_right_to_left_turns_no_sentence_around(show):
    a, b = Value(2.0, label="\u202ea"), Value(3.0, label="b")
    screen = show(a * b)
    screen.press(KEYS["end"])
    end = screen.run(
        "const range = document.createRange();"
        "range.selectNodeContents(document.querySelector('#said').lastChild);"
        "return range.getBoundingClientRect().x"
    )
    assert screen.find("#said b:last-of-type").rect["x"] < end


def test_the_page_says_that_hooks_are_not_called(show):
    (x,) = leaves(np.array([1.0, 2.0]))
    x.register_hook(lambda g: 100 * g)
    out = np.sum(x * x)
    screen = show(out)
    assert "hooks" not in screen.text("#gradient")
    screen.press(KEYS["end"])
    screen.choose(x)
    assert "backward() passes this gradient to hooks" in screen.text("#gradient")
    assert screen.gradient().tolist() == [[2.0, 4.0]]


def test_long_labels_leave_room_for_the_graph(show):
    x = Value(2.0, label="x" * 2000)
    screen = show(x * x)
    screen.press(KEYS["end"])
    assert screen.find("#canvas").rect["height"] > 400


def test_a_link_in_the_panel_selects_what_it_names(show):
    out, (x, *_) = neuron()
    screen = show(out)
    screen.press(KEYS["end"])
    screen.choose(x)
    screen.find("#gradient button").click()
    assert screen.text("h2") == "t1"
    assert screen.run("return document.activeElement.id") == "panel"


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_within_its_width(show, browser, dark):
    screen = show(network()[0])
    resize(browser, 390, 844, dark)
    screen.press(KEYS["end"])
    assert screen.run("return document.documentElement.scrollWidth") == 390
    for part in ("canvas", "bar", "panel", "next", "fit", "said"):
        rect = screen.find(f"#{part}").rect
        assert rect["x"] >= 0
        assert rect["x"] + rect["width"] <= 390
        assert rect["y"] + rect["height"] <= 844
    background = screen.run("return getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background))) < 60) == dark


@pytest.mark.parametrize("width", [390, 667, 801, 844, 960, 1025, 1280])
def test_nothing_in_the_bar_is_cut_off(show, browser, width):
    screen = show(mlp())
    resize(browser, width, 700)
    screen.press(KEYS["end"])
    canvas = screen.find("#canvas").rect
    for part in ("counter", "scrub", "speed", "said"):
        rect = screen.find(f"#{part}").rect
        assert canvas["x"] <= rect["x"]
        assert rect["x"] + rect["width"] <= canvas["x"] + canvas["width"]
        assert screen.run(f"return $('{part}').scrollWidth <= $('{part}').clientWidth")


@pytest.mark.parametrize("size", [(740, 360), (667, 375)])
def test_a_small_phone_that_lies_has_room_for_graph_and_panel(show, browser, size):
    screen = show(network()[0])
    resize(browser, *size)
    width, height = size
    assert screen.run("return document.documentElement.scrollWidth") == width
    for part, least in (("canvas", 100), ("panel", 200), ("bar", 0), ("counter", 0)):
        rect = screen.find(f"#{part}").rect
        assert rect["height"] >= least
        assert rect["x"] + rect["width"] <= width + 1
        assert rect["y"] + rect["height"] <= height + 1


def test_a_result_without_a_gradient_has_nothing_to_step_through(show):
    screen = show(gl.Tensor([1.0, 2.0]))
    assert "does not require a gradient" in screen.text("#said")
    assert not screen.find("#next").is_enabled()
    assert not screen.find("#play").is_enabled()


# -- forward, and the chain rule --------------------------------------------------------------


def test_the_steps_begin_with_the_forward_pass(show):
    out, _ = neuron()
    screen = show(out)
    assert screen.run("return document.querySelectorAll('.pending').length") == 0
    screen.press(KEYS["right"])
    assert screen.text("#said") == "Forward t1 = x * w = 2 * -3 = -6"
    assert screen.run("return document.querySelectorAll('[role=button].pending').length") == 2
    hidden = "[...document.querySelectorAll('.pending .figure')]"
    seen = f"return {hidden}.every((x) => getComputedStyle(x).visibility === 'hidden')"
    assert screen.run(seen)
    screen.press(KEYS["right"], KEYS["right"], KEYS["right"])
    assert screen.text("#said").startswith("Backward The gradient of out with respect to itself")
    assert screen.run("return document.querySelectorAll('.pending').length") == 0


def test_the_panel_says_the_chain_rule_with_the_numbers_once_they_are_known(show):
    out, (_, w, _) = neuron()
    screen = show(out)
    screen.run("choose(steps.at(-1).box)")
    codes = "return [...document.querySelectorAll('#rule .derivative pre')].map((x) => x.innerText)"
    assert screen.run(codes) == ["x.grad += t1.grad * w", "w.grad += t1.grad * x"]
    assert screen.run("return document.querySelector('#rule .numbers')") is None
    screen.press(KEYS["end"])
    assert screen.run(codes)[1] == "w.grad += t1.grad * x = 0.7864 * 2 = 1.573"
    assert screen.run("return document.querySelectorAll('#rule .numbers math').length") == 2
    screen.choose(w)
    assert "w.grad += t1.grad * x = 0.7864 * 2 = 1.573" in screen.text("#gradient")


def test_of_arrays_the_panel_says_the_first_element_and_the_size_of_all(show):
    x, W = leaves(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    screen = show((np.einsum("ij,jk->ik", x, W) @ np.array([[5.0, 6.0, 7.0]])).sum())
    codes = "return [...document.querySelectorAll('#rule .derivative pre')].map((x) => x.innerText)"
    screen.press(KEYS["end"])
    assert [text.replace("\u00a0", " ") for text in screen.run(codes)] == [
        "p1.grad += einsum('ik,jk->ij', t1.grad, p2)  # (1, 2), norm 90.0000",
        "p2.grad += einsum('ik,ij->jk', t1.grad, p1)  # (2, 1), norm 40.2492",
    ]
    shown = "return [...document.querySelectorAll('#rule .numbers')].map((x) => x.innerText)"
    assert ["".join(text.split()) for text in screen.run(shown)] == ["54=18·3", "18=18·1"]
    assert screen.text("#said").startswith(
        "Backward t1 passes back a gradient to p1 (norm 90.0000) and p2 (norm 40.2492)."
    )
    made = screen.text("#forward pre").replace("\u00a0", " ")
    assert made == "t1 = einsum('ij,jk->ik', p1, p2) = 11"
    screen.run("choose(data.forward[1])")
    made = screen.text("#forward pre").replace("\u00a0", " ")
    assert made == "t2 = t1 @ c1  # (1, 3), norm 115.3690"


def test_of_many_parameters_the_start_says_the_number(show):
    screen = show(mlp())
    assert screen.text("#said").startswith("t74 is computed from 41 parameters")
    screen.run("stepTo(turn)")
    assert "with respect to itself is 1. Next, it is passed back." in screen.text("#said")


def test_an_array_starts_from_ones_and_the_page_says_so(show):
    (x,) = leaves(np.array([1.0, 2.0]))
    screen = show(np.exp(x))
    screen.run("stepTo(turn)")
    told = "It starts with an array of ones, for the gradient of the sum of t1."
    assert told in screen.text("#said")


def test_a_constant_is_asked_for_no_derivative(show):
    screen = show(Value(3.0, label="x") ** 2)
    screen.press(KEYS["end"])
    assert screen.run("return document.querySelectorAll('#rule .derivative').length") == 1


# -- what is seen -----------------------------------------------------------------------------


def mlp():
    random.seed(0)
    return (MLP(3, [4, 4, 1])([1.0, 2.0, 3.0]) - 1) ** 2


def layers():
    """Make a graph that leads down to the right, so that its result is far from its middle."""
    parts = [(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)) for _ in range(6)]
    return nn.Sequential(*(layer for block in parts for layer in block))(np.ones((3, 4))).sum()


OUTSIDE = """
    const { left, right, top, bottom } = canvas.getBoundingClientRect();
    return [...drawing.querySelectorAll('.node')].filter((node) => {
        const box = node.getBoundingClientRect();
        return box.left < left || box.right > right || box.top < top || box.bottom > bottom;
    }).length;
"""


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("make", [lambda: neuron()[0], lambda: network()[0]], ids=["neuron", "net"])
def test_at_first_the_whole_of_a_small_graph_is_seen(show, browser, make, size):
    screen = show(make())
    resize(browser, *size)
    browser.refresh()
    assert screen.run(OUTSIDE) == 0
    assert not screen.find("#map").is_displayed()


@pytest.mark.parametrize("size", [(1280, 900), (390, 844), (360, 640), (844, 390)])
@pytest.mark.parametrize("make", [mlp, layers])
def test_of_a_large_graph_the_result_is_seen_first_and_a_map_of_all(show, browser, make, size):
    screen = show(make())
    resize(browser, *size)
    browser.refresh()
    assert screen.run("return view.k") >= 0.75
    canvas, root = screen.find("#canvas").rect, screen.find(".chosen.node").rect
    assert canvas["x"] <= root["x"] <= canvas["x"] + canvas["width"] - root["width"]
    assert canvas["y"] <= root["y"] <= canvas["y"] + canvas["height"] - root["height"]
    assert screen.find("#map").is_displayed()
    assert screen.find("#map .root").is_displayed()
    leaves = "order.filter((id) => !boxes[id].op.length).length"
    assert screen.run(f"return map.querySelectorAll('.leaf').length === {leaves}")
    screen.run("const { left, top } = map.getBoundingClientRect();"
               "$('map').dispatchEvent(new PointerEvent('pointerdown', {clientX: left + 3,"
               "clientY: top + 3, bubbles: true}))")  # fmt: skip
    assert screen.find(".chosen.node").rect["y"] > canvas["y"] + canvas["height"]
    screen.press("0")
    assert screen.run(OUTSIDE) == 0


NAMES = """
    const shown = [...graph.querySelectorAll('.node text')].filter((text) => {
        const { display, visibility } = getComputedStyle(text);
        return display !== 'none' && visibility !== 'hidden';
    });
    return shown.map((text) => {
        const box = text.closest('.node');
        const [inside, around] = [text, box].map((part) => part.getBoundingClientRect());
        const fits = inside.left >= around.left && inside.right <= around.right
            && inside.top >= around.top - 1 && inside.bottom <= around.bottom + 1;
        const size = parseFloat(getComputedStyle(text).fontSize) * view.k;
        return [text.textContent, box.id, fits, size];
    });
"""


def test_from_afar_each_box_shows_its_name_large_enough_to_read(show, browser):
    screen = show(network()[0])
    resize(browser, 390, 844)
    browser.refresh()
    assert screen.run("return view.k") < 0.6
    names = screen.run(NAMES)
    assert all(fits for _, _, fits, _ in names)
    assert len(names) == screen.run("return drawing.querySelectorAll('.node').length")
    boxes = {text: size for text, id, _, size in names if not id.endswith("-op")}
    assert set(boxes) == {"p1", "p2", "p3", "p4", "c1", "c2", *(f"t{i}" for i in range(1, 9))}
    assert min(size for text, size in boxes.items() if text[0] != "c") >= 9
    assert {"affine", "relu", "cross_entropy"} <= {text for text, *_ in names}
    assert not screen.run("return [...drawing.querySelectorAll('.node polyline')]"
                          ".some((line) => getComputedStyle(line).display !== 'none')")  # fmt: skip
    screen.press(KEYS["right"])
    assert screen.run("return view.k") >= 0.9
    near = [text for text, *_ in screen.run(NAMES)]
    assert "gl.affine" in near
    assert "affine" not in near


def test_from_afar_a_path_is_told_by_its_end(show):
    screen = show(neuron()[0])
    names = {
        "layers.0.neurons.1.w.0": "w.0", "0.weight": "weight", "np.linalg.cholesky": "cholesky",
        "a b.c": "a b.c", "**2": "**2", "3.5": "3.5", "… 12 more times: 5 each": "… 12 more times",
    }  # fmt: skip
    assert screen.run("return arguments[0].map(brevity)", [*names]) == [*names.values()]


@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (844, 390)])
def test_the_legend_lies_beside_the_graph(show, browser, size):
    screen = show(network()[0])
    resize(browser, *size)
    legend, canvas = screen.find("#legend").rect, screen.find("#canvas").rect
    assert legend["y"] + legend["height"] <= canvas["y"]
    assert legend["height"] < 30  # one line


def test_on_a_phone_the_panel_has_no_line_on_its_left(show, browser):
    screen = show(neuron()[0])
    width = "return getComputedStyle(panel).borderLeftWidth"
    assert screen.run(width) == "1px"
    resize(browser, 390, 844)
    assert screen.run(width) == "0px"


def test_a_graph_is_laid_out_the_way_in_which_it_is_seen_larger(graphviz, tmp_path):
    svg = draw_dot(mlp()).svg()
    wide, high = map(float, re.search(r'viewBox="0.00 0.00 ([\d.]+) ([\d.]+)"', svg).groups())
    html = (tmp_path / "graph.html", draw_dot(mlp()).save(tmp_path / "graph.html"))[0].read_text()
    w, h = map(float, re.search(r'viewBox="0.00 0.00 ([\d.]+) ([\d.]+)"', html).groups())
    assert min(880 / w, 640 / h) > min(880 / wide, 640 / high)


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_no_formula_is_cut_off(show, browser, size):
    screen = show(neuron()[0])
    resize(browser, *size)
    lines = []
    for rule in [r for r in RULES.values() if entry_of(r)]:
        entry = entry_of(rule)
        lines += [defined(entry), *(f.mathml for f in formulas_of(rule, entry))]
        lines += [f"<span>{line}</span>" for line in explained(entry)]
    cut = screen.run(
        "panel.replaceChildren(...arguments[0].map((line) => math(line,"
        " line.startsWith('<span>') ? 'words' : 'formula'))); shrink();"
        "return [...panel.children].filter((x) => x.scrollWidth > x.clientWidth + 1)"
        ".map((x) => x.textContent)",
        lines,
    )
    assert cut == []
    assert len(lines) > 350


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_nothing_in_the_panel_is_cut_off(show, browser, size):
    loss, _ = network()
    screen = show(loss * 1e-9)
    resize(browser, *size)
    screen.press(KEYS["end"])
    for id in screen.run("return order"):
        screen.run("choose(arguments[0])", id)
        cut = "[...panel.querySelectorAll('*')].filter((x) => x.scrollWidth > x.clientWidth + 1"
        cut += " && getComputedStyle(x).display !== 'inline' && x.clientWidth)"
        assert screen.run(f"return {cut}.map((x) => x.outerHTML)") == []
        assert screen.run("return panel.scrollWidth <= panel.clientWidth")


def test_rings_lie_below_the_heads_of_arrows(show):
    screen = show(neuron()[0])
    after = "a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING"
    assert screen.run(
        "const rings = [...drawing.querySelectorAll('.ring')];"
        "const heads = [...drawing.querySelectorAll('.edge polygon')];"
        f"return heads.length > 4 && rings.every((a) => heads.every((b) => {after}))"
    )


def test_playing_has_a_speed(show):
    screen = show(neuron()[0])
    screen.run("window.waits = []; setInterval = (f, wait) => waits.push(wait)")
    for speed in ("1", "2", "0.5"):
        screen.run("$('speed').value = arguments[0]", speed)
        screen.find("#play").click()
        screen.find("#play").click()
    one, two, half = screen.run("return waits")
    assert (two, half) == (one / 2, one * 2)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    """The ratio of WCAG 2.2."""
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_as_the_colours_promise():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    light, dark = re.findall(r":root \{(.*?)\}", part_of_page("page.css"), re.S)
    known = dict(re.findall(r"--(\w+): (#\w{6})", light))
    for colours in (known, {**known, **dict(re.findall(r"--(\w+): (#\w{6})", dark))}):
        for text in ("ink", "muted"):
            for back in ("back", "surface"):
                assert contrast(colours[text], colours[back]) >= 4.5
        for line in ("current", "arriving", "complete", "chosen", "arrow"):
            assert contrast(colours[line], colours["back"]) >= 3
        assert contrast(colours["edge"], colours["surface"]) >= 3


def test_text_is_legible_on_every_box_on_light_and_dark_pages():
    fills = [re.search(r'fillcolor="(#\w{6})"', look) for look in KINDS.values()]
    assert all(fills)  # without a fill, the page shows through
    for fill in [match[1] for match in fills] + ["#dfe8f2", "#fdf1d6"]:
        for text in ("#000000", "#555555", "#8a4200", "#00573f"):
            assert contrast(text, fill) >= 4.5


def test_a_page_that_is_out_of_sight_at_first_is_drawn_once_it_is_seen(browser, tmp_path, graphviz):
    shown = draw_dot(neuron()[0])._repr_html_().replace('loading="lazy"', "")
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><body><div hidden>{shown}</div>{shown}</body>")
    resize(browser, 1280, 1400)
    complaints(browser)
    browser.get(f"file://{path}")
    views = []
    for frame in browser.find_elements("css selector", "iframe"):
        browser.execute_script("document.querySelector('div').hidden = false")
        browser.switch_to.frame(frame)
        browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
        field = "graph.querySelector('.gradient').getBBox()"
        views.append(browser.execute_script(f"return [view.k, {field}.x]"))
        browser.switch_to.default_content()
    assert views[0] == views[1]
    assert views[0][0] > 0.5
    assert complaints(browser) == []


def test_two_pages_in_one_notebook_do_not_meet(browser, tmp_path, graphviz):
    shown = [draw_dot(neuron()[0])._repr_html_() for _ in range(2)]
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{''.join(shown)}</body>")
    resize(browser, 1280, 1400)
    browser.get(f"file://{path}")
    assert browser.execute_script("return document.querySelectorAll('[id]').length") == 0
    frames = browser.find_elements("css selector", "iframe")
    counts = []
    for frame, steps in zip(frames, (1, 3), strict=True):
        browser.switch_to.frame(frame)
        for _ in range(steps):
            browser.find_element("css selector", "#next").click()
        counts.append(browser.find_element("css selector", "#counter").text)
        browser.switch_to.default_content()
    assert counts == ["step 1 of 7", "step 3 of 7"]
    assert complaints(browser) == []
