"""A page in a browser, as a person uses it, and graphs to show there."""

from __future__ import annotations

import random

import numpy as np

import gradlite as gl
from gradlite import nn
from gradlite.draw import draw_dot
from gradlite.engine import Value
from gradlite.nn import MLP
from tests.draw.browser import resize
from tests.helpers import leaves

EVIL = "</script><img src=x onerror=alert(1)>$data&amp;<b>"


KEYS = {
    "up": "\ue013", "right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010",
    "enter": "\ue007",
}  # fmt: skip


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


def mlp():
    random.seed(0)
    return (MLP(3, [4, 4, 1])([1.0, 2.0, 3.0]) - 1) ** 2


def layers():
    """Make a graph that leads down to the right, so that its result is far from its middle."""
    parts = [(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)) for _ in range(8)]
    return nn.Sequential(*(layer for block in parts for layer in block))(np.ones((3, 4))).sum()


class Screen:
    """A page in the browser, and what a person can do there."""

    def __init__(self, browser, root, path, make=draw_dot):
        self.browser = browser
        picture = make(root)
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
