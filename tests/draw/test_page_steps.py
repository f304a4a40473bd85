"""The page of a graph in a browser: stepping, choosing, and what it says."""

import random
import re

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw import draw
from gradlite.engine import Value
from gradlite.nn import MLP
from tests.draw.browser import requests
from tests.draw.screen import EVIL, KEYS, mlp, network, neuron
from tests.helpers import leaves


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


def test_a_link_in_the_panel_selects_what_it_names(show):
    out, (x, *_) = neuron()
    screen = show(out)
    screen.press(KEYS["end"])
    screen.choose(x)
    screen.find("#gradient button").click()
    assert screen.text("h2") == "t1"
    assert screen.run("return document.activeElement.id") == "panel"


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


def test_the_number_includes_what_is_folded_away(show):
    screen = show(MLP(3, [12, 1])([1.0, 2.0, 3.0]), draw)
    assert screen.run("return Object.keys(boxes).length") < 60
    assert " is computed from 61 parameters. " in screen.text("#said")


def test_the_legend_names_the_pass(show):
    screen = show(neuron()[0])
    assert screen.text("#legend").startswith("passes back")
    screen.press(KEYS["right"])
    assert screen.text("#legend").startswith("computed now")
    screen.press(KEYS["end"])
    assert screen.text("#legend").startswith("passes back")


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


def test_playing_has_a_speed(show):
    screen = show(neuron()[0])
    screen.run("window.waits = []; setInterval = (f, wait) => waits.push(wait)")
    for speed in ("1", "2", "0.5"):
        screen.run("$('speed').value = arguments[0]", speed)
        screen.find("#play").click()
        screen.find("#play").click()
    one, two, half = screen.run("return waits")
    assert (two, half) == (one / 2, one * 2)
