"""The page of a graph in a browser: that everything is seen, on every screen."""

import re

import numpy as np
import pytest

from gradlite.autodiff.rule import RULES
from gradlite.draw import draw_dot
from gradlite.draw.dot import KINDS
from gradlite.draw.formulas import defined, explained, formulas_of
from gradlite.draw.mathematics import entry_of
from gradlite.draw.page import part as part_of_page
from gradlite.engine import Value
from tests.draw.browser import complaints, resize
from tests.draw.screen import KEYS, layers, mlp, network, neuron


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


def test_a_graph_that_fits_is_shown_whole_at_a_step(show):
    screen = show(neuron()[0])
    screen.run("view.y = -400; look()")  # as after a drag
    screen.press(KEYS["end"])
    graph, canvas = screen.find("#canvas .graph").rect, screen.find("#canvas").rect
    assert canvas["y"] <= graph["y"]
    assert graph["y"] + graph["height"] <= canvas["y"] + canvas["height"]


def test_a_step_leaves_no_margin_beside_a_larger_graph(show, browser):
    screen = show(network()[0])
    resize(browser, 390, 844)
    browser.refresh()
    screen.press(KEYS["end"])
    assert screen.run("return fullHeight * view.k > canvas.clientHeight && view.y <= 0")
    assert screen.run("return fullWidth * view.k <= canvas.clientWidth || view.x <= 0")


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


def test_long_labels_leave_room_for_the_graph(show):
    x = Value(2.0, label="x" * 2000)
    screen = show(x * x)
    screen.press(KEYS["end"])
    assert screen.find("#canvas").rect["height"] > 400


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


def test_at_first_the_whole_of_a_large_graph_is_seen_where_names_can_be_read(show, browser):
    screen = show(mlp())
    resize(browser, 1280, 900)
    browser.refresh()
    assert screen.run(OUTSIDE) == 0
    assert min(size for _, id, _, size in screen.run(NAMES) if not id.endswith("-op")) > 8


@pytest.mark.parametrize("size", [(1024, 600), (390, 844), (360, 640), (844, 390)])
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
