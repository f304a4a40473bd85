"""Scalar programs: the same scripts on gradlite and on an engine in the manner of micrograd.

"by hand" is that engine, written out below: an object with a dict, a set and a closure for each
number, and a recursive backward. The installed micrograd runs too, if there is one (for tanh,
which it lacks, with the method that its users add). The programs:

- moons: a step of the program in micrograd's README: 100 points, MLP(2, [16, 16, 1]), max-margin
  loss and L2 over all parameters, one model call a sample, on lists of Values;
- 4 samples: a step of the program of the two-file version: MLP(3, [4, 4, 1]) of tanh, squared
  error, update of every parameter;
- expression: 3,000 operations on single Values, forward and backward;
- memory: what a node of such an expression takes, after backward.

Every contender's losses and gradients are checked against the engine below before it is timed.

    python benchmarks/scalar.py
"""

from __future__ import annotations

import math
import random
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run

MOONS = "moons, ms a step"
FOUR = "4 samples, us a step"
EXPRESSION = "expression of 3,000 operations, ms"
MEMORY = "memory, bytes a node"


# -- the engine by hand -----------------------------------------------------------------------


class HandValue:
    """A number, its gradient, a set of what it was made of, and a closure that goes back."""

    def __init__(self, data: Any, children: tuple[Any, ...] = (), op: str = "") -> None:
        self.data = data
        self.grad = 0.0
        self.back: Callable[[], None] = lambda: None
        self.children = set(children)
        self.op = op

    def __add__(self, other: Any) -> HandValue:
        other = other if isinstance(other, HandValue) else HandValue(other)
        out = HandValue(self.data + other.data, (self, other), "+")

        def back() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out.back = back
        return out

    def __mul__(self, other: Any) -> HandValue:
        other = other if isinstance(other, HandValue) else HandValue(other)
        out = HandValue(self.data * other.data, (self, other), "*")

        def back() -> None:
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.back = back
        return out

    def __pow__(self, exponent: float) -> HandValue:
        out = HandValue(self.data**exponent, (self,), f"**{exponent}")

        def back() -> None:
            self.grad += exponent * self.data ** (exponent - 1) * out.grad

        out.back = back
        return out

    def relu(self) -> HandValue:
        out = HandValue(max(self.data, 0.0), (self,), "ReLU")

        def back() -> None:
            self.grad += (out.data > 0) * out.grad

        out.back = back
        return out

    def tanh(self) -> HandValue:
        return tanh(self)

    def backward(self) -> None:
        order: list[HandValue] = []
        seen: set[HandValue] = set()

        def visit(value: HandValue) -> None:
            if value not in seen:
                seen.add(value)
                for child in value.children:
                    visit(child)
                order.append(value)

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            value.back()

    def __neg__(self) -> HandValue:
        return self * -1

    def __radd__(self, other: Any) -> HandValue:
        return self + other

    def __sub__(self, other: Any) -> HandValue:
        return self + (-other)

    def __rsub__(self, other: Any) -> HandValue:
        return other + (-self)

    def __rmul__(self, other: Any) -> HandValue:
        return self * other

    def __truediv__(self, other: Any) -> HandValue:
        return self * other**-1


def tanh(self: Any) -> Any:
    """Write tanh as the users of such an engine do."""
    squared = math.exp(2 * self.data)
    t = (squared - 1) / (squared + 1)
    out = type(self)(t, (self,), "tanh")

    def back() -> None:
        self.grad += (1 - t**2) * out.grad

    # The two engines call the closure by different names.
    setattr(out, "back" if type(self) is HandValue else "_backward", back)
    return out


class HandNeuron:
    """Weights, a bias, and an activation."""

    def __init__(self, value: Any, inputs: int, activation: str, random_bias: bool) -> None:
        self.w = [value(random.uniform(-1, 1)) for _ in range(inputs)]
        self.b = value(random.uniform(-1, 1) if random_bias else 0.0)
        self.activation = activation

    def __call__(self, x: Any) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)  # noqa: B905  # as they write it
        return getattr(act, self.activation)() if self.activation else act

    def parameters(self) -> list[Any]:
        return [*self.w, self.b]


