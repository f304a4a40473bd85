"""The yardstick: a scalar engine and its two kinds of networks, written to be obviously right.

A node keeps, for each of its inputs, a function that gives the derivative with respect to it.
Backward goes through the nodes from the root to the leaves and passes on what has arrived at each;
a result shows that as its ``grad``, a leaf adds it up over calls. Differences and quotients are
written with sums and products, so that the graph has the form that the original engine gives it.
"""

import math
import random
from collections import Counter
from itertools import pairwise


class Value:
    """A number, and how it depends on its inputs."""

    def __init__(self, data, inputs=(), op="", slopes=()):
        self.data = data
        self.grad = 0.0
        self.inputs = inputs
        self.op = op
        self.slopes = slopes  # one function for each input

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"

    @property
    def prev(self):
        return set(self.inputs)

    def __add__(self, other):
        other = value(other)
        return Value(self.data + other.data, (self, other), "+", (lambda: 1.0, lambda: 1.0))

    def __mul__(self, other):
        other = value(other)
        slopes = (lambda: other.data), (lambda: self.data)
        return Value(self.data * other.data, (self, other), "*", slopes)

    def __pow__(self, other):
        x, y = self, other
        if not isinstance(y, Value):
            return Value(x.data**y, (x,), f"**{y}", (lambda: y * x.data ** (y - 1),))
        slopes = (
            lambda: y.data * x.data ** (y.data - 1),
            lambda: math.log(x.data) * x.data**y.data,
        )
        return Value(x.data**y.data, (x, y), "**", slopes)

    def __rpow__(self, other):
        return value(other) ** self

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return (-self) + other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return self**-1 * other

    __radd__ = __add__
    __rmul__ = __mul__

    def of_one(self, op, data, slope):
        return Value(data, (self,), op, (slope,))

    def relu(self):
        positive = self.data > 0
        return self.of_one("ReLU", self.data if positive else 0.0, lambda: float(positive))

    def tanh(self):
        t = math.tanh(self.data)
        return self.of_one("tanh", t, lambda: 1 - t * t)

    def exp(self):
        e = math.exp(self.data)
        return self.of_one("exp", e, lambda: e)

    def log(self):
        return self.of_one("log", math.log(self.data), lambda: 1 / self.data)

    def sigmoid(self):
        s = 1 / (1 + math.exp(-self.data))
        return self.of_one("sigmoid", s, lambda: s * (1 - s))

    def sin(self):
        return self.of_one("sin", math.sin(self.data), lambda: math.cos(self.data))

    def cos(self):
        return self.of_one("cos", math.cos(self.data), lambda: -math.sin(self.data))

    def sqrt(self):
        root = math.sqrt(self.data)
        return self.of_one("sqrt", root, lambda: 0.5 / root)

    def abs(self):
        return self.of_one("abs", abs(self.data), lambda: (self.data > 0) - (self.data < 0))

    __abs__ = abs

    def behind(self):
        """Every node from the leaves to this one: inputs before what is made of them."""
        order, seen = [], set()
        pending = [(self, False)]
        while pending:
            node, inputs_are_listed = pending.pop()
            if inputs_are_listed:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                pending.append((node, True))
                pending.extend((x, False) for x in node.inputs)
        return order

    def backward(self):
        arrived = dict.fromkeys(self.behind(), 0.0)
        arrived[self] = 1.0
        for node in reversed(arrived):
            node.grad = arrived[node] + (0.0 if node.inputs else node.grad)
            for x, slope in zip(node.inputs, node.slopes, strict=True):
                arrived[x] += slope() * arrived[node]


def value(x):
    return x if isinstance(x, Value) else Value(x)


class Neuron:
    def __init__(self, nin, activation, random_bias):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(random.uniform(-1, 1) if random_bias else 0.0)
        self.activation = activation

    def __call__(self, x):
        total = self.b
        for w, xi in zip(self.w, x, strict=True):
            total = total + w * xi
        return getattr(total, self.activation)() if self.activation else total

    def parameters(self):
        return [*self.w, self.b]


class Layer:
    def __init__(self, nin, nout, activation, random_bias):
        self.neurons = [Neuron(nin, activation, random_bias) for _ in range(nout)]

    def __call__(self, x):
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP:
    """``dialect`` is 'micrograd' or 'neural_net'."""

    def __init__(self, nin, nouts, dialect):
        sizes = [nin, *nouts]
        hidden, output = {"micrograd": ("relu", ""), "neural_net": ("tanh", "tanh")}[dialect]
        self.layers = [
            Layer(n, m, hidden if i < len(nouts) - 1 else output, dialect == "neural_net")
            for i, (n, m) in enumerate(pairwise(sizes))
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x if isinstance(x, (list, tuple)) else [x])
        return x

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]


# -- what is read off a graph, of this engine or of gradlite's --------------------------------


def nodes(*roots):
    """Every Value in the graphs of `roots`, once, as ``prev`` shows them."""
    found = dict.fromkeys(roots)
    pending = list(found)
    while pending:
        for x in pending.pop().prev:
            if x not in found:
                found[x] = None
                pending.append(x)
    return list(found)


def mark(node):
    return node.op, round(node.data, 9) + 0.0, round(node.grad, 9) + 0.0


def picture(*roots):
    """Each node with what it is made of: equal for two graphs that look the same when drawn."""
    return Counter((mark(node), tuple(sorted(map(mark, node.prev)))) for node in nodes(*roots))


def results(*roots):
    """Each node that is made of others."""
    return Counter(mark(node) for node in nodes(*roots) if node.prev)


def in_order(root):
    """A graph of gradlite's from the leaves to the root, as the original's backward lists it."""
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for child in node._prev:
                visit(child)
            order.append(node)

    visit(root)
    return order


def seeded_last(root):
    """Go back as the original does: every node's ``_backward``, in order."""
    order = in_order(root)
    root.grad = 1.0
    for node in reversed(order):
        node._backward()


def seeded_first(root):
    """The same, as it is done in lectures: first ``root.grad = 1.0``."""
    root.grad = 1.0
    for node in reversed(in_order(root)):
        node._backward()