class HandMLP:
    """Layers of neurons, each a list."""

    def __init__(self, value: Any, sizes: list[int], hidden: str, last: str) -> None:
        self.layers = [
            [
                HandNeuron(value, n, last if i == len(sizes) - 2 else hidden, hidden == "tanh")
                for _ in range(m)
            ]
            for i, (n, m) in enumerate(pairwise(sizes))
        ]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self) -> list[Any]:
        return [p for layer in self.layers for neuron in layer for p in neuron.parameters()]

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = 0.0


# -- the programs -----------------------------------------------------------------------------


def moons_step(library: Any) -> Callable[[], float]:
    """Return a step of the moons program, which returns the loss."""
    from sklearn.datasets import make_moons

    x, y = make_moons(n_samples=100, noise=0.1, random_state=1)
    y = y * 2 - 1
    random.seed(1337)
    model = library.relu_mlp(2, [16, 16, 1])

    def step() -> float:
        inputs = [list(map(library.Value, row)) for row in x]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        total = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        accuracy = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
        assert len(accuracy) == len(y)
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return float(total.data)

    return step


def four_step(library: Any) -> Callable[[], float]:
    """Return a step of the program on four samples."""
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    random.seed(1337)
    n = library.tanh_mlp(3, [4, 4, 1])

    def step() -> float:
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred, strict=True))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.1 * p.grad
        return float(loss.data)

    return step


TERMS = 250  # of 12 operations each, the sum included


def expression_step(library: Any) -> Callable[[], float]:
    """Return a function that computes 3,000 operations, and their gradients."""
    a = [library.Value(0.5 + i / TERMS) for i in range(TERMS)]
    b = [library.Value(1.5 - i / TERMS) for i in range(TERMS)]

    def step() -> float:
        total = library.Value(0.0)
        for x, y in zip(a, b, strict=True):
            z = x * y + x
            z = z * z - y * 3.0
            z = (z + 2.0).relu() / (y**2 + 1.0)
            total = total + z * x
        total.backward()
        gradient = sum(x.grad for x in a) + sum(y.grad for y in b)
        for v in (*a, *b):
            v.grad = 0.0
        return gradient

    return step


def bytes_per_node(library: Any) -> float:
    """Count what sums and products of Values take after a backward pass."""
    a, b = library.Value(0.9), library.Value(0.1)
    nodes = 600  # in a chain: not too deep for a recursive backward

    def chain() -> Any:
        x = a
        for _ in range(nodes // 2):
            x = x * a + b
        x.backward()
        return x

    chain()
    tracemalloc.start()
    kept = [chain() for _ in range(5)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / (len(kept) * nodes)


STEPS = {MOONS: (moons_step, 1e3), FOUR: (four_step, 1e6), EXPRESSION: (expression_step, 1e3)}


def measure(library: Any, run: Run) -> Figures:
    """Check a contender against the engine by hand, then measure it."""
    sys.setrecursionlimit(100_000)
    if run.case == MEMORY:
        return {"": bytes_per_node(library)}
    program, scale = STEPS[run.case]
    step, expected = program(library), program(BY_HAND)
    for _ in range(2):
        np.testing.assert_allclose(step(), expected(), rtol=1e-9)
    return {"": scale * run.seconds(step)}


BY_HAND = SimpleNamespace(
    Value=HandValue,
    relu_mlp=lambda nin, nouts: HandMLP(HandValue, [nin, *nouts], "relu", ""),
    tanh_mlp=lambda nin, nouts: HandMLP(HandValue, [nin, *nouts], "tanh", "tanh"),
)


def measure_by_hand(run: Run) -> Figures:
    return measure(BY_HAND, run)


def measure_gradlite(run: Run) -> Figures:
    from gradlite.engine import Value
    from gradlite.nn import MLP
    from gradlite.scalar import neural_net

    return measure(SimpleNamespace(Value=Value, relu_mlp=MLP, tanh_mlp=neural_net.MLP), run)


def measure_micrograd(run: Run) -> Figures:
    from micrograd.engine import Value
    from micrograd.nn import MLP

    Value.tanh = tanh
    library = SimpleNamespace(
        Value=Value,
        relu_mlp=MLP,
        tanh_mlp=lambda nin, nouts: HandMLP(Value, [nin, *nouts], "tanh", "tanh"),
    )
    return measure(library, run)


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="figure",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("by hand", measure_by_hand, "numpy"),
        Contender("micrograd", measure_micrograd, "micrograd"),
    ),
    reference="gradlite",
    cases=(MOONS, FOUR, EXPRESSION, MEMORY),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
